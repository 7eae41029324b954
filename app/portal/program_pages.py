"""The pages on which somebody lets a program act for them: asked by a browser that the program sent here, or by a code
that the program shows. They work without scripts, and a form counts only from a page of ours.
"""

from urllib.parse import urlencode

from authlib.oauth2.rfc6749 import OAuth2Error as OauthError
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from app.api.oauth.asking import answered, of_form, of_query, response
from app.api.oauth.discovery import AUTHORIZE, DEVICE, END_SESSION
from app.api.oauth.exchange import OauthRequest
from app.api.oauth.grants import CodeGrant
from app.api.wiring import Wiring
from app.core.http.problem import ProblemError, problem
from app.core.oauth.user_codes import read
from app.portal.asked_programs import AskedProgram, asked_by_browser, asked_by_code
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.program_answers import (
    address_of,
    answer_of,
    is_allowed,
    led_to,
    not_asked,
    question,
    said,
    signed_out,
)
from app.portal.templating import READ, page, short_address
from app.portal.tries import Tries
from app.portal.visitor import SIGN_IN, comes_from_elsewhere, session_of, without_session
from app.store.sessions import Session

# OpenID Connect Core §3.1.2.1, prompt=login: signed in anew, with the time it takes to come back and to read.
_ANEW_S = 120
_ANEW = "anew"
_TRIES, _TRIES_WITHIN_S = 10, 600.0


def program_pages(wiring: Wiring) -> APIRouter:
    """The routes of these pages."""
    router = page_router()
    authorizing, connecting = _Authorizing(wiring), _Connecting(wiring)
    router.add_api_route(AUTHORIZE, authorizing.ask, methods=READ)
    router.add_api_route(AUTHORIZE, authorizing.answered, methods=["POST"])
    router.add_api_route(DEVICE, connecting.ask, methods=READ)
    router.add_api_route(DEVICE, connecting.answered, methods=["POST"])
    router.add_api_route(END_SESSION, _Leaving(wiring).leave, methods=[*READ, "POST"])
    return router


class _Authorizing:
    """The authorization endpoint (RFC 6749 §3.1)."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._issuer = wiring.place.origin_url

    async def ask(self, request: Request) -> Response:
        """The question, once it is known that the program may put it, and to whom."""
        asked, session = of_query(request, self._issuer), await session_of(request)
        if asked is None:
            return not_asked(request)
        grant = await self._grant(request, asked, session)
        if isinstance(grant, Response):
            return grant
        if session is None:
            return without_session(request)
        if "none" in asked.parameters.get("prompt", "").split():
            # What somebody allowed once is not remembered: they are always asked
            return self._refused("consent_required", asked, grant)
        within_s = _signed_in_within_s(asked)
        if within_s is not None and self._wiring.clock() > session.began_at + within_s:
            text = N_("The program asks that you sign in anew, so that it is certain that it is you.")
            heading = N_("Sign in anew")
            return said(request, heading, text, form=address_of(request), answer=_ANEW, button=heading)
        wanted = await asked_by_browser(self._wiring, session, grant)
        return question(request, wanted, address_of(request))

    async def answered(self, request: Request) -> Response:
        """The person's answer. Everything is looked at again: the form carries nothing but yes or no."""
        given = await answer_of(request, self._issuer)
        asked, session = of_query(request, self._issuer), await session_of(request)
        if asked is None:
            return not_asked(request)
        if session is None:
            return led_to(address_of(request))
        if given.get("answer") == _ANEW:
            await self._wiring.sessions.revoke(session.token_hash)
            return led_to(f"{SIGN_IN}?{urlencode({'next': address_of(request)})}", leaving=True)
        allows = is_allowed(given)
        grant = await self._grant(request, asked, session)
        if isinstance(grant, Response):
            return grant
        wanted = await asked_by_browser(self._wiring, session, grant)
        if allows and not wanted.scope:
            return self._refused("invalid_scope", asked, grant)
        allowed, server = wanted.allowed(session) if allows else None, self._wiring.oauth
        return response(await answered(self._wiring, asked, lambda one: server.decided(one, grant, allowed)))

    async def _grant(self, request: Request, asked: OauthRequest, session: Session | None) -> CodeGrant | Response:
        """What the program asks for, or the answer to a request that is not right."""
        try:
            return await run_in_threadpool(self._wiring.oauth.wanted, asked, session)
        except OauthError as error:
            reply = self._wiring.oauth.refused(asked, error)
            return response(reply) if reply.location is not None else not_asked(request)

    def _refused(self, name: str, asked: OauthRequest, grant: CodeGrant) -> Response:
        error = OauthError(error=name, redirect_uri=grant.redirect_uri, state=asked.payload.state)
        return response(self._wiring.oauth.refused(asked, error))


