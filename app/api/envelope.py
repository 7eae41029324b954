"""What holds for every answer of the JSON API, whichever route makes it: headers, queries with one meaning, and an end
to every failure.
"""

import logging
import re
import traceback
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.http.problem import MEDIA_TYPE, Problem, problem

_LOG = logging.getLogger(__name__)
# An answer that may hold PHI is kept by nobody and serves nobody else; a route that answers pages may say otherwise.
_UNLESS_SAID = {
    "Cache-Control": "private, no-store",
    "Vary": "Authorization, Cookie",
    "X-Content-Type-Options": "nosniff",
    # A page of a neighbouring host brings the portal's cookie along; it may take no answer into itself
    "Cross-Origin-Resource-Policy": "same-origin",
}

# What stands in the query of the viewer's pages is read by the viewer, which takes several studies so.
_VIEWERS = re.compile(r"/viewer(?:/|\Z)").match
# These say in their own words that a parameter is there twice (app/core/oauth/form.py).
_OAUTH = re.compile(r"/oauth/").match


class BrokenOffError(Exception):
    """An answer that had begun could not be ended. Has no text: what went wrong is in the log, without its input."""


class Envelope:
    """ASGI middleware around the API's routes. Nothing that a route raises passes it.

    Starlette's own last resort answers and then raises again for the server to log, text and all; a text may quote
    what it choked on (P17).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in _UNLESS_SAID.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            by_themselves = _VIEWERS(scope["path"]) or _OAUTH(scope["path"])
            if not by_themselves and _says_a_name_twice(scope["query_string"]):
                await answer(problem("ambiguous-parameter"))(scope, receive, sent)
            else:
                await self._app(scope, receive, sent)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Exception as error:  # noqa: BLE001 - the last one who could catch it
            report(error, scope)
            if begun:
                raise BrokenOffError from None
            await answer(problem("internal"))(scope, receive, sent)


def report(error: Exception, scope: Scope) -> None:
    """Into the log: what went wrong and where, nothing of what it choked on (P17)."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    path = getattr(scope.get("route"), "path", "?")
    _LOG.error("%s in %s line %s while answering %s", type(error).__name__, where.name, where.lineno, path)


def answer(what: Problem) -> Response:
    """A problem as a response."""
    return Response(what.body(), what.status, dict(what.headers), MEDIA_TYPE)


def _says_a_name_twice(query: bytes) -> bool:
    names = [name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)]
    return len(set(names)) < len(names)
