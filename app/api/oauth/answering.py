"""The routes that programs ask: what there is, keys, tokens and their end, who signed in."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from app.api.caller import any_session_of, known_standing
from app.api.hexadecimal import checksum
from app.api.oauth.asking import served
from app.api.oauth.discovery import metadata
from app.api.wiring import wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import person
from app.core.http.problem import ProblemError, problem
from app.core.oauth.scopes import OPENID, PROFILE
from app.store.sessions import Session

router = APIRouter(tags=["sign-in for programs"])

# The same for everybody, and what programs ask first
_PUBLIC = {"Cache-Control": "public, max-age=300", "Vary": "Origin"}


@router.get("/.well-known/openid-configuration")
@router.get("/.well-known/oauth-authorization-server", include_in_schema=False)
async def configuration(request: Request) -> Response:
    """OpenID Connect Discovery 1.0 §4, RFC 8414."""
    return JSONResponse(metadata(wiring_of(request).place.origin_url), headers=_PUBLIC)


@router.get("/oauth/jwks")
async def keys(request: Request) -> Response:
    """The keys that ID tokens are signed with (RFC 7517)."""
    return JSONResponse(wiring_of(request).oauth.ground.key.public(), headers=_PUBLIC)


@router.post("/oauth/token")
async def token(request: Request) -> Response:
    """A token for an authorization code, a device code or a refresh token (RFC 6749 §3.2)."""
    wiring = wiring_of(request)
    return await served(request, wiring, wiring.oauth.token)


@router.post("/oauth/device_authorization")
async def device_authorization(request: Request) -> Response:
    """Codes for a program that has no browser of its own (RFC 8628 §3.1)."""
    wiring = wiring_of(request)
    return await served(request, wiring, wiring.oauth.device_authorization)


@router.post("/oauth/revoke")
async def revoke(request: Request) -> Response:
    """An end to a program's sign-in, whichever of its tokens is named, at once (RFC 7009)."""
    wiring = wiring_of(request)
    return await served(request, wiring, wiring.oauth.revocation)


@router.get("/oauth/userinfo")
@router.post("/oauth/userinfo", include_in_schema=False)
async def userinfo(request: Request, session: Annotated[Session, Depends(any_session_of)]) -> dict[str, Any]:
    """Who signed in, and for what (OpenID Connect Core §5.3). The directory's name, if the chain vouches for it."""
    scopes = (OPENID, PROFILE) if session.program is None else session.program.scope.split(" ")
    if OPENID not in scopes:
        raise ProblemError(problem("insufficient-scope"))
    told = {"sub": checksum(session.actor), "purpose": session.purpose.name}
    if PROFILE in scopes:
        wiring = wiring_of(request)
        standing, _ = known_standing(wiring)
        name = await grantee_name(wiring, standing, person(session.actor))
        if name is not None:
            told["name"] = name
    return told
