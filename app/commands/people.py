"""``consentry token``, ``patient`` and ``request``: what people do, from a terminal."""

from typing import Annotated, Any

import typer

from app.commands.client import (
    DEFAULT_GATEWAY,
    GatewayOption,
    KeystoreOption,
    sign_in,
    sign_typed,
    signed_in,
    wallet,
)
from app.commands.device_sign_in import sign_in_elsewhere
from app.commands.output import JsonOption, emit, emit_table, say

patient = typer.Typer(help="Enrol patients and see who is enrolled.", no_args_is_help=True)
request = typer.Typer(help="Ask a patient for access, and answer such requests.", no_args_is_help=True)


def token(
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    purpose: Annotated[str | None, typer.Option(help="HL7 purpose of use of the session, e.g. TREAT.")] = None,
    device: Annotated[
        bool, typer.Option("--device", help="Sign in on another device, with a code; no wallet is needed here.")
    ] = False,
    client_id: Annotated[str, typer.Option("--client", help="With --device: as which registered program.")] = "desktop",
    scope: Annotated[str, typer.Option(help="With --device: what the token is to open.")] = "openid dicomweb",
    as_json: JsonOption = False,
) -> None:
    """Sign in with a wallet and print an access token for DICOMweb programs.

    With `--device` the wallet is elsewhere, and the token opens DICOMweb alone, until whoever allowed it signs out.
    """
    if device:
        answer = sign_in_elsewhere(gateway, client_id, scope, purpose, say)
    else:
        _client, answer = sign_in(gateway, wallet(keystore), purpose)
    emit(answer, as_json, [answer["access_token"]])


@patient.command("enrol")
def enrol(
    patient_id: str,
    issuer: Annotated[str, typer.Option(help="Issuer of PatientID (0010,0021).")] = "",
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enrol a patient (registrars); prints the one-time code that the patient claims with."""
    client = signed_in(gateway, keystore)
    answer = client.post("/api/enrolments", {"patient_id": patient_id} | ({"issuer": issuer} if issuer else {}))
    emit(answer, as_json, [f"patient key  {answer['patient_key']}", f"claim code   {answer['code']}"])


@patient.command("claim")
def claim(
    code: str, gateway: GatewayOption = DEFAULT_GATEWAY, keystore: KeystoreOption = None, as_json: JsonOption = False
) -> None:
    """Claim an enrolment with the one-time code and this wallet."""
    account = wallet(keystore)
    client, _ = sign_in(gateway, account)
    issued = client.post("/api/enrolments/claim/typed-data", {"code": code})
    answer = client.post(
        "/api/enrolments/claim",
        {"code": code, "typed_data": issued["typed_data"], "signature": sign_typed(account, issued["typed_data"])},
    )
    emit(answer, as_json, [f"patient key  {answer['patient_key']}", f"status       {answer['status']}"])


@patient.command("list")
def list_patients(
    gateway: GatewayOption = DEFAULT_GATEWAY, keystore: KeystoreOption = None, as_json: JsonOption = False
) -> None:
    """List enrolled patients (registrars) or your own (patients)."""
    rows = signed_in(gateway, keystore).get("/api/patients")["patients"]
    emit_table(rows, ["patient_key", "patient_id", "issuer", "status", "controller"], as_json, "no patient is enrolled")


@request.command("create")
def create(
    patient_code: Annotated[str, typer.Argument(help="The patient's key, as the patient gave it.")],
    reason: Annotated[str, typer.Option(help="Why, in words the patient reads.")],
    days: Annotated[int, typer.Option(help="For how many days.")] = 90,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a patient for access."""
    answer = signed_in(gateway, keystore).post(
        "/api/access-requests", {"patient_key": patient_code, "reason": reason, "days": days}
    )
    emit(answer, as_json, [f"request  {answer['id']}", f"status   {answer['status']}"])


@request.command("list")
def list_requests(
    gateway: GatewayOption = DEFAULT_GATEWAY, keystore: KeystoreOption = None, as_json: JsonOption = False
) -> None:
    """List requests: your own, and those waiting for your answer."""
    rows = signed_in(gateway, keystore).get("/api/access-requests")["requests"]
    emit_table(rows, ["id", "status", "requester_name", "reason", "days"], as_json, "no requests")


@request.command("decline")
def decline(
    request_id: str,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decline a request."""
    answer: dict[str, Any] = signed_in(gateway, keystore).post(
        f"/api/access-requests/{request_id}/decision", {"decision": "decline"}
    )
    emit(answer, as_json, [f"status  {answer['status']}"])
