"""Who holds which role, and what the admin's own wallet sends to change that (docs/CHAIN.md, ConsentryRoles)."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.api.admins import must_be_admin, must_run_staff, to_send
from app.api.body import Strict, body_of, documented
from app.api.caller import SignedIn
from app.api.hexadecimal import AddressText, checksum, from_hex
from app.api.wiring import Wiring, wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import ROLE_IDS, person, role_id
from app.core.consent.mirror import Standing
from app.core.consent.terms import Role, Window
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address, RoleId, UnixTime
from app.core.signing.words import moment, plain

router = APIRouter(tags=["roles"])

_NAMES = {identity: role for role, identity in ROLE_IDS.items()}
# A block's clock may be behind ours, and a role that has begun is in force in the next block.
_BEFORE_S = 60
_LATEST = 1 << 40  # far below the 48 bits a time has on the chain


class RoleAsked(Strict):
    """An account's role. Times in Unix seconds; ``valid_until`` null withdraws it, no ``valid_from`` means now."""

    role: Literal["REGISTRAR", "RECORDER", "PHYSICIAN", "EMERGENCY", "AUDITOR", "UPLOADER"]
    account: AddressText
    valid_from: Annotated[int, Field(ge=0, lt=_LATEST)] | None = None
    valid_until: Annotated[int, Field(gt=0, lt=_LATEST)] | None


@router.get("/api/roles")
async def listing(request: Request, caller: SignedIn) -> dict[str, Any]:
    """Every role with its holders, whatever their windows; for registrars and the default admin."""
    wiring = wiring_of(request)
    await must_run_staff(wiring, caller)
    admin = await wiring.default_admin.find()
    views = [await _view(wiring, caller.standing, caller.now, *one) for one in caller.standing.head.roles.items()]
    views.sort(key=lambda view: (view["role"], view["account"]))
    return {"admin": None if admin is None else checksum(admin), "roles": views}


@router.post("/api/roles/transactions", openapi_extra=documented(RoleAsked))
async def prepare(
    request: Request, caller: SignedIn, asked: Annotated[RoleAsked, Depends(body_of(RoleAsked))]
) -> dict[str, Any]:
    """The transaction that sets or withdraws the role, for the admin's own wallet to send. Nothing is kept of it: the
    list tells when the chain has it.
    """
    wiring = wiring_of(request)
    await must_be_admin(wiring, caller)
    account, identity = Address(from_hex(asked.account)), role_id(Role(asked.role))
    who = await _called(wiring, caller.standing, account)
    if asked.valid_until is None:
        if asked.valid_from is not None:
            raise ProblemError(problem("invalid-request"))
        if (identity, account) not in caller.standing.head.roles:
            raise ProblemError(problem("conflict"))
        call = wiring.contracts.roles.withdraw_role(identity, account)
        words = f"I withdraw the role {asked.role} from {who}. It ends with the block that holds this."
        return {**await to_send(wiring, caller, call, words), "valid_from": None, "valid_until": None}
    start = caller.now - _BEFORE_S if asked.valid_from is None else asked.valid_from
    window = Window(UnixTime(start), UnixTime(asked.valid_until))
    if window.end <= max(window.start, caller.now):
        raise ProblemError(problem("invalid-request"))
    call = wiring.contracts.roles.set_role(identity, account, window)
    words = (
        f"I give {who} the role {asked.role} from {moment(window.start)} until {moment(window.end)}. "
        "Times that were set before for this role and account no longer count."
    )
    sent = await to_send(wiring, caller, call, words)
    return {**sent, "valid_from": window.start, "valid_until": window.end}


async def _called(wiring: Wiring, standing: Standing, account: Address) -> str:
    name = await grantee_name(wiring, standing, person(account))
    return checksum(account) if name is None else f"“{plain(name)}” ({checksum(account)})"


async def _view(
    wiring: Wiring, standing: Standing, now: UnixTime, held: tuple[RoleId, Address], window: Window
) -> dict[str, Any]:
    identity, account = held
    role = _NAMES.get(identity)
    return {
        "role": "0x" + identity.hex() if role is None else role.value,
        "account": checksum(account),
        "name": await grantee_name(wiring, standing, person(account)),
        "valid_from": window.start,
        "valid_until": window.end,
        "now": window.holds(now),
        "final": standing.final.roles.get(held) == window,
    }
