"""``consentry consent``: grant, take back, list and explain consents from a terminal, with the patient's own wallet."""

import time
from typing import Annotated, Any

import typer

from app.commands.client import DEFAULT_GATEWAY, GatewayOption, KeystoreOption, sign_in, sign_typed, signed_in, wallet
from app.commands.output import JsonOption, emit, emit_table, say

consent = typer.Typer(help="Grant, take back, list and explain consents.", no_args_is_help=True)

_DAY_S = 86400
_SETTLE_S = 30.0
_UNSETTLED = frozenset({"submitted", "mined"})


@consent.command("grant")
def grant(  # noqa: PLR0917 - the terms of a consent
    grantee: Annotated[str, typer.Argument(help="Who is let in: an account, 0x…, or a care team's id.")],
    study: Annotated[
        list[str] | None, typer.Option(help="A StudyInstanceUID; repeat for several. Default: everything.")
    ] = None,
    from_date: Annotated[str | None, typer.Option(help="Only studies of this day (YYYY-MM-DD) or later.")] = None,
    to_date: Annotated[str | None, typer.Option(help="Only studies of this day (YYYY-MM-DD) or earlier.")] = None,
    share_depth: Annotated[
        int | None,
        typer.Option(help="How many times in a row it may be shared on, with the action share.", min=1, max=3),
    ] = None,
    parent: Annotated[str | None, typer.Option(help="Share this consent on, which was given to you.")] = None,
    action: Annotated[list[str] | None, typer.Option(help="search, view, retrieve, share; repeat for several.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="HL7 purpose of use; repeat for several.")] = None,
    days: Annotated[int, typer.Option(help="For how many days from now.", min=1)] = 90,
    deny: Annotated[bool, typer.Option("--deny", help="Forbid instead of allow; this wins over any consent.")] = False,
    patient_key: Annotated[str | None, typer.Option(help="Which patient, if you act for several.")] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign and hand in a consent; waits until the chain has it."""
    account = wallet(keystore)
    client, _ = sign_in(gateway, account)
    asked: dict[str, Any] = {
        "grantee": grantee,
        "scope": {"studies": study or None, "from_date": from_date, "to_date": to_date},
        "actions": action or ["search", "view", "retrieve"],
        "purposes": purpose or ["TREAT"],
        "valid_until": int(time.time()) + days * _DAY_S,
        "effect": "deny" if deny else "permit",
    }
    if not any(asked["scope"].values()):
        asked["scope"] = "all"
    optional = {"patient_key": patient_key, "share_depth": share_depth, "parent": parent}
    asked |= {name: value for name, value in optional.items() if value is not None}
    issued = client.post("/api/consents/typed-data", asked)
    say(issued["words"])
    document = issued["typed_data"]
    answer = client.post("/api/consents", {"typed_data": document, "signature": sign_typed(account, document)})
    path = f"/api/consents/{answer['consent_id']}"
    settled = client.until(path, lambda view: view["status"] not in _UNSETTLED, _SETTLE_S)
    emit(settled, as_json, [f"consent  {settled['consent_id']}", f"status   {settled['status']}"])


@consent.command("revoke")
def revoke(
    consent_id: str,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a consent back; it stops working at once."""
    account = wallet(keystore)
    client, _ = sign_in(gateway, account)
    issued = client.post(f"/api/consents/{consent_id}/revocation/typed-data")
    say(issued["words"])
    document = issued["typed_data"]
    body = {"typed_data": document, "signature": sign_typed(account, document)}
    answer = client.post(f"/api/consents/{consent_id}/revocation", body)
    emit(answer, as_json, [f"consent  {answer['consent_id']}", f"status   {answer['status']}"])


@consent.command("list")
def list_consents(
    patient_key: Annotated[str | None, typer.Option(help="Only this patient's (auditors name one).")] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List consents: a patient's own, or those that name you."""
    rows = signed_in(gateway, keystore).get("/api/consents", patient_key=patient_key)["consents"]
    columns = ["consent_id", "status", "effect", "grantee_name", "actions", "purposes", "valid_until"]
    emit_table(rows, columns, as_json, "no consents")


@consent.command("explain")
def explain(  # noqa: PLR0917 - the parts of the question
    actor: Annotated[str, typer.Argument(help="Who would ask: an account, 0x….")],
    study: Annotated[str | None, typer.Option(help="A StudyInstanceUID. Default: everything.")] = None,
    action: Annotated[str, typer.Option(help="search, view, retrieve or share.")] = "retrieve",
    purpose: Annotated[str, typer.Option(help="HL7 purpose of use.")] = "TREAT",
    patient_key: Annotated[str | None, typer.Option(help="Which patient (auditors name one).")] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether somebody would be let in now, and which consent decides."""
    answer = signed_in(gateway, keystore).get(
        "/api/explain", actor=actor, study=study, action=action, purpose=purpose, patient_key=patient_key
    )
    emit(answer, as_json, [f"{name}  {value}" for name, value in answer.items() if not isinstance(value, dict)])
