"""``consentry patient recover`` and what follows it: a lost wallet, from the desk to the new one."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.client import DEFAULT_GATEWAY, GatewayOption, KeystoreOption, sign_in, sign_typed, signed_in, wallet
from app.commands.output import JsonOption, emit, emit_table, progress_line, say

_SETTLE_S = 60.0
RecoveryArgument = Annotated[str, typer.Argument(help="The recovery's id, or the patient key of a pending move.")]


def recover(
    patient_id: str,
    issuer: Annotated[str, typer.Option(help="Issuer of PatientID (0010,0021).")] = "",
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin the recovery of a lost wallet (registrars); prints the one-time code for the patient's new one."""
    answer = signed_in(gateway, keystore).post("/api/recoveries", {"patient_id": patient_id, "issuer": issuer})
    emit(answer, as_json, [f"recovery       {answer['id']}", f"recovery code  {answer['code']}"])


def recoveries(
    gateway: GatewayOption = DEFAULT_GATEWAY, keystore: KeystoreOption = None, as_json: JsonOption = False
) -> None:
    """List recoveries: all (registrars), or those that concern you."""
    rows = signed_in(gateway, keystore).get("/api/recoveries")["recoveries"]
    columns = ["id", "status", "patient_id", "account", "ready_at", "registrar_name"]
    emit_table(rows, columns, as_json, "no recoveries")


def use_code(
    code: Annotated[str, typer.Argument(help="The one-time code from the desk.")],
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Use a recovery code with this, the new wallet; waits until the move has started."""
    client, _ = sign_in(gateway, wallet(keystore))
    claimed = client.post("/api/recoveries/claim", {"code": code})
    started = client.until(f"/api/recoveries/{claimed['id']}", _left({"starting"}), _SETTLE_S)
    emit(started, as_json, [f"recovery  {started['id']}", f"status    {started['status']}"])


def take_over(
    recovery: RecoveryArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign, with the new wallet, that it takes over, once the delay is over."""
    _sign(f"/api/recoveries/{recovery}/acceptance", gateway, keystore, as_json)


def veto(
    recovery: RecoveryArgument,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop the move of your patient record to another wallet, signed with the present one."""
    _sign(f"/api/recoveries/{recovery}/veto", gateway, keystore, as_json)


def _sign(path: str, gateway: str, keystore: Path | None, as_json: bool) -> None:
    account = wallet(keystore)
    client, _ = sign_in(gateway, account)
    issued = client.post(f"{path}/typed-data")
    say(issued["words"])
    document = issued["typed_data"]
    answer = client.post(path, {"typed_data": document, "signature": sign_typed(account, document)})
    emit(answer, as_json, [f"patient key  {answer['patient_key']}", f"status       {answer['status']}"])


def _left(states: set[str]) -> Callable[[dict[str, Any]], bool]:
    def satisfied(view: dict[str, Any]) -> bool:
        progress_line(f"the recovery is {view['status']}")
        return view["status"] not in states

    return satisfied
