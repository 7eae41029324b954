"""A program's token at the doors for images: it opens what it was issued for, and nothing once it is revoked."""

import os
import time
from dataclasses import dataclass

import pytest

from app.core.consent.terms import Purpose
from app.core.identifiers import Address, Signer, UnixTime
from app.pacs.origin import OriginAnswer
from app.store.oauth_grants import Allowed, Code, Issued, OauthGrants
from app.store.sessions import new_token
from tests.gateway.conftest import MakeWorld
from tests.gateway.memory_origin import Body, MemoryOrigin
from tests.gateway.people import A1, ANNA, archive
from tests.gateway.test_wado_uri import uri
from tests.gateway.uploading import UPLOADER, may_upload, taken, upload
from tests.gateway.world import PHYSICIAN, World

INSTANCE = f"/studies/{A1}/series/{A1}.1/instances/{A1}.1.1"
READING = ["/studies", f"/studies/{A1}", f"{INSTANCE}/metadata", f"{INSTANCE}/frames/1", f"{INSTANCE}/rendered", uri()]


@dataclass(frozen=True, slots=True)
class Token:
    """One program's token, of somebody who is signed in."""

    text: str
    family: bytes
    person: bytes


async def program(world: World, scope: str, actor: Address = PHYSICIAN, purpose: Purpose = Purpose.TREAT) -> Token:
    """As the authorization server issues it."""
    ends_at = UnixTime(int(time.time()) + 3600)
    _, person = await world.sessions.create(Signer(actor), Purpose.COC, ends_at)
    grants, text = OauthGrants(world.database), new_token()
    allowed = Allowed(actor, purpose, scope, person.began_at, person.token_hash)
    code = Code(os.urandom(32), "viewer", "https://v/cb", "c" * 43, None, allowed, ends_at)
    grants.keep_code(code)
    family = grants.begin_by_code(code, Issued(text, ends_at, None, ends_at))
    assert family is not None
    return Token(text, family, person.token_hash)


@pytest.fixture
def origin() -> MemoryOrigin:
    return archive()


@pytest.fixture
async def world(make_world: MakeWorld, origin: MemoryOrigin) -> World:
    world = await make_world(origin)
    world.grant(await world.enrol(ANNA))
    may_upload(world)
    return world


@pytest.mark.parametrize(
    ("scope", "reads", "stores"),
    [
        ("dicomweb", True, False),
        ("openid profile dicomweb offline_access purpose:TREAT", True, False),
        ("dicomweb.upload", False, True),
        ("dicomweb dicomweb.upload", True, True),
        ("openid", False, False),
        ("offline_access", False, False),
        ("", False, False),
    ],
)
async def test_it_opens_what_it_was_issued_for(
    world: World, origin: MemoryOrigin, scope: str, *, reads: bool, stores: bool
) -> None:
    token = (await program(world, scope)).text
    for target in READING:
        reply = await world.ask(target, token)
        assert reply.status == (200 if reads else 403), target
        if not reads:
            assert reply.problem == "insufficient-scope"
            assert reply.header("www-authenticate") == 'Bearer realm="consentry", error="insufficient_scope"'
    assert reads or origin.calls == []
    uploader = (await program(world, scope, UPLOADER)).text
    stored = await upload(world, uploader, taken(ANNA, "2.25.700", 1).part10())
    assert stored.status == (200 if stores else 403)
    if not stores:
        assert stored.problem == "insufficient-scope"
    # The role is asked for all the same
    assert (await upload(world, token, taken(ANNA, "2.25.700", 2).part10())).status == 403


async def test_what_it_lacks_is_the_same_whatever_is_asked_for(world: World) -> None:
    token = (await program(world, "openid")).text
    asked = ["/studies", f"/studies/{A1}", "/studies/1.2.999", "/studies/x", "/nothing", "/studies?limit=-1"]
    replies = [await world.ask(target, token) for target in asked]
    assert len({(reply.status, reply.body, tuple(reply.headers)) for reply in replies}) == 1


async def test_its_purpose_is_the_one_that_was_allowed(world: World) -> None:
    token = (await program(world, "dicomweb", purpose=Purpose.HRESCH)).text
    assert (await world.ask(INSTANCE, token)).status == 404, "consent is for treatment"
    token = (await program(world, "dicomweb")).text
    assert (await world.ask(INSTANCE, token)).status == 200
    (record,) = world.journal.records
    assert record.purpose is Purpose.TREAT


async def test_revoked_it_opens_nothing_at_once(world: World) -> None:
    token = await program(world, "dicomweb")
    assert (await world.ask(INSTANCE, token.text)).status == 200
    world.sessions.forget(OauthGrants(world.database).end_family(token.family))
    assert (await world.ask(INSTANCE, token.text)).status == 401


async def test_signing_out_ends_it_at_once(world: World) -> None:
    token = await program(world, "dicomweb")
    assert (await world.ask(INSTANCE, token.text)).status == 200
    await world.sessions.revoke(token.person)
    assert (await world.ask(INSTANCE, token.text)).status == 401


async def test_a_running_download_is_cut_when_its_token_is_revoked(world: World, origin: MemoryOrigin) -> None:
    token = await program(world, "dicomweb")

    def before(given: int) -> None:
        if given == 20:
            world.sessions.forget(OauthGrants(world.database).end_family(token.family))

    body = Body([b"%04d" % number * 25 for number in range(50)], before=before)
    origin.answer_with = lambda asked, answer: OriginAnswer(200, "image/jpeg", 5000, body)
    reply = await world.ask(INSTANCE + "/rendered", token.text)
    assert (reply.status, reply.complete) == (200, False)
    assert len(reply.body) <= 20 * 100
    assert body.closed
