"""What people allowed programs, the same on both databases: each code and each refresh token works once, whichever
gateway is asked, and what is ended is ended for all of them.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from sqlmodel import select

from app.core.consent.terms import Purpose
from app.core.identifiers import Address, Signer, UnixTime
from app.store.engine import ConflictError, Database
from app.store.oauth_clients import OauthClient, OauthClients
from app.store.oauth_devices import OauthDevices
from app.store.oauth_grants import Allowed, Code, Issued, OauthGrants
from app.store.sessions import BELIEVED_S, Session, Sessions, hash_of, new_token
from app.store.tables import OauthCodeRow, OauthDeviceRow, OauthFamilyRow, OauthRefreshRow, SessionRow

Opened = Callable[[str], Database]
ALICE = Address(b"a" * 20)
DAY_S = 86_400


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


class Gateway:
    """One process's view of the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.sessions = Sessions(database, clock=clock)
        self.grants = OauthGrants(database, clock=clock)
        self.devices = OauthDevices(database, clock=clock)
        self.clients = OauthClients(database, clock=clock)

    async def person(self) -> Session:
        _, session = await self.sessions.create(Signer(ALICE), Purpose.TREAT, UnixTime(90_000))
        return session

    def code(self, person: Session) -> Code:
        allowed = Allowed(ALICE, Purpose.HRESCH, "openid dicomweb", person.began_at, person.token_hash)
        code = Code(hash_of(new_token()), "viewer", "https://v/cb", "c" * 43, None, allowed, UnixTime(1_060))
        self.grants.keep_code(code)
        return code

    def issued(self, *, refresh: bool = True) -> Issued:
        return Issued(new_token(), UnixTime(2_000), new_token() if refresh else None, UnixTime(9_000))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def here(url: str, opened: Opened, clock: Clock) -> Gateway:
    return Gateway(opened(url), clock)


@pytest.fixture
def there(url: str, opened: Opened, clock: Clock) -> Gateway:
    return Gateway(opened(url), clock)


async def test_a_code_is_kept_by_its_hash_and_taken_once_whichever_gateway_asks(here: Gateway, there: Gateway) -> None:
    person = await here.person()
    text = new_token()
    code = replace(here.code(person), code_hash=hash_of(text))
    here.grants.keep_code(code)
    assert there.grants.code(text) == code
    assert there.grants.code(new_token()) is None
    gateways = [here, there] * 4
    begun = await asyncio.gather(*(asyncio.to_thread(one.grants.begin_by_code, code, one.issued()) for one in gateways))
    (family,) = [one for one in begun if one is not None]
    assert here.grants.code(text) == replace(code, used=True, family=family)
    assert len(here.database.read(lambda t: t.exec(select(OauthFamilyRow)).all())) == 1
    assert len(here.database.read(lambda t: t.exec(select(OauthRefreshRow)).all())) == 1


async def test_a_programs_session_says_what_it_is(here: Gateway, there: Gateway) -> None:
    person = await here.person()
    issued = here.issued()
    family = here.grants.begin_by_code(here.code(person), issued)
    found = await there.sessions.find(issued.access)
    assert found is not None
    assert found.program is not None
    assert (found.program.client_id, found.program.scope, found.program.family) == (
        "viewer",
        "openid dicomweb",
        family,
    )
    assert (found.actor, found.purpose, found.expires_at) == (ALICE, Purpose.HRESCH, 2_000)
    assert (found.reach.images, found.reach.storing, found.reach.api) == (True, False, False)
    assert (person.program, person.reach.api) == (None, True)


async def test_a_refresh_token_is_taken_once_whichever_gateway_asks(here: Gateway, there: Gateway) -> None:
    first = here.issued()
    family = here.grants.begin_by_code(here.code(await here.person()), first)
    assert first.refresh is not None
    known = there.grants.refresh(first.refresh)
    assert known is not None
    assert (known.family, known.client_id, known.used, known.over) == (family, "viewer", False, False)
    gateways = [here, there] * 4
    renewed = await asyncio.gather(
        *(asyncio.to_thread(one.grants.renew, known, "dicomweb", one.issued()) for one in gateways)
    )
    assert sum(renewed) == 1
    again = here.grants.refresh(first.refresh)
    assert again is not None
    assert (again.used, again.over) == (True, True)
    assert here.grants.refresh(new_token()) is None


