"""The pages that everybody may open: the start, signing in and out, the language."""

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app.api.wiring import wiring_of
from app.core.http.credentials import SESSION_COOKIE
from app.core.http.problem import ProblemError, problem
from app.portal.language import LANGUAGE_COOKIE
from app.portal.page_route import page_router
from app.portal.site import site_of
from app.portal.templating import READ, page
from app.portal.visitor import (
    SIGN_IN,
    caller_or_none,
    comes_from_elsewhere,
    form_of,
    local_path,
    must_come_from_here,
    session_of,
    without_session,
)

router = page_router()

_YEAR_S = 365 * 86400
_GOING = {"Cache-Control": "private, no-store"}


@router.api_route("/", methods=READ)
async def start(request: Request) -> Response:
    """Whoever has a section begins there; of several, in the one that they signed in for."""
    caller = await caller_or_none(request)
    if caller is None:
        return page(request, "start.html")
    theirs = [one for one in site_of(request).sections if one.is_for(caller)]
    if not theirs:
        return page(request, "start.html")
    section = next((one for one in theirs if caller.purpose in one.begins_for), theirs[0])
    return RedirectResponse(section.home_of(caller), 303, _GOING)


@router.api_route("/about", methods=READ)
async def about(request: Request) -> Response:
    """What this is, and how programs connect."""
    await caller_or_none(request)
    return page(request, "start.html")


@router.api_route(SIGN_IN, methods=READ)
async def signin(
    request: Request,
    next: str = "/",  # noqa: A002 - the parameter's name in the address
    again: str = "",
) -> Response:
    """``again``: also for somebody who is signed in, and now comes for another purpose."""
    caller = await caller_or_none(request)
    if caller is None and await session_of(request) is None and comes_from_elsewhere(request):
        return without_session(request)
    return page(request, "signin.html", after=local_path(next), again=bool(again))


@router.api_route("/contact", methods=READ)
async def contact(request: Request) -> Response:
    """Where a message's one-time link leads, on whichever device that is read: nobody need be signed in."""
    await caller_or_none(request)
    return page(request, "contact.html")


@router.post("/signout")
async def signout(request: Request) -> Response:
    must_come_from_here(request)
    session = await session_of(request)
    if session is not None:
        await wiring_of(request).sessions.revoke(session.token_hash)
    leaving = RedirectResponse(SIGN_IN, 303, _GOING)
    leaving.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return leaving


@router.post("/language")
async def language(request: Request) -> Response:
    """Choose the portal's language, on this device."""
    must_come_from_here(request)
    form = await form_of(request)
    tag = form.get("language", "")
    if tag not in site_of(request).languages.by_tag:
        raise ProblemError(problem("invalid-parameter"))
    going = RedirectResponse(local_path(form.get("next", "/")), 303, _GOING)
    # Lax, not Strict: a link in a mail should open in the language that was chosen
    going.set_cookie(LANGUAGE_COOKIE, tag, max_age=_YEAR_S, path="/", secure=True, httponly=True, samesite="lax")
    return going
