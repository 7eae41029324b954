"""Sessions and sign-in nonces, the same on both databases."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlmodel import select

from app.core.consent.terms import Purpose
from app.core.identifiers import Address, Signer, UnixTime
from app.store.engine import Database, StoreUnavailableError
from app.store.sessions import BELIEVED_S, Sessions
from app.store.siwe_nonces import KEPT_S, NotTaken, SiweNonces, Taken
from app.store.tables import SessionRow, SiweNonceRow

Opened = Callable[[str], Database]
ALICE, BOB = Address(b"a" * 20), Address(b"b" * 20)
ALICE_SIGNS = Signer(ALICE)


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_a_session_is_found_by_its_token_and_by_no_other(database: Database) -> None:
    sessions = Sessions(database, clock=Clock())
    token, session = await sessions.create(ALICE_SIGNS, Purpose.TREAT, UnixTime(2_000))
    assert await sessions.find(token) == session
    assert sessions.hot(token) == session
    assert (session.actor, session.purpose, session.expires_at, len(session.tag)) == (ALICE, Purpose.TREAT, 2_000, 8)
    assert await sessions.find("A" * 43) is None
    assert await sessions.find(token + "x") is None
    assert await sessions.find("") is None


async def test_another_gateway_finds_it_and_sees_its_end_within_two_seconds(url: str, opened: Opened) -> None:
    clock = Clock()
    here, there = Sessions(opened(url), clock=clock), Sessions(opened(url), clock=clock)
    token, session = await here.create(ALICE_SIGNS, Purpose.HRESCH, UnixTime(2_000))
    assert there.hot(token) is None
    assert await there.find(token) == session
    await here.revoke(session.token_hash)
    assert await here.find(token) is None
    assert here.hot(token) is None
    clock.now += BELIEVED_S
    assert there.hot(token) is None
    assert await there.find(token) is None


async def test_a_session_ends_when_it_expires(database: Database) -> None:
    clock = Clock()
    sessions = Sessions(database, clock=clock)
    token, _ = await sessions.create(ALICE_SIGNS, Purpose.TREAT, UnixTime(1_001))
    clock.now = 1_000.9
    assert await sessions.find(token) is not None
    clock.now = 1_001
    assert sessions.hot(token) is None
    assert await sessions.find(token) is None
    assert await Sessions(database, clock=clock).find(token) is None


async def test_a_logout_during_a_reading_is_not_undone_by_it(url: str, opened: Opened) -> None:
    clock = Clock()
    sessions = Sessions(opened(url), clock=clock)
    token, session = await sessions.create(ALICE_SIGNS, Purpose.TREAT, UnixTime(2_000))
    clock.now += BELIEVED_S
    reading = asyncio.ensure_future(sessions.find(token))
    await asyncio.sleep(0)
    await asyncio.gather(sessions.revoke(session.token_hash), reading)
    assert await sessions.find(token) is None


async def test_the_memory_is_bounded(database: Database) -> None:
    sessions = Sessions(database, clock=Clock(), capacity=3)
    made = [await sessions.create(ALICE_SIGNS, Purpose.TREAT, UnixTime(2_000)) for _ in range(5)]
    assert [sessions.hot(token) is not None for token, _ in made] == [False, False, True, True, True]
    assert await sessions.find(made[0][0]) == made[0][1]


async def test_no_token_is_stored(database: Database) -> None:
    sessions = Sessions(database, clock=Clock())
    token, _ = await sessions.create(ALICE_SIGNS, Purpose.TREAT, UnixTime(2_000))
    (row,) = database.read(lambda transaction: transaction.exec(select(SessionRow)).all())
    assert token not in repr(row)
    assert token.encode() not in row.token_hash


async def test_without_a_database_an_unknown_or_stale_token_is_an_error_and_not_an_answer(
    empty_url: str, opened: Opened
) -> None:
    sessions = Sessions(opened(empty_url), clock=Clock())  # no tables
    with pytest.raises(StoreUnavailableError):
        await sessions.find("A" * 43)


async def test_a_nonce_is_taken_once_by_its_address(database: Database) -> None:
    nonces = SiweNonces(database)
    nonce = await nonces.issue(ALICE, UnixTime(100))
    assert len(nonce) == 32
    assert await nonces.take(nonce, BOB, UnixTime(101)) is NotTaken.UNKNOWN
    assert await nonces.take(nonce, ALICE, UnixTime(102)) == Taken(UnixTime(100))
    assert await nonces.take(nonce, ALICE, UnixTime(103)) is NotTaken.USED
    assert await nonces.take("0" * 32, ALICE, UnixTime(103)) is NotTaken.UNKNOWN


async def test_of_many_at_once_on_two_gateways_one_takes_the_nonce(url: str, opened: Opened) -> None:
    gateways = [SiweNonces(opened(url)), SiweNonces(opened(url))]
    nonce = await gateways[0].issue(ALICE, UnixTime(100))
    taken = await asyncio.gather(*(gateways[n % 2].take(nonce, ALICE, UnixTime(101)) for n in range(12)))
    assert sorted(map(str, taken)) == sorted([str(Taken(UnixTime(100)))] + [str(NotTaken.USED)] * 11)


async def test_old_nonces_are_forgotten(database: Database) -> None:
    nonces = SiweNonces(database)
    await nonces.issue(ALICE, UnixTime(100))
    await nonces.issue(ALICE, UnixTime(101 + KEPT_S))
    assert len(database.read(lambda transaction: transaction.exec(select(SiweNonceRow)).all())) == 1