async def test_an_end_and_a_renewal_at_the_same_time_leave_nothing_alive(here: Gateway, there: Gateway) -> None:
    for _ in range(6):
        first, second = here.issued(), there.issued()
        family = here.grants.begin_by_code(here.code(await here.person()), first)
        assert family is not None
        assert first.refresh is not None
        known = here.grants.refresh(first.refresh)
        assert known is not None
        await asyncio.gather(
            asyncio.to_thread(here.grants.end_family, family),
            asyncio.to_thread(there.grants.renew, known, "dicomweb", second),
        )
        for token in (first.access, second.access):
            assert await Sessions(here.database, clock=here.clock).find(token) is None


async def test_signing_out_and_an_exchange_at_the_same_time_leave_nothing_alive(here: Gateway, there: Gateway) -> None:
    for _ in range(6):
        person, issued = await here.person(), there.issued()
        code = here.code(person)
        await asyncio.gather(
            here.sessions.revoke(person.token_hash),
            asyncio.to_thread(there.grants.begin_by_code, code, issued),
        )
        assert await Sessions(here.database, clock=here.clock).find(issued.access) is None
        assert there.grants.begin_by_code(code, there.issued()) is None


async def test_signing_out_ends_what_was_allowed_and_other_gateways_see_it_within_two_seconds(
    here: Gateway, there: Gateway, clock: Clock
) -> None:
    person, other = await here.person(), await here.person()
    mine, theirs = here.issued(), here.issued()
    here.grants.begin_by_code(here.code(person), mine)
    here.grants.begin_by_code(here.code(other), theirs)
    on_it = await there.sessions.find(mine.access)
    running = await here.sessions.find(mine.access)
    assert on_it is not None
    assert running is not None
    await here.sessions.revoke(person.token_hash)
    assert running.life.over, "what runs on it stops"
    assert await here.sessions.find(mine.access) is None
    assert await here.sessions.find(theirs.access) is not None
    clock.now += BELIEVED_S
    assert await there.sessions.find(mine.access) is None
    assert on_it.life.over
    assert await there.sessions.find(theirs.access) is not None
    assert mine.refresh is not None
    ended = there.grants.refresh(mine.refresh)
    assert ended is not None
    assert (ended.used, ended.over) == (False, True)
    assert there.grants.renew(ended, "dicomweb", there.issued()) is False


async def test_what_runs_stands_on_a_session_that_is_read_again(here: Gateway, clock: Clock) -> None:
    issued = here.issued()
    here.grants.begin_by_code(here.code(await here.person()), issued)
    running = await here.sessions.find(issued.access)
    assert running is not None
    clock.now += BELIEVED_S
    await here.sessions.find(issued.access)
    await here.sessions.revoke(running.token_hash)
    assert running.life.over


async def test_ending_by_family_and_by_its_person(here: Gateway) -> None:
    person = await here.person()
    first, second = here.issued(), here.issued()
    one = here.grants.begin_by_code(here.code(person), first)
    two = here.grants.begin_by_code(here.code(person), second)
    assert one is not None
    assert two is not None
    listed = here.grants.of_actor(ALICE)
    assert {entry.family for entry in listed} == {one, two}
    assert here.grants.of_actor(Address(b"b" * 20)) == []
    assert here.grants.family_of_access(first.access) == ("viewer", one)
    assert here.grants.family_of_access(new_token()) is None
    assert here.grants.end_family(one) == [hash_of(first.access)]
    assert here.grants.end_family(one) == []
    assert [entry.family for entry in here.grants.of_actor(ALICE)] == [two]
    assert set(here.grants.end_sign_in(two)) == {hash_of(second.access), person.token_hash}
    assert here.grants.end_sign_in(b"unknown") == []
    assert here.grants.of_actor(ALICE) == []


