"""The CORS protocol around the whole application: for images, sign-in and the JSON API alike."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.http.cors import CorsRules, Headers

_VARY = (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")


class Cors:
    """ASGI middleware. Pages of origins that are not listed get the answers that programs get, and cannot read them."""

    def __init__(self, app: ASGIApp, rules: CorsRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: Headers = scope["headers"]
        preflight = self._rules.preflight(scope["method"], headers)
        if preflight is not None:
            await send({"type": "http.response.start", "status": 204, "headers": [*preflight, _VARY]})
            await send({"type": "http.response.body", "body": b""})
            return
        granted = self._rules.granted(headers)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*_joined(message.get("headers", ())), *granted]
            await send(message)

        await self._app(scope, receive, sent)


def _joined(headers: Headers) -> Headers:
    """The headers with Origin among what the answer varies by, in the one Vary there is."""
    varies = [value for name, value in headers if name.lower() == b"vary"]
    others = [(name, value) for name, value in headers if name.lower() != b"vary"]
    return [*others, (b"vary", b", ".join([*varies, b"Origin"]))]
