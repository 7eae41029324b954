"""CORS at every door, and what anybody may learn of the service without a token."""

import json
from typing import Any

import pytest

from app.core.http.cors import CorsRules
from app.core.http.credentials import SESSION_COOKIE
from app.gateway.cors import Cors
from app.gateway.front import Front
from tests.gateway.conftest import MakeWorld
from tests.gateway.people import A1, ANNA, MISSING, archive
from tests.gateway.test_wado_uri import uri
from tests.gateway.world import PUBLIC_URL, Reply, World, ask

VIEWER, OTHER = "https://viewer.example", "https://evil.example"
INSTANCE = f"/studies/{A1}/series/{A1}.1/instances/{A1}.1.1"
DOORS = ["/studies", f"{INSTANCE}/rendered", f"{INSTANCE}/nowhere", uri(), "/", "", "/studies/..%2f"]


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(archive())
    world.grant(await world.enrol(ANNA))
    return world


async def _rest(_scope: Any, _receive: Any, send: Any) -> None:
    """What is not images, in place of the JSON API."""
    headers = [(b"Vary", b"Accept"), (b"x-rest", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"rest"})


def everything(world: World) -> Cors:
    return Cors(Front(world.dicomweb, _rest), CorsRules(frozenset({VIEWER.encode()})))


async def through(world: World, target: str, *headers: tuple[str, str], method: str = "GET") -> Reply:
    given = [(name.lower().encode(), value.encode()) for name, value in headers]
    return await ask(everything(world), target, given, method=method)


PREFLIGHT = [("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "authorization, range")]


@pytest.mark.parametrize("door", DOORS)
async def test_a_preflight_needs_no_token_and_asks_nobody(world: World, door: str) -> None:
    reply = await through(world, door, ("Origin", VIEWER), *PREFLIGHT, method="OPTIONS")
    assert (reply.status, reply.body, reply.complete) == (204, b"", True)
    assert reply.header("access-control-allow-origin") == VIEWER
    assert "Authorization" in (reply.header("access-control-allow-headers") or "")
    assert reply.header("access-control-allow-credentials") is None
    assert (reply.header("vary") or "").startswith("Origin")
    assert world.origin.calls == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("door", DOORS)
async def test_other_pages_are_granted_nothing(world: World, door: str) -> None:
    token = ("Authorization", f"Bearer {await world.token()}")
    for method, headers in (("OPTIONS", PREFLIGHT), ("GET", [token]), ("GET", [])):
        reply = await through(world, door, ("Origin", OTHER), *headers, method=method)
        assert not [name for name, _ in reply.headers if name.startswith(b"access-control-")]
        assert "Origin" in (reply.header("vary") or "").split(", ")


@pytest.mark.parametrize("door", DOORS)
async def test_listed_pages_may_read_whatever_is_answered(world: World, door: str) -> None:
    for headers in ([("Authorization", f"Bearer {await world.token()}")], []):
        reply = await through(world, door, ("Origin", VIEWER), *headers)
        assert reply.status in {200, 400, 401, 404}
        assert reply.header("access-control-allow-origin") == VIEWER
        exposed = reply.header("access-control-expose-headers") or ""
        assert {"Access-Record-Id", "Warning", "WWW-Authenticate"} <= set(exposed.split(", "))
        varies = (reply.header("vary") or "").split(", ")
        assert {"Authorization", "Cookie", "Origin"} <= set(varies)


async def test_a_page_of_another_origin_has_no_use_of_the_cookie(world: World) -> None:
    cookie = ("Cookie", f"{SESSION_COOKIE}={await world.token()}")
    for site in ("same-site", "cross-site", "same-origin"):
        reply = await through(world, "/studies", ("Origin", VIEWER), cookie, ("Sec-Fetch-Site", site))
        assert reply.status == 401


@pytest.mark.parametrize("path", ["/wado/", "/wadox", "/wado;x", "/dicom-webx", "/"])
async def test_what_is_not_images_is_the_others_business(world: World, path: str) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "raw_path": path.encode(), "path": path, "headers": []}
    await everything(world)(scope, None, send)  # type: ignore[arg-type]
    assert [message.get("body") for message in sent] == [None, b"rest"]
    assert sent[0]["headers"] == [(b"x-rest", b"1"), (b"vary", b"Accept, Origin")]


async def test_lifespan_and_sockets_pass(world: World) -> None:
    seen: list[str] = []

    async def rest(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    app = Cors(Front(world.dicomweb, rest), CorsRules(frozenset()))
    for kind in ("lifespan", "websocket"):
        await app({"type": kind, "headers": []}, None, None)  # type: ignore[arg-type]
    assert seen == ["lifespan", "websocket"]


@pytest.mark.parametrize("target", ["/", ""])
async def test_anybody_may_ask_what_the_service_can_do(world: World, target: str) -> None:
    reply = await world.ask(target, None, method="OPTIONS")
    assert (reply.status, reply.header("content-type")) == (200, "application/vnd.sun.wadl+xml")
    assert reply.body.count(b"<method ") > 25
    in_json = await world.ask(target, None, ("Accept", "application/json"), method="OPTIONS")
    assert json.loads(in_json.body)["application"]["resources"]["base"] == PUBLIC_URL
    assert (await world.ask(target, None, ("Accept", "text/html"), method="OPTIONS")).problem == "not-acceptable"
    assert (await world.ask(target, None)).status == 401
    assert world.origin.calls == []  # type: ignore[attr-defined]
    assert world.journal.records == []


async def test_options_says_what_a_path_takes(world: World) -> None:
    read, stored = "GET, HEAD, OPTIONS", "GET, HEAD, OPTIONS, POST"
    for target, allowed in (
        ("/studies", stored),
        (f"/studies/{MISSING}", stored),
        (f"/studies/{MISSING}/metadata", read),
        (INSTANCE, read),
        (f"{INSTANCE}/bulkdata/7fe00010", read),
    ):
        reply = await world.ask(target, None, method="OPTIONS")
        assert (reply.status, reply.header("allow")) == (204, allowed), target
    assert (await world.ask("/studies/..", None, method="OPTIONS")).problem == "invalid-uid"
    assert (await world.ask("/patients", None, method="OPTIONS")).problem == "not-found"
