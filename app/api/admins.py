"""The default admin, whose own wallet sends what only they may do: what is to be sent, once the chain would take it."""

from typing import Any

from app.api.caller import Caller
from app.api.hexadecimal import checksum, to_hex
from app.api.wiring import Wiring
from app.chain.contracts import CallData, RevertError
from app.core.consent.terms import Role
from app.core.http.problem import ProblemError, problem


async def must_be_admin(wiring: Wiring, caller: Caller) -> None:
    """Raises 403, or 503 while the nodes do not say who the admin is."""
    admin = await wiring.default_admin.find()
    if admin is None:
        raise ProblemError(problem("chain-unavailable"))
    if admin != caller.actor:
        raise ProblemError(problem("forbidden"))


async def must_run_staff(wiring: Wiring, caller: Caller) -> None:
    """The admin and the registrars see who holds what. Raises 403 or 503."""
    if not caller.holds(Role.REGISTRAR):
        await must_be_admin(wiring, caller)


async def to_send(wiring: Wiring, caller: Caller, call: CallData, words: str) -> dict[str, Any]:
    """The transaction for the caller's wallet, and what it does in words. Raises 422 where the chain would refuse it
    from them, or what the nodes raise.
    """
    try:
        await wiring.contracts.simulate(wiring.nodes, call, caller.actor)
    except RevertError:
        raise ProblemError(problem("transaction-refused")) from None
    return {
        "transaction": {"to": checksum(call.to), "data": to_hex(call.data), "chain_id": wiring.place.chain_id},
        "words": words,
    }
