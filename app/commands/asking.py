"""``consentry request``: a physician asks a patient for access, the patient answers."""

import time
from typing import Annotated, Any

import typer

from app.commands.client import DEFAULT_GATEWAY, GatewayOption, KeystoreOption, sign_in, sign_typed, signed_in, wallet
from app.commands.output import CommandError, JsonOption, emit, emit_table, progress_line, say

request = typer.Typer(help="Ask a patient for access, take it back, and answer such requests.", no_args_is_help=True)

_DAY_S = 86400
_SETTLE_S = 60.0
_UNSETTLED = frozenset({"submitted", "mined"})
RequestArgument = Annotated[str, typer.Argument(help="The request's id.")]


@request.command("ask")
def ask(  # noqa: PLR0917 - the parts of a request
    code: Annotated[str | None, typer.Argument(help="The patient's code, as the patient read it out.")] = None,
    patient_id: Annotated[str | None, typer.Option(help="Instead of the code: PatientID (0010,0020).")] = None,
    issuer: Annotated[str, typer.Option(help="Issuer of PatientID (0010,0021).")] = "",
    reason: Annotated[str, typer.Option(help="Why, in words the patient reads.")] = ...,  # type: ignore[assignment]  # required
    days: Annotated[int, typer.Option(help="For how many days.", min=1)] = 90,
    action: Annotated[list[str] | None, typer.Option(help="search, view, retrieve, share; repeat for several.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="HL7 purpose of use; repeat for several.")] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a patient for access. The answer is the same whether or not there is such a patient."""
    if (code is None) == (patient_id is None):
        raise typer.BadParameter("give the patient's code, or --patient-id")
    named = {"patient_code": code} if code is not None else {"patient_id": patient_id, "issuer": issuer}
    asked: dict[str, Any] = {**named, "reason": reason, "days": days}
    asked |= {name: value for name, value in (("actions", action), ("purposes", purpose)) if value}
    answer = signed_in(gateway, keystore).post("/api/access-requests", asked)
    emit(answer, as_json, [f"request  {answer['id']}", f"status   {answer['status']}"])


@request.command("list")
def list_requests(
    gateway: GatewayOption = DEFAULT_GATEWAY, keystore: KeystoreOption = None, as_json: JsonOption = False
) -> None:
    """List requests: your own, and those waiting for your answer."""
    rows = signed_in(gateway, keystore).get("/api/access-requests")["requests"]
    emit_table(rows, ["id", "status", "requester_name", "reason", "days"], as_json, "no requests")


@request.command("withdraw")
def withdraw(
    request_id: RequestArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take your own request back, as long as nobody has answered it."""
    answer = signed_in(gateway, keystore).post(f"/api/access-requests/{request_id}/withdrawal")
    emit(answer, as_json, [f"status  {answer['status']}"])


@request.command("answer")
def answer_request(  # noqa: PLR0917 - what the consent may be narrowed to
    request_id: RequestArgument,
    accept: Annotated[
        bool, typer.Option("--accept/--decline", help="Sign a consent for it and accept, or decline.")
    ] = ...,  # type: ignore[assignment]  # required
    days: Annotated[int | None, typer.Option(help="For fewer days than were asked for.", min=1)] = None,
    study: Annotated[list[str] | None, typer.Option(help="Only this study; repeat for several.")] = None,
    action: Annotated[list[str] | None, typer.Option(help="Only this action; repeat for several.")] = None,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a request: decline, or sign a consent (as asked, or narrower) and accept; waits until the chain has it."""
    account = wallet(keystore)
    client, _ = sign_in(gateway, account)
    path = f"/api/access-requests/{request_id}"
    if not accept:
        answer = client.post(f"{path}/decision", {"decision": "decline"})
        emit(answer, as_json, [f"status  {answer['status']}"])
        return
    asked = client.get(path)
    if asked["patient_key"] is None:
        raise CommandError("this request is not to you")
    issued = client.post(
        "/api/consents/typed-data",
        {
            "patient_key": asked["patient_key"],
            "grantee": asked["requester"],
            "scope": {"studies": study} if study else "all",
            "actions": action or asked["actions"],
            "purposes": asked["purposes"],
            "valid_until": int(time.time()) + (days or asked["days"]) * _DAY_S,
        },
    )
    say(issued["words"])
    document = issued["typed_data"]
    granted = client.post("/api/consents", {"typed_data": document, "signature": sign_typed(account, document)})
    answer = client.post(f"{path}/decision", {"decision": "accept", "consent_id": granted["consent_id"]})

    def settled(view: dict[str, Any]) -> bool:
        progress_line(f"the consent is {view['status']}")
        return view["status"] not in _UNSETTLED

    consent = client.until(f"/api/consents/{granted['consent_id']}", settled, _SETTLE_S)
    lines = [f"status   {answer['status']}", f"consent  {consent['consent_id']} ({consent['status']})"]
    emit(answer, as_json, lines)
