"""Staff without a wallet: the desk or the admin invites them to make a passkey. That gives them an account and nothing
else: roles are the default admin's to give.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from app.api.admins import must_run_staff
from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.claim_codes import digits_of
from app.api.hexadecimal import checksum, identifier
from app.api.wiring import wiring_of
from app.core.consent.basis import actor_of
from app.core.http.problem import ProblemError, problem
from app.core.signing.claim_code import RANDOM_BYTES, invitation_hash, make_code
from app.core.signing.words import MAX_NAME_LENGTH, plain
from app.store.invitations import Invitation

router = APIRouter(tags=["invitations"])


class InvitationAsked(Strict):
    """Who is meant, as the list of invitations is to say it."""

    name: Annotated[str, Field(max_length=MAX_NAME_LENGTH)]


@router.post("/api/invitations", status_code=201, openapi_extra=documented(InvitationAsked))
async def invite(
    request: Request, caller: SignedIn, asked: Annotated[InvitationAsked, Depends(body_of(InvitationAsked))]
) -> dict[str, Any]:
    """Invite somebody; for registrars and the default admin. The code is in this answer and nowhere else."""
    wiring = wiring_of(request)
    await must_run_staff(wiring, caller)
    name = plain(asked.name)
    if not name:
        raise ProblemError(problem("invalid-request"))
    code = make_code(wiring.random_bytes(RANDOM_BYTES))
    made = await wiring.invitations.invite(invitation_hash(digits_of(code)), name, caller.actor)
    return {**_view(caller, made), "code": code, "join_url": f"{wiring.place.origin_url}/join#{code}"}


@router.get("/api/invitations")
async def listing(request: Request, caller: SignedIn) -> dict[str, Any]:
    """Every invitation, the newest first, with the account made by it; for registrars and the default admin."""
    wiring = wiring_of(request)
    await must_run_staff(wiring, caller)
    return {"invitations": [_view(caller, one) for one in await wiring.invitations.all()]}


@router.delete("/api/invitations/{invitation_id}", status_code=204)
async def withdraw(request: Request, caller: SignedIn, invitation_id: str) -> Response:
    """End one that was not used; one that was is only taken from the list. Raises 404."""
    wiring = wiring_of(request)
    await must_run_staff(wiring, caller)
    found = identifier(invitation_id)
    if found is None or not await wiring.invitations.withdraw(found):
        raise ProblemError(problem("not-found"))
    return Response(status_code=204)


def _view(caller: Caller, invitation: Invitation) -> dict[str, Any]:
    account = None if invitation.signer is None else actor_of(invitation.signer)
    return {
        "id": invitation.invitation_id.hex(),
        "name": invitation.name,
        "invited_by": checksum(invitation.invited_by),
        "created_at": invitation.created_at,
        "expires_at": invitation.expires_at,
        "status": _status(caller, invitation),
        "account": None if account is None else checksum(account),
        "used_at": invitation.used_at,
        "has_role": any(held == account for _role, held in caller.standing.head.roles),
    }


def _status(caller: Caller, invitation: Invitation) -> str:
    if invitation.signer is not None:
        return "used"
    return "open" if caller.now < invitation.expires_at else "expired"
