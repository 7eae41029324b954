"""Which programs somebody let in, for them to look at and to end, and tokens that they make for programs themselves."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.hexadecimal import from_hex
from app.api.oauth.ground import OauthGround
from app.api.wiring import wiring_of
from app.core.consent.terms import Purpose, Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address, UnixTime
from app.core.oauth.scopes import IMAGES, UPLOAD, granted, read
from app.store.oauth_grants import OWN_PREFIX, Allowed, Issued
from app.store.sessions import new_token

router = APIRouter(tags=["sign-in for programs"])

OFFERED = ("TREAT", "COC", "CAREMGT", "HOPERAT", "HQUALIMP", "HRESCH", "PUBHLTH")

_SHORTEST_S = 60
_NAME = r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
_MAKERS = (Role.PHYSICIAN, Role.EMERGENCY, Role.UPLOADER)


class TokenWanted(Strict):
    """A token to be made. ``lifetime_s``: no longer than whatever comes of one sign-in. Emergency treatment is no
    purpose of it: breaking the glass takes a signature of its own.
    """

    name: Annotated[str, Field(max_length=60, pattern=_NAME)]
    purpose: Literal["TREAT", "COC", "CAREMGT", "HOPERAT", "HQUALIMP", "HRESCH", "PUBHLTH"] = "TREAT"
    lifetime_s: Annotated[int, Field(ge=_SHORTEST_S)]
    scope: Annotated[str, Field(max_length=100)] = IMAGES


@router.get("/api/programs")
async def programs(request: Request, caller: SignedIn) -> dict[str, Any]:
    """The programs that may act for the caller now. Unix seconds; ``ends_at`` is when they have to ask again."""
    ground = wiring_of(request).oauth.ground
    return {"programs": await run_in_threadpool(acting_for, ground, caller.actor)}


def acting_for(ground: OauthGround, actor: Address) -> list[dict[str, Any]]:
    """The programs that may act for somebody now, the newest first. Blocks."""
    names = {client.client_id: client.name for client in ground.clients.all()}
    return [
        {
            "id": "0x" + one.family.hex(),
            "client_id": one.client_id,
            "name": names.get(one.client_id, one.client_id.removeprefix(OWN_PREFIX)),
            "scope": one.allowed.scope,
            "purpose": one.allowed.purpose.name,
            "began_at": one.began_at,
            "ends_at": one.ends_at,
        }
        for one in ground.grants.of_actor(actor)
    ]


@router.post("/api/programs/tokens", status_code=201, openapi_extra=documented(TokenWanted))
async def make(
    request: Request,
    response: Response,
    caller: SignedIn,
    asked: Annotated[TokenWanted, Depends(body_of(TokenWanted))],
) -> dict[str, Any]:
    """Make a token that opens DICOMweb alone; it is shown here and never again. It ends as a program's tokens do: by
    ``/api/programs/{id}/end``, at its time, and with a sign-out where it was made. For physicians, holders of the
    emergency role and uploaders; a scope that the caller has not themselves is left out.
    """
    if not may_make(caller):
        raise ProblemError(problem("forbidden"))
    ground = wiring_of(request).oauth.ground
    scope = _scope(asked.scope, caller)
    if not scope or asked.lifetime_s > ground.refresh_lifetime_s:
        raise ProblemError(problem("invalid-request"))
    token, ends_at = new_token(), UnixTime(ground.clock() + asked.lifetime_s)
    session = caller.session
    allowed = Allowed(session.actor, Purpose[asked.purpose], scope, session.began_at, session.token_hash)
    issued = Issued(token, ends_at, None, ends_at)
    family = await run_in_threadpool(ground.grants.begin_by_person, asked.name, allowed, issued)
    if family is None:
        raise ProblemError(problem("unauthenticated"))
    response.headers["Cache-Control"] = "no-store"
    return {
        "id": "0x" + family.hex(),
        "name": asked.name,
        "scope": scope,
        "purpose": asked.purpose,
        "ends_at": ends_at,
        "token": token,
    }


def may_make(caller: Caller) -> bool:
    """Whether tokens are for them: whoever reads or stores images by a role."""
    return any(caller.holds(role) for role in _MAKERS)


def _scope(wanted: str, caller: Caller) -> str:
    asked = read(wanted)
    may_upload = caller.holds(Role.UPLOADER)
    return "" if asked is None else granted(asked, {IMAGES, UPLOAD}, may_upload=may_upload)


@router.post("/api/programs/{identity}/end", status_code=204)
async def end(request: Request, identity: str, caller: SignedIn) -> None:
    """End what the program may do: all its tokens, here at once and on other gateways within two seconds."""
    wiring = wiring_of(request)
    grants = wiring.oauth.ground.grants
    own = {"0x" + one.family.hex() for one in await run_in_threadpool(grants.of_actor, caller.actor)}
    if identity not in own:
        raise ProblemError(problem("not-found"))
    wiring.sessions.forget(await run_in_threadpool(grants.end_family, from_hex(identity)))
