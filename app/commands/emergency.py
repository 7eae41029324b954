"""``consentry emergency``: break the glass from a terminal, and review who did."""

from typing import Annotated, Literal

import typer

from app.commands.client import DEFAULT_GATEWAY, GatewayOption, KeystoreOption, sign_in, sign_typed, signed_in, wallet
from app.commands.output import JsonOption, emit, emit_table, say

emergency = typer.Typer(help="Emergency access: open it, list it, review it.", no_args_is_help=True)


@emergency.command("open")
def open_emergency(
    patient_id: Annotated[str, typer.Argument(help="PatientID, exactly as the archive has it.")],
    reason: Annotated[str, typer.Option(help="Why: the patient and the reviewer read it (10 to 500 characters).")],
    issuer: Annotated[str, typer.Option(help="IssuerOfPatientID, if the archive has one.")] = "",
    minutes: Annotated[int | None, typer.Option(help="For how long; by default as long as may be.", min=5)] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open an emergency: from then on its token lets in to this patient's images. Prints the token."""
    own = wallet(keystore)
    client, _ = sign_in(gateway, own, "ETREAT")
    asked = {"patient_id": patient_id, "issuer": issuer, "reason": reason}
    issued = client.post("/api/emergency-access/typed-data", asked | {"minutes": minutes})
    say(issued["words"])
    document = issued["typed_data"]
    signed = {"reason_salt": issued["reason_salt"], "typed_data": document, "signature": sign_typed(own, document)}
    answer = client.post("/api/emergency-access", asked | signed)
    emit(answer, as_json, [f"emergency  {answer['emergency_id']}", f"token      {answer['access_token']}"])


@emergency.command("list")
def list_emergencies(
    gateway: GatewayOption = DEFAULT_GATEWAY, keystore: KeystoreOption = None, as_json: JsonOption = False
) -> None:
    """List emergencies: all for an auditor, a patient's own, an actor's own."""
    rows = signed_in(gateway, keystore).get("/api/emergency-access")["emergencies"]
    columns = ["valid_from", "valid_until", "actor_name", "state", "status", "reason", "id"]
    emit_table(rows, columns, as_json, "no emergencies")


@emergency.command("review")
def review(
    identity: Annotated[str, typer.Argument(help="The emergency's id, 0x….")],
    finding: Annotated[Literal["justified", "unjustified"], typer.Argument(help="What was found.")],
    note: Annotated[str, typer.Option(help="A note for the patient and other auditors.")] = "",
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close somebody else's emergency (auditors). One that is found unjustified opens nothing any more."""
    own = wallet(keystore)
    client, _ = sign_in(gateway, own)
    path = f"/api/emergency-access/{identity}/review"
    issued = client.post(f"{path}/typed-data", {"finding": finding, "note": note})
    say(issued["words"])
    document = issued["typed_data"]
    signed = {"typed_data": document, "signature": sign_typed(own, document)}
    answer = client.post(path, signed | {"note": note, "note_salt": issued["note_salt"]})
    emit(answer, as_json, [f"emergency  {answer['emergency_id']}", f"finding    {answer['finding']}"])
