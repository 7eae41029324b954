"""What holds for every answer of the API, whatever its routes do."""

import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from app.api.application import create_application
from app.api.envelope import BrokenOffError, Envelope
from app.store.engine import ConflictError
from tests.api.in_process import asked

_SECRET = "Doe^Jane"


async def _asked(
    app: Any, query: bytes = b"", method: str = "GET", path: str = "/"
) -> tuple[int, dict[str, str], bytes]:
    answer = await asked(app, method, f"{path}?{query.decode()}")
    return answer.status_code, answer.headers, answer.body


def _app(respond: Callable[[Request], Awaitable[Response]]) -> Envelope:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await respond(Request(scope))
        await response(scope, receive, send)

    return Envelope(app)


async def test_every_answer_may_hold_phi() -> None:
    async def fine(_request: Request) -> Response:
        return PlainTextResponse("fine")

    _, headers, _ = await _asked(_app(fine))
    assert headers["cache-control"] == "private, no-store"
    assert headers["vary"] == "Authorization, Cookie"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"


async def test_a_route_may_say_otherwise() -> None:
    async def page(_request: Request) -> Response:
        return PlainTextResponse("page", headers={"Cache-Control": "no-cache"})

    assert (await _asked(_app(page)))[1]["cache-control"] == "no-cache"


@pytest.mark.parametrize("query", [b"a=1&a=2", b"a&a", b"a=1&%61=2", b"a=&b=1&a="])
async def test_a_name_said_twice_is_ambiguous(query: bytes) -> None:
    async def fine(_request: Request) -> Response:
        return PlainTextResponse("fine")

    status, headers, body = await _asked(_app(fine), query)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert b"ambiguous-parameter" in body
    assert (await _asked(_app(fine), b"a=1&b=1"))[0] == 200


async def test_p17_no_text_of_a_failure_leaves(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(_request: Request) -> Response:
        raise ValueError(_SECRET)

    with caplog.at_level(logging.DEBUG):
        status, headers, body = await _asked(_app(failing))
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert _SECRET.encode() not in body
    assert "ValueError" in caplog.text
    assert _SECRET not in caplog.text


async def test_p17_what_had_begun_breaks_off_without_a_text(caplog: pytest.LogCaptureFixture) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError(_SECRET)

    with caplog.at_level(logging.DEBUG), pytest.raises(BrokenOffError) as broken:
        await _asked(Envelope(app))
    assert str(broken.value) == ""
    assert broken.value.__suppress_context__
    assert _SECRET not in caplog.text


async def test_who_has_left_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ClientDisconnect

    with pytest.raises(IndexError):  # nothing was sent
        await _asked(Envelope(app))
    assert not caplog.records


async def test_p17_the_application_itself_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    wiring: Any = None  # whatever a route asks of it fails
    status, _, body = await _asked(create_application(wiring), path="/metrics")
    assert status == 500
    assert b"urn:consentry:problem:internal" in body
    assert "while answering /metrics" in caplog.text


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/api/consents", "GET, POST"), ("/api/access-requests", "GET, POST"), ("/healthz", "GET")],
)
async def test_all_methods_of_a_path_are_named(path: str, allowed: str) -> None:
    wiring: Any = None
    status, headers, _ = await _asked(create_application(wiring), method="DELETE", path=path)
    assert (status, headers["allow"]) == (405, allowed)


async def test_of_two_at_once_the_second_conflicts() -> None:
    wiring: Any = None
    application = create_application(wiring)

    @application.get("/second")
    async def second() -> None:
        raise ConflictError("a row with this key is already there")

    status, _, body = await _asked(application, path="/second")
    assert (status, b"urn:consentry:problem:conflict" in body) == (409, True)


def test_the_description_refers_to_nothing_that_it_lacks() -> None:
    wiring: Any = None
    document = create_application(wiring).openapi()
    text = json.dumps(document)
    referred = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', text))
    assert referred <= set(document["components"]["schemas"])
    assert "$defs" not in text
    scope = document["paths"]["/api/consents/typed-data"]["post"]["requestBody"]["content"]["application/json"]
    assert "studies" in json.dumps(scope["schema"]["properties"]["scope"])
