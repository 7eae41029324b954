"""``consentry token`` and ``patient``: what people do, from a terminal."""

from datetime import UTC, date, datetime
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
from app.commands.output import CommandError, JsonOption, emit, emit_table, progress_line, say
from app.commands.recovering import recover, recoveries, take_over, use_code, veto

patient = typer.Typer(help="Enrol patients, recover their lost wallets, erase them.", no_args_is_help=True)

_ERASED_WITHIN_S = 120.0


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
    ward_until: Annotated[
        str | None,
        typer.Option(help="Of a child, or somebody who is represented: the day they act for themselves, YYYY-MM-DD."),
    ] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Enrol a patient (registrars); prints the one-time code that the patient, or a ward's guardian, claims with."""
    asked: dict[str, Any] = {"patient_id": patient_id} | ({"issuer": issuer} if issuer else {})
    asked |= {} if ward_until is None else {"ward_until": _day(ward_until)}
    answer = signed_in(gateway, keystore).post("/api/enrolments", asked)
    lines = [f"patient key  {answer['patient_key']}", f"claim code   {answer['code']}"]
    # After the #, so that no server and no log sees the code
    emit(answer, as_json, [*lines, f"claim link   {gateway.rstrip('/')}/claim#{answer['code']}"])


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


patient.command("recover")(recover)
patient.command("recoveries")(recoveries)
patient.command("use-code")(use_code)
patient.command("take-over")(take_over)
patient.command("veto")(veto)


@patient.command("guardian")
def guardian(
    account: Annotated[str | None, typer.Argument(help="Who is to act: an account, 0x…. None removes.")] = None,
    until: Annotated[str | None, typer.Option(help="Until which day (YYYY-MM-DD), itself not included.")] = None,
    name: Annotated[str | None, typer.Option(help="What those who act for the patient shall read.")] = None,
    patient_key: Annotated[str | None, typer.Option(help="Which patient, if you control several.")] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name a guardian, replace or remove one, signed with the patient's own wallet."""
    if (account is None) != (until is None):
        raise typer.BadParameter("give an account and --until, or neither to remove the guardian")
    own = wallet(keystore)
    client, _ = sign_in(gateway, own)
    mine = [one for one in client.get("/api/patients")["patients"] if one["controller"] == own.address]
    keys = [one["patient_key"] for one in mine if patient_key in {None, one["patient_key"]}]
    if len(keys) != 1:
        raise CommandError("this wallet controls no such patient" if not keys else "several patients: --patient-key")
    path = f"/api/patients/{keys[0]}/guardian"
    asked = {} if account is None or until is None else {"guardian": account, "valid_until": _day(until)}
    issued = client.post(f"{path}/typed-data", asked)
    say(issued["words"])
    document = issued["typed_data"]
    signed = {"typed_data": document, "signature": sign_typed(own, document)}
    answer = client.post(path, signed | ({} if name is None else {"name": name}))
    emit(answer, as_json, [f"guardian  {answer['guardian'] or '-'}", f"status    {answer['status']}"])


@patient.command("erase")
def erase(
    patient_id: str,
    issuer: Annotated[str, typer.Option(help="Issuer of PatientID (0010,0021).")] = "",
    reason: Annotated[
        str,
        typer.Option(help="patient-request, guardian-request, retention-ended, enrolled-in-error or legal-order."),
    ] = "patient-request",
    confirm: Annotated[
        str | None, typer.Option(help="The PatientID once more, for a script; else it is asked for.")
    ] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase a patient for good (registrars): nobody is let in, and every link from the person to the chain goes.

    It cannot be taken back. The images stay in the archive. Waits until it is done; called again, it goes on.
    """
    client = signed_in(gateway, keystore)
    found = [
        one
        for one in client.get("/api/patients")["patients"]
        if (one["patient_id"], one["issuer"]) == (patient_id.strip(" "), issuer.strip(" "))
    ]
    if not found:
        raise CommandError("no such patient is enrolled")
    if confirm is None:
        say("This cannot be taken back: nobody will be let in to this patient's images under this enrolment again.")
        confirm = typer.prompt("Type the PatientID once more", err=True)
    if confirm.strip(" ") != patient_id.strip(" "):
        raise CommandError("the two PatientIDs differ: nothing was done")
    key = found[0]["patient_key"]
    client.post(f"/api/patients/{key}/erasure", {"reason": reason, "patient_id": confirm, "issuer": issuer})

    def done(view: dict[str, Any]) -> bool:
        progress_line(f"the erasure is {view['status']}")
        return view["status"] in {"erased", "failed"}

    ended = client.until(f"/api/erasures/{key}", done, _ERASED_WITHIN_S)
    if ended["status"] == "failed":
        raise CommandError("the chain did not take the erasure: call this again once the relayer may erase")
    emit(ended, as_json, [f"patient key  {key}", f"status       {ended['status']}"])


def _day(text: str) -> int:
    """The Unix time at which that day begins (UTC)."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("a day is written YYYY-MM-DD") from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
