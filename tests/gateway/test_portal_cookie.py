"""The portal's cookie at the doors for images: for our own pages alone (ADR 16)."""

import pytest

from app.core.http.credentials import SESSION_COOKIE
from tests.core_entry.test_cross_site import ASKED, OTHER
from tests.gateway.conftest import MakeWorld
from tests.gateway.people import A1, ANNA, archive
from tests.gateway.test_wado_uri import uri
from tests.gateway.world import World

INSTANCE = f"/studies/{A1}/series/{A1}.1/instances/{A1}.1.1"
TARGETS = ["/studies", f"{INSTANCE}/metadata", f"{INSTANCE}/rendered", f"{INSTANCE}/frames/1", uri()]


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(archive())
    world.grant(await world.enrol(ANNA))
    return world


@pytest.mark.parametrize(("said", "counts"), ASKED)
async def test_the_cookie_opens_for_our_own_pages_alone(
    world: World, said: list[tuple[str, str]], *, counts: bool
) -> None:
    cookie = ("Cookie", f"other=1; {SESSION_COOKIE}={await world.token()}")
    reply = await world.ask(f"{INSTANCE}/rendered", None, cookie, *said)
    assert reply.status == (200 if counts else 401)
    # Whoever is refused cannot tell a cookie that is worth something from one that is not, or from none
    for others in ([], [("Cookie", f"{SESSION_COOKIE}=worthless")]):
        other = await world.ask(f"{INSTANCE}/rendered", None, *others, *said)
        assert other.status == 401
        assert other.header("www-authenticate") == 'Bearer realm="consentry"'
        assert counts or (other.headers, other.body) == (reply.headers, reply.body)


@pytest.mark.parametrize(("said", "counts"), ASKED)
async def test_no_other_page_stores(world: World, said: list[tuple[str, str]], *, counts: bool) -> None:
    cookie = ("Cookie", f"{SESSION_COOKIE}={await world.token()}")
    reply = await world.ask("/studies", None, cookie, *said, method="POST")
    # Whom the cookie lets in has no role to store
    assert (reply.status, reply.problem) == ((403, "forbidden") if counts else (401, "unauthenticated"))


@pytest.mark.parametrize("target", TARGETS)
async def test_every_door_takes_it(world: World, target: str) -> None:
    token = await world.token()
    by_cookie = await world.ask(
        target, None, ("Cookie", f"{SESSION_COOKIE}={token}"), ("Sec-Fetch-Site", "same-origin")
    )
    by_token = await world.ask(target, token)
    # Boundaries differ
    assert (by_cookie.status, len(by_cookie.body)) == (200, len(by_token.body))
    for reply in (by_cookie, by_token):
        assert reply.header("cross-origin-resource-policy") == "same-origin"
        varies = reply.header("vary")
        assert varies is not None
        assert varies.startswith("Authorization, Cookie")


async def test_a_token_is_good_from_anywhere_and_a_cookie_never_helps_it(world: World) -> None:
    token = await world.token()
    cookie = ("Cookie", f"{SESSION_COOKIE}={token}")
    assert (await world.ask("/studies", token, ("Sec-Fetch-Site", "cross-site"), ("Origin", OTHER))).status == 200
    bad = await world.ask("/studies", "worthless", cookie, ("Sec-Fetch-Site", "same-origin"))
    assert bad.problem == "unauthenticated"
    basic = await world.ask(
        "/studies", None, cookie, ("Authorization", "Basic eDp5"), ("Sec-Fetch-Site", "same-origin")
    )
    assert basic.problem == "unauthenticated"


async def test_two_cookies_are_none(world: World) -> None:
    token = await world.token()
    twice = ("Cookie", f"{SESSION_COOKIE}={token}; {SESSION_COOKIE}={token}")
    reply = await world.ask("/studies", None, twice, ("Sec-Fetch-Site", "same-origin"))
    assert reply.problem == "ambiguous-credentials"
