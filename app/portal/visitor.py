"""Who opens a page, and where they may be sent."""

import re
from typing import Annotated
from urllib.parse import parse_qs, urlencode

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from app.api.caller import Caller, known_standing
from app.api.wiring import wiring_of
from app.core.http.credentials import token_of
from app.core.http.problem import Problem, ProblemError, problem
from app.portal.site import site_of
from app.portal.templating import page
from app.store.sessions import Session

SIGN_IN = "/signin"
_LONGEST_PATH = 4096
_LONGEST_FORM_BYTES = 8192
# A path of this host: `//` and `/\` begin an address of another one, and browsers drop tabs and line ends.
_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")


class NotSignedInError(Exception):
    """A page was opened that only somebody who is signed in may see."""


def local_path(asked: str, otherwise: str = "/") -> str:
    """``asked`` if it is a path on this host, with or without a query; else ``otherwise``."""
    return asked if len(asked) <= _LONGEST_PATH and _LOCAL_PATH.fullmatch(asked) else otherwise


async def session_of(request: Request) -> Session | None:
    """The session of the portal's cookie; None when there is none, and for a program's token, which opens no page.

    Raises StoreUnavailableError.
    """
    token = token_of(request.scope["headers"], cookie=True)
    found = None if isinstance(token, Problem) else await wiring_of(request).sessions.find(token)
    session = found if found is not None and found.reach.api else None
    request.state.session = session  # for the frame around the page
    return session


async def caller_or_none(request: Request) -> Caller | None:
    """Who is signed in, as the chain knows them; None for nobody, and while the chain's state is not known."""
    session = await session_of(request)
    if session is None or wiring_of(request).standing() is None:
        return None
    return await reader_of(request)


async def reader_of(request: Request) -> Caller:
    """Who opens the page. Raises NotSignedInError, StoreUnavailableError, or 503 while the chain's state is not
    known.
    """
    session = await session_of(request)
    if session is None:
        raise NotSignedInError
    wiring = wiring_of(request)
    standing, now = known_standing(wiring)
    is_admin = await wiring.default_admin.find() == session.actor
    request.state.caller = Caller(session, standing, now, is_admin)
    return request.state.caller  # type: ignore[no-any-return]


# For a page that only somebody who is signed in may open.
Reader = Annotated[Caller, Depends(reader_of)]


def must_come_from_here(request: Request) -> None:
    """Raises 403 for a form of another site: a cookie is sent by the browser whoever asks."""
    if request.headers.get("origin") != site_of(request).origin_url:
        raise ProblemError(problem("forbidden"))


def comes_from_elsewhere(request: Request) -> bool:
    """True for a navigation that another site's page began (Fetch Metadata)."""
    return request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}


def without_session(request: Request) -> Response:
    """The answer to a navigation that carries no session: sign in, then come back.

    The session's cookie is SameSite=Strict, so a link in a mail or in another system's page does not carry it. Such a
    navigation is made again from a page of ours: then the cookie comes along if there is one.
    """
    query = request.scope["query_string"].decode("latin-1")
    asked = local_path(request.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""))
    if comes_from_elsewhere(request):
        return page(request, "again.html", address=asked)
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': asked})}", 303, {"Cache-Control": "private, no-store"})


def short_account(session: Session | None) -> str:
    """The wallet's address, short enough to be compared by eye; "" when nobody is signed in."""
    if session is None:
        return ""
    digits = session.actor.hex()
    return f"0x{digits[:6]}…{digits[-4:]}"


async def form_of(request: Request) -> dict[str, str]:
    """A small form's fields, the first of each name. Raises 413."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM_BYTES:
            raise ProblemError(problem("payload-too-large"))
    return {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
