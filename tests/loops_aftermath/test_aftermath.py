"""What follows here from what the chain says: once, whoever brought it about, and not before it is time."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.consent.events import (
    ControllerMoved,
    Event,
    MoveStarted,
    MoveVetoed,
    PatientClaimed,
    PatientEnrolled,
    PatientErased,
)
from app.core.consent.fold import fold_all
from app.core.consent.mirror import Standing
from app.core.consent.state import GENESIS
from app.core.identifiers import Address, BlockHash, BlockRef, PatientKey, Signer, Subject, UnixTime
from app.loops.aftermath import Aftermath
from app.store.access_requests import LASTS_S, AccessRequests
from app.store.engine import Database, StoreUnavailableError
from app.store.erasures import BY_TRANSACTION, ERASE, Erasures
from app.store.outbox import NewCall, Outbox
from app.store.patients import Patients
from app.store.recoveries import START_MOVE, Ended, Recoveries
from tests.support.stores import opened_sqlite

_NOW = UnixTime(1_000)
_OLD, _NEW, _THIRD, _DESK = (Address(bytes([n]) * 20) for n in (1, 2, 3, 4))
_KEY = PatientKey(b"k" * 32)
_BLOCK = BlockRef(9, BlockHash(bytes(32)))
_CLAIMED: list[Event] = [
    PatientEnrolled(_KEY, Address(b"c" * 20), UnixTime(1 << 40)),
    PatientClaimed(_KEY, _OLD, Signer(_OLD)),
]


class _House:
    """The stores and the loop over them, and a chain made of events."""

    def __init__(self, database: Database) -> None:
        self.now = float(_NOW)
        self.patients = Patients(database, clock=lambda: self.now)
        self.erasures = Erasures(database, self.patients, clock=lambda: self.now)
        self.recoveries = Recoveries(database, clock=lambda: self.now)
        self.requests = AccessRequests(database, clock=lambda: self.now)
        self.outbox = Outbox(database)
        self.loop = Aftermath(self.patients, self.erasures, self.recoveries, self.requests, lambda: None)

    async def round(self, head: list[Event], final: list[Event] | None = None) -> None:
        states = [fold_all(GENESIS, _CLAIMED + events) for events in (head if final is None else final, head)]
        await self.loop.round(Standing(states[0], states[1], _BLOCK, _NOW))

    async def recovery(self) -> bytes:
        begun = await self.recoveries.begin(_KEY, _DESK, b"h" * 32)
        call = NewCall(_DESK, START_MOVE, begun.recovery_id, _DESK, b"")
        assert await self.recoveries.claim(b"h" * 32, Signer(_NEW), call)
        return begun.recovery_id


@pytest.fixture
def house(tmp_path: Path) -> Iterator[_House]:
    database = opened_sqlite(tmp_path / "store.db")
    made = _House(database)
    yield made
    made.patients.close()
    database.close()


async def test_links_go_when_the_head_has_the_erasure_that_was_begun_here(house: _House) -> None:
    await house.patients.enrol(Subject("P", "S"), _KEY, b"s" * 32)
    await house.erasures.begin(_KEY, _DESK, "patient-request", NewCall(_DESK, ERASE, _KEY, _DESK, b""))
    await house.round([])
    assert await house.erasures.unfinished() == [_KEY]
    await house.round([PatientErased(_KEY)], final=[])
    assert await house.erasures.unfinished() == []
    found = await house.erasures.find(_KEY)
    assert found is not None
    assert (found.registrar, found.erased_at) == (_DESK, _NOW)


async def test_somebodys_own_transaction_counts_once_it_is_final(house: _House) -> None:
    await house.patients.enrol(Subject("P", "S"), _KEY, b"s" * 32)
    await house.round([PatientErased(_KEY)], final=[])
    assert await house.erasures.find(_KEY) is None
    assert house.patients.by_key(_KEY) is not None
    await house.round([PatientErased(_KEY)])
    found = await house.erasures.find(_KEY)
    assert found is not None
    assert (found.registrar, found.reason) == (None, BY_TRANSACTION)
    assert house.patients.by_key(_KEY) is None


_STARTED = MoveStarted(_KEY, Signer(_NEW), UnixTime(500))


@pytest.mark.parametrize(
    ("after", "ended"),
    [
        ([], None),
        ([MoveVetoed(_KEY)], Ended.VETOED),
        ([ControllerMoved(_KEY, _NEW, Signer(_NEW))], Ended.FINISHED),
        ([MoveStarted(_KEY, Signer(_THIRD), UnixTime(600))], Ended.REPLACED),
    ],
)
async def test_a_recovery_has_an_end_once_it_is_final(house: _House, after: list[Event], ended: Ended | None) -> None:
    recovery = await house.recovery()
    await house.round([])
    await house.round([_STARTED], final=[])
    await house.round([_STARTED, *after], final=[])
    await house.round([_STARTED, *after], final=[_STARTED])
    found = await house.recoveries.find(recovery)
    assert found is not None
    assert (found.move_nonce, found.ended) == (1, None)
    await house.round([_STARTED, *after])
    found = await house.recoveries.find(recovery)
    assert found is not None
    assert found.ended is ended


async def test_a_recovery_whose_call_failed_has_failed(house: _House) -> None:
    recovery = await house.recovery()
    found = await house.recoveries.find(recovery)
    assert found is not None
    assert found.call is not None
    await house.outbox.failed(found.call.call_id, "the contract refuses")
    await house.round([])
    found = await house.recoveries.find(recovery)
    assert found is not None
    assert found.ended is Ended.FAILED


async def test_what_nobody_answered_is_forgotten_in_time(house: _House) -> None:
    asked = await house.requests.ask(_KEY, _NEW, "{}", "words", b"a" * 32)
    house.now = _NOW + 2 * LASTS_S
    await house.round([])
    assert await house.requests.find(asked.request_id) is not None
    house.now += 1
    house.loop._rounds = 0
    await house.round([])
    assert await house.requests.find(asked.request_id) is None


async def test_it_goes_on_after_a_failure(house: _House, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    async def failing(_self: object, _standing: object) -> None:
        calls.append(1)
        raise StoreUnavailableError("away")

    monkeypatch.setattr(Aftermath, "round", failing)
    house.loop.standing = lambda: Standing(GENESIS, GENESIS, _BLOCK, _NOW)
    task = asyncio.create_task(house.loop.run(0.001))
    async with asyncio.timeout(10):
        while len(calls) < 3:  # noqa: ASYNC110 - nothing signals it
            await asyncio.sleep(0.005)
    assert not task.done()
    task.cancel()