async def test_a_device_code_is_answered_once_and_taken_once(here: Gateway, there: Gateway) -> None:
    person = await here.person()
    here.devices.keep("device", "BCDF-GHJK", "desktop", "dicomweb", None, UnixTime(1_600), 5)
    with pytest.raises(ConflictError):
        here.devices.keep("other", "BCDF-GHJK", "desktop", "dicomweb", None, UnixTime(1_600), 5)
    waiting = there.devices.by_device_code("device")
    assert waiting is not None
    assert waiting == there.devices.by_user_code("BCDF-GHJK")
    assert (waiting.answered, waiting.allowed, waiting.used) == (False, None, False)
    allowed = Allowed(ALICE, Purpose.TREAT, "dicomweb", person.began_at, person.token_hash)
    answers: list[Allowed | None] = [allowed, None] * 3
    counted = await asyncio.gather(
        *(asyncio.to_thread((here, there)[n % 2].devices.answer, "BCDF-GHJK", one) for n, one in enumerate(answers))
    )
    assert sum(counted) == 1
    answered = here.devices.by_device_code("device")
    assert answered is not None
    assert answered.answered
    assert answered.allowed == answers[counted.index(True)]
    assert here.devices.by_user_code("BCDF-GHJK") is None
    begun = await asyncio.gather(
        *(
            asyncio.to_thread(one.grants.begin_by_device, answered.device_hash, "desktop", allowed, one.issued())
            for one in (here, there) * 3
        )
    )
    assert len([one for one in begun if one is not None]) == 1


async def test_how_often_a_program_asks_is_known_to_all_gateways(here: Gateway, there: Gateway, clock: Clock) -> None:
    here.devices.keep("device", "BCDF-GHJK", "desktop", "dicomweb", Purpose.COC, UnixTime(1_600), 5)
    waiting = here.devices.by_device_code("device")
    assert waiting is not None
    assert waiting.purpose is Purpose.COC
    assert here.devices.polled(waiting.device_hash)
    assert not there.devices.polled(waiting.device_hash)
    clock.now += 9
    assert not here.devices.polled(waiting.device_hash), "five seconds more each time"
    clock.now += 15
    assert there.devices.polled(waiting.device_hash)


async def test_programs_are_registered_replaced_and_removed_with_all_that_they_hold(here: Gateway) -> None:
    plain = OauthClient("viewer", "A viewer")
    full = OauthClient("desktop", "D", ("https://d/cb",), ("https://d/bye",), ("openid", "dicomweb"), True, True)
    for client in (plain, full):
        here.clients.put(client)
        assert here.clients.find(client.client_id) == client
    here.clients.put(replace(plain, name="Another name"))
    assert [one.name for one in here.clients.all()] == ["D", "Another name"]
    issued = here.issued()
    here.grants.begin_by_code(here.code(await here.person()), issued)
    assert here.clients.remove("viewer")
    assert not here.clients.remove("viewer")
    assert here.clients.find("viewer") is None
    assert await here.sessions.find(issued.access) is None


async def test_what_is_over_is_forgotten_and_no_token_is_stored(here: Gateway, clock: Clock) -> None:
    person, issued = await here.person(), here.issued()
    here.grants.begin_by_code(here.code(person), issued)
    here.devices.keep("device", "BCDF-GHJK", "desktop", "dicomweb", None, UnixTime(1_600), 5)
    tables = (SessionRow, OauthFamilyRow, OauthRefreshRow, OauthCodeRow, OauthDeviceRow)

    def rows() -> list[list[object]]:
        return here.database.read(lambda t: [list(t.exec(select(table)).all()) for table in tables])

    said = repr(rows())
    assert issued.access not in said
    assert str(issued.refresh) not in said
    assert "BCDF-GHJK" not in said
    clock.now = 9_000 + DAY_S
    here.code(person)
    assert [len(found) for found in rows()][1:] == [1, 1, 1, 0]
    clock.now += 1
    here.code(person)
    assert [len(found) for found in rows()][1:] == [0, 0, 1, 0]
