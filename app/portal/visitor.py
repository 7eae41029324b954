"""Who opens a page, and where they may be sent."""

import re
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app.core.http.credentials import token_of
from app.core.http.problem import Problem
from app.portal.templating import page
from app.store.sessions import Session, Sessions

SIGN_IN = "/signin"
_LONGEST_PATH = 4096
# A path of this host: `//` and `/\` begin an address of another one, and browsers drop tabs and line ends.
_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def local_path(asked: str, otherwise: str = "/") -> str:
    """``asked`` if it is a path on this host, with or without a query; else ``otherwise``."""
    return asked if len(asked) <= _LONGEST_PATH and _LOCAL_PATH.fullmatch(asked) else otherwise


async def session_of(request: Request, sessions: Sessions) -> Session | None:
    """The session of the portal's cookie; None when there is none, and for a program's token, which opens no page.

    Raises StoreUnavailableError.
    """
    token = token_of(request.scope["headers"], cookie=True)
    session = None if isinstance(token, Problem) else await sessions.find(token)
    return session if session is not None and session.reach.api else None


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
        return page("again.html", address=asked)
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': asked})}", 303, {"Cache-Control": "private, no-store"})


def short_account(session: Session | None) -> str:
    """The wallet's address, short enough to be compared by eye; "" when nobody is signed in."""
    if session is None:
        return ""
    digits = session.actor.hex()
    return f"0x{digits[:6]}…{digits[-4:]}"
