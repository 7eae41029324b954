"""An HTTP request made into one that Authlib understands, and what it answers into an HTTP answer."""

import json
from collections.abc import Callable
from typing import TypeVar

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.oauth.exchange import DESCRIPTIONS, OauthRequest, Reply
from app.api.wiring import Wiring
from app.core.http.problem import ProblemError, problem
from app.core.oauth.form import MAX_BYTES, parameters

Found = TypeVar("Found")
_FORM = "application/x-www-form-urlencoded"


def of_query(request: Request, issuer: str) -> OauthRequest | None:
    """A request whose parameters are in its address. None: malformed, or one of them twice."""
    return _of(request, issuer, request.scope["query_string"])


async def of_form(request: Request, issuer: str) -> OauthRequest | None:
    """One whose parameters are in its body, and nothing in its address. None: malformed, or one of them twice.

    Raises 413.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await bounded(request)
    if request.scope["query_string"] or (body and media_type != _FORM):
        return None
    return _of(request, issuer, body)


async def served(request: Request, wiring: Wiring, work: Callable[[OauthRequest], Reply]) -> Response:
    """What the authorization server says to a form, in a thread."""
    asked = await of_form(request, wiring.place.origin_url)
    if asked is None:
        name = "invalid_request"
        return response(Reply(400, {"error": name, "error_description": DESCRIPTIONS[name]}))
    # Anybody may ask, and most of it writes: a few at a time, or they would crowd out the journal's writes
    async with wiring.oauth.turns:
        return response(await answered(wiring, asked, work))


async def answered(wiring: Wiring, asked: OauthRequest, work: Callable[[OauthRequest], Found]) -> Found:
    """What comes of it, worked out in a thread; what ended meanwhile is over here before anything is said."""
    try:
        return await run_in_threadpool(work, asked)
    finally:
        wiring.sessions.forget(asked.ended)


def response(reply: Reply) -> Response:
    """As HTTP. A redirection that follows a form is a 303: the browser must not send the form on (RFC 9700 §4.12)."""
    headers = {name: value for name, value in reply.headers if name != "Content-Type"}
    headers |= {"Cache-Control": "no-store", "Pragma": "no-cache"}
    if reply.location is not None:
        return Response(status_code=303, headers=headers)
    return Response(json.dumps(reply.body), reply.status, headers, "application/json")


async def bounded(request: Request) -> bytes:
    """The body, read no further than one piece past the limit. Raises 413."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_BYTES:
            raise ProblemError(problem("payload-too-large"))
    return bytes(received)


def _of(request: Request, issuer: str, raw: bytes) -> OauthRequest | None:
    given = parameters(raw)
    if given is None:
        return None
    return OauthRequest(request.method, issuer + request.scope["path"], given, dict(request.headers))
