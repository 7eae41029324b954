"""``consentry identity``: studies whose patient the archive leaves in doubt, and whose they are."""

import time
from typing import Annotated, Any

import typer

from app.commands.client import DEFAULT_GATEWAY, Client, GatewayOption, KeystoreOption, signed_in
from app.commands.output import CommandError, JsonOption, emit, emit_table, progress_line, say

identity = typer.Typer(help="Find and resolve the odd identities of the archive.", no_args_is_help=True)

_LOOK_S = 1.0


@identity.command("list")
def list_identities(
    oddity: Annotated[str | None, typer.Option(help="Only this kind, such as several-patients or blank-id.")] = None,
    state: Annotated[str, typer.Option(help="unresolved, resolved or all.")] = "unresolved",
    resolutions: Annotated[bool, typer.Option("--resolutions", help="List what was said of them instead.")] = False,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List odd studies (registrars), or the resolutions with who made them and why."""
    client = signed_in(gateway, keystore)
    if resolutions:
        rows = _all(client, "/api/identities/resolutions", "resolutions")
        columns = ["id", "kind", "study", "patient_id", "issuer", "patient_key", "reason", "made_by", "withdrawn_at"]
        emit_table(rows, columns, as_json, "nothing was resolved")
        return
    rows = _all(client, "/api/identities", "studies", oddity=oddity, state=state)
    if not as_json:
        rows = [{**row, "identities": [_told(one) for one in row["identities"]]} for row in rows]
    emit_table(rows, ["study", "oddity", "state", "identities", "fingerprint"], as_json, "no such study")


@identity.command("scan")
def scan(
    wait: Annotated[bool, typer.Option(help="Wait until it has come to the end.")] = True,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look through the archive for odd identities (registrars); shows how far it has come."""
    client = signed_in(gateway, keystore)
    answer = client.post("/api/identities/scan")
    while wait and answer["state"] == "running":
        total = "" if answer["total"] is None else f" of {answer['total']}"
        trouble = f" ({answer['trouble']})" if answer["trouble"] else ""
        progress_line(f"{answer['done']}{total} studies, {answer['found']} odd{trouble}")
        time.sleep(_LOOK_S)
        answer = client.get("/api/identities/scan")
    progress_line("")
    emit(answer, as_json, [f"{answer['state']}: {answer['done']} studies, {answer['found']} odd"])


@identity.command("resolve")
def resolve(  # noqa: PLR0917 - the parts of what is said
    patient_key: Annotated[str, typer.Argument(help="The enrolled patient whose it is, 0x….")],
    reason: Annotated[str, typer.Option(help="Why: colleagues and auditors read it.")],
    study: Annotated[str | None, typer.Option(help="This one study is theirs, as it is now.")] = None,
    fingerprint: Annotated[
        str | None, typer.Option(help="Of the study's identities as they were looked at; see identity list.")
    ] = None,
    patient_id: Annotated[
        str | None, typer.Option(help="All studies under this PatientID are theirs (with --issuer).")
    ] = None,
    issuer: Annotated[str, typer.Option(help="Issuer of that PatientID (0010,0021).")] = "",
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whose an odd study, or an identity, is (registrars)."""
    if (study is None) == (patient_id is None) or (study is None) != (fingerprint is None):
        raise CommandError("give --study with --fingerprint, or --patient-id")
    body: dict[str, Any] = {"patient_key": patient_key, "reason": reason}
    if study is not None:
        body |= {"kind": "study", "study": study, "fingerprint": fingerprint}
    else:
        body |= {"kind": "alias", "patient_id": patient_id, "issuer": issuer}
    answer = signed_in(gateway, keystore).post("/api/identities/resolutions", body)
    emit(answer, as_json, [f"resolution  {answer['id']}"])


@identity.command("withdraw")
def withdraw(
    resolution_id: str,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a resolution back (registrars): whatever it opened is closed."""
    answer = signed_in(gateway, keystore).delete(f"/api/identities/resolutions/{resolution_id}")
    say("withdrawn")
    emit(answer, as_json, [f"resolution  {answer['id']}"])


def _all(client: Client, path: str, name: str, **query: str | None) -> list[dict[str, Any]]:
    """Every page of a listing."""
    rows: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        answer = client.get(path, after=after, limit=200, **query)
        rows += answer[name]
        after = answer["next"]
        if after is None:
            return rows


def _told(one: dict[str, Any]) -> str:
    named = "\\".join(one["patient_ids"]) or "(no PatientID)"
    issuer = "\\".join(one["issuers"])
    return f"{named}{f' [{issuer}]' if issuer else ''} × {one['instances']}"