class _Connecting:
    """The page for codes (RFC 8628 §3.3)."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._tries = Tries(_TRIES, _TRIES_WITHIN_S)

    async def ask(self, request: Request, user_code: str = "") -> Response:
        """Asks for the code, then shows it again with what the program wants."""
        session = await session_of(request)
        if session is None:
            return without_session(request)
        if not user_code:
            return page(request, "device.html", action=DEVICE, wrong=False)
        wanted = await self._waiting(session, user_code)
        return _no_such_code(request) if wanted is None else question(request, wanted, DEVICE)

    async def answered(self, request: Request) -> Response:
        """The person's answer, which the program hears when it asks next."""
        given = await answer_of(request, self._wiring.place.origin_url)
        session = await session_of(request)
        if session is None:
            return led_to(DEVICE)
        allows = is_allowed(given)
        wanted = await self._waiting(session, given.get("user_code", ""))
        if wanted is None or not wanted.scope:
            return _no_such_code(request)
        devices = self._wiring.oauth.ground.devices
        if not await run_in_threadpool(devices.answer, wanted.code, wanted.allowed(session) if allows else None):
            return _no_such_code(request)
        if not allows:
            text = N_("%(name)s is told that you do not allow it.")
            return said(request, N_("Not allowed"), text, name=wanted.client.name)
        text = N_("%(name)s goes on by itself now. You can close this page.")
        return said(request, N_("Done"), text, name=wanted.client.name)

    async def _waiting(self, session: Session, typed: str) -> AskedProgram | None:
        """The program that waits with the code that was typed. Raises 429: codes are not to be guessed."""
        now = float(self._wiring.clock())
        if self._tries.spent(session.actor, now):
            raise ProblemError(problem("too-many-requests").with_header("Retry-After", str(int(_TRIES_WITHIN_S))))
        code = read(typed)
        wanted = None if code is None else await asked_by_code(self._wiring, session, code)
        if wanted is None:
            self._tries.failed(session.actor, now)
        return wanted


class _Leaving:
    """The end of a sign-in, asked by a program (OpenID Connect RP-Initiated Logout 1.0)."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    async def leave(self, request: Request) -> Response:
        """With an ID token of ours it is done at once; without one the person is asked."""
        wiring, server = self._wiring, self._wiring.oauth
        issuer = wiring.place.origin_url
        asked = await of_form(request, issuer) if request.method == "POST" else of_query(request, issuer)
        if asked is None:
            return not_asked(request)
        try:
            ending = await run_in_threadpool(server.ending, asked)
        except OauthError:
            return not_asked(request)
        if not ending.needs_confirmation:
            reply = await answered(wiring, asked, lambda _: server.ended(ending))
            return signed_out(request) if reply is None else response(reply)
        session = await session_of(request)
        if session is None:
            return without_session(request) if comes_from_elsewhere(request) else signed_out(request)
        text = N_("A program asks that you, %(name)s, sign out here. Every program that you let in ends too.")
        account = short_address(session.actor)
        return said(request, N_("Sign out?"), text, name=account, form="/signout", button=N_("Sign out"))


def _no_such_code(request: Request) -> Response:
    return page(request, "device.html", status=404, action=DEVICE, wrong=True)


def _signed_in_within_s(asked: OauthRequest) -> int | None:
    given = asked.parameters
    wanted = [_ANEW_S] if "login" in given.get("prompt", "").split() else []
    oldest = given.get("max_age", "")
    if oldest.isascii() and oldest.isdecimal() and len(oldest) < 10:
        wanted.append(max(int(oldest), _ANEW_S))
    return min(wanted, default=None)
