"""The pages people open in a browser: the start, signing in and out, and what pages are made of."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from app.core.http.credentials import SESSION_COOKIE
from app.core.http.problem import ProblemError, problem
from app.portal.templating import GUARDING, READ, page
from app.portal.viewer import viewer
from app.portal.viewer_files import ViewerFolder
from app.portal.visitor import SIGN_IN, comes_from_elsewhere, local_path, session_of, without_session
from app.store.sessions import Session, Sessions

_STATIC = Path(__file__).parent / "static"
_PARTS = {
    "consentry.css": "text/css",
    "icon.svg": "image/svg+xml",
    "signin.js": "text/javascript",
    "contact.js": "text/javascript",
}


def pages(origin_url: str, viewer_dir: Path, sessions: Sessions) -> APIRouter:
    """The routes of the portal. ``origin_url``: scheme and host as people reach this gateway. ``viewer_dir``: what
    ``make viewer`` fills.
    """
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=READ)
    async def start(request: Request) -> Response:
        session = await session_of(request, sessions)
        return page("start.html", origin=origin_url, account=_account(session))

    @router.api_route(SIGN_IN, methods=READ)
    async def signin(request: Request, next: str = "/") -> Response:  # noqa: A002 - the parameter's name in the address
        session = await session_of(request, sessions)
        if session is None and comes_from_elsewhere(request):
            return without_session(request)
        return page("signin.html", origin=origin_url, account=_account(session), after=local_path(next))

    @router.api_route("/contact", methods=READ)
    async def contact() -> Response:
        # Opened from a message, on whichever device that is read: nobody need be signed in
        return page("contact.html", origin=origin_url)

    @router.post("/signout")
    async def signout(request: Request) -> Response:
        # A cookie is sent by the browser whoever asks: a change must come from our own pages.
        if request.headers.get("origin") != origin_url:
            raise ProblemError(problem("forbidden"))
        session = await session_of(request, sessions)
        if session is not None:
            await sessions.revoke(session.token_hash)
        leaving = RedirectResponse(SIGN_IN, 303, {"Cache-Control": "private, no-store"})
        leaving.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
        return leaving

    @router.api_route("/static/{name}", methods=READ)
    async def part(name: str) -> FileResponse:
        if name not in _PARTS:
            raise HTTPException(404)
        headers = {**GUARDING, "Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-cache"}
        return FileResponse(_STATIC / name, media_type=_PARTS[name], headers=headers)

    router.include_router(viewer(origin_url, ViewerFolder(viewer_dir), sessions))
    return router


def _account(session: Session | None) -> str:
    """The wallet's address, short enough to be compared by eye; "" when nobody is signed in."""
    if session is None:
        return ""
    digits = session.actor.hex()
    return f"0x{digits[:6]}…{digits[-4:]}"
