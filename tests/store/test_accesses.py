"""Who looked: pages, outcomes and places on the chain, the same on both databases."""

import asyncio
import datetime as dt
import random
from collections import Counter

import pytest

from app.core.consent.terms import Action, Modification, Purpose
from app.core.identifiers import Address, BlockHash, BlockRef, LogHead, PatientKey, StudyUid, TxHash, UnixTime
from app.core.record import AccessRecord
from app.store.accesses import EVERY_ACCESS, Accesses, AccessFilter
from app.store.engine import ConflictError, Database
from app.store.journal import Journal, JournalEntry, Outcome
from app.store.log_batches import LogBatches, LogTail, NewBatch
from app.store.outbox import Attempt, CallState, Outbox
from tests.support.accesses import random_entry

RECORDER, LOG = Address(b"r" * 20), Address(b"l" * 20)
HEADS = [LogHead(bytes([n]) * 32) for n in range(4)]


async def write(database: Database, entries: list[JournalEntry]) -> None:
    journal = Journal(database)
    journal.start()
    for entry in entries:
        await journal.append([entry])
    journal.outcome(entries[0].record.record_id, Outcome(206, 17, complete=False))
    await asyncio.to_thread(journal.stop)


async def batch(database: Database, count: int, before: LogTail, head: LogHead) -> int:
    batches = LogBatches(database)
    records = await batches.unbatched(count)
    after = LogTail(before.next_seq + len(records), head)
    return await batches.store(NewBatch(records, before, after, RECORDER, LOG, b"calldata", 100_000))


async def test_pages_go_back_in_time_and_end(database: Database, rng: random.Random) -> None:
    patients = [PatientKey(bytes([n]) * 32) for n in range(3)]
    entries = [random_entry(rng, patient=rng.choice(patients), actor=Address(bytes([n % 2]) * 20)) for n in range(25)]
    await write(database, entries)
    accesses, actor = Accesses(database), Address(bytes(20))
    for wanted, ask in (
        (lambda _: True, accesses.all),
        (lambda entry: entry.record.actor == actor, lambda *p: accesses.concerning([], actor, *p)),
        (
            lambda entry: entry.record.actor == actor or entry.record.patient == patients[0],
            lambda *p: accesses.concerning(patients[:1], actor, *p),
        ),
        (
            lambda entry: entry.record.patient in patients[:2],
            lambda *p: accesses.of_patients(patients[:2], *p),
        ),
    ):
        found, cursor = [], None
        while True:
            page = await ask(4, cursor)
            assert len(page.accesses) <= 4
            found += page.accesses
            cursor = page.cursor
            if cursor is None:
                break
        expected = [entry.record.record_id for entry in reversed(entries) if wanted(entry)]
        assert [one.record_id for one in found] == expected
    assert (await accesses.of_patients([])).accesses == []
    with pytest.raises(ValueError, match="page"):
        await accesses.all(limit=1_001)


async def test_an_access_carries_its_record_its_outcome_and_its_place(database: Database, rng: random.Random) -> None:
    entries = [random_entry(rng) for _ in range(5)]
    await write(database, entries)
    accesses, outbox = Accesses(database), Outbox(database)
    found = await accesses.find(entries[0].record.record_id)
    assert found is not None
    record = entries[0].record
    assert (found.actor, found.patient, found.study, found.action) == (
        record.actor,
        record.patient,
        record.study,
        record.action,
    )
    assert (found.purpose, found.basis, found.decided_at) == (record.purpose, record.basis, record.block)
    assert (found.salt, found.body, found.commitment) == (entries[0].salt, entries[0].body, entries[0].commitment)
    assert found.outcome == Outcome(206, 17, complete=False)
    assert found.on_chain is None
    call_id = await batch(database, 3, LogTail(7, HEADS[0]), HEADS[1])
    await outbox.signed(call_id, Attempt(TxHash(b"x" * 32), 0, b"raw", 10**30, 1, UnixTime(1)))
    block = BlockRef(12, BlockHash(b"b" * 32))
    await outbox.mined(call_id, TxHash(b"x" * 32), block)
    second = await accesses.find(entries[1].record.record_id)
    assert second is not None
    assert second.outcome is None
    assert second.on_chain is not None
    assert (second.on_chain.seq, second.on_chain.tx_hash, second.on_chain.block) == (8, b"x" * 32, block)
    assert not second.on_chain.final
    await outbox.final([call_id])
    last = await accesses.find(entries[2].record.record_id)
    assert last is not None
    assert last.on_chain is not None
    assert last.on_chain.final
    assert await accesses.find(random_entry(rng).record.record_id) is None


async def test_a_record_is_in_one_batch_and_a_stretch_of_the_log_in_one_batch(
    database: Database, rng: random.Random
) -> None:
    await write(database, [random_entry(rng) for _ in range(6)])
    batches = LogBatches(database)
    assert await batches.tail() is None
    stale = await batches.unbatched(3)
    call_id = await batch(database, 3, LogTail(0, HEADS[0]), HEADS[1])
    assert await batches.tail() == LogTail(3, HEADS[1])
    for before in (LogTail(3, HEADS[1]), LogTail(0, HEADS[0])):
        with pytest.raises(ConflictError):
            await batches.store(NewBatch(stale, before, LogTail(before.next_seq + 3, HEADS[2]), RECORDER, LOG, b"", 1))
    with pytest.raises(ConflictError):  # the same stretch with other records
        await batch(database, 3, LogTail(0, HEADS[0]), HEADS[2])
    assert len(await batches.unbatched(10)) == 3
    later = await batch(database, 3, LogTail(3, HEADS[1]), HEADS[2])
    outbox = Outbox(database)
    await outbox.failed(call_id, "reverted")
    await outbox.failed(later, "reverted")
    assert await batches.failed() == [call_id, later]
    await batches.release([call_id, later])
    with pytest.raises(ConflictError):
        await batches.release([call_id])
    assert await batches.failed() == []
    assert await batches.tail() is None
    assert [one.row_id for one in await batches.unbatched(10)] == [1, 2, 3, 4, 5, 6]
    await batch(database, 6, LogTail(0, HEADS[0]), HEADS[3])
    assert await batches.tail() == LogTail(6, HEADS[3])


async def test_a_call_moves_one_way_and_only_from_where_it_is(database: Database, rng: random.Random) -> None:
    await write(database, [random_entry(rng)])
    outbox = Outbox(database)
    call_id = await batch(database, 1, LogTail(0, HEADS[0]), HEADS[1])
    attempt = Attempt(TxHash(b"x" * 32), 5, b"raw", 10, 1, UnixTime(1))
    block = BlockRef(1, BlockHash(b"b" * 32))
    with pytest.raises(ConflictError):
        await outbox.mined(call_id, attempt.tx_hash, block)
    await outbox.signed(call_id, attempt)
    assert await outbox.next_nonce(RECORDER) == 6
    with pytest.raises(ConflictError):  # another process signs it with another nonce
        await outbox.signed(call_id, Attempt(TxHash(b"y" * 32), 6, b"raw", 10, 1, UnixTime(1)))
    await outbox.signed(call_id, Attempt(TxHash(b"z" * 32), 5, b"raw", 20, 1, UnixTime(1)))
    assert [one.max_fee_wei for one in await outbox.attempts(call_id)] == [20, 10]
    await outbox.mined(call_id, attempt.tx_hash, block)
    assert [one.call_id for one in await outbox.landed_from(RECORDER, 5)] == [call_id]
    assert await outbox.landed_from(RECORDER, 6) == []
    await outbox.unmined([call_id])
    with pytest.raises(ConflictError):
        await outbox.final([call_id])
    await outbox.requeued(call_id)
    (call,) = await outbox.in_state(RECORDER, CallState.QUEUED)
    assert (call.account_nonce, call.mined, call.mined_tx) == (None, None, None)


async def test_a_filter_keeps_just_what_it_asks_for(database: Database, rng: random.Random) -> None:
    """Against the same question asked of the records in memory, and counted by week."""
    patient, other = PatientKey(b"p" * 32), PatientKey(b"o" * 32)
    actors = [Address(bytes([n]) * 20) for n in range(3)]
    studies = [StudyUid(f"2.25.{n}") for n in range(2)]
    start = 1_790_000_000
    entries = [
        random_entry(
            rng,
            patient=rng.choice([patient, patient, other]),
            actor=rng.choice(actors),
            study=rng.choice([None, *studies]),
            purpose=rng.choice([Purpose.TREAT, Purpose.ETREAT]),
            at=UnixTime(start + rng.randrange(40 * 86400)),
        )
        for _ in range(60)
    ]
    await write(database, entries)
    accesses = Accesses(database)
    for _ in range(40):
        wanted = AccessFilter(
            actor=rng.choice([None, None, *actors]),
            besides=rng.choice([None, None, *actors]),
            study=rng.choice([None, None, *studies]),
            deeds=rng.choice([None, frozenset({Action.VIEW, Action.RETRIEVE}), frozenset({Modification.STORE})]),
            since=rng.choice([None, UnixTime(start + rng.randrange(40 * 86400))]),
            until=rng.choice([None, UnixTime(start + rng.randrange(40 * 86400))]),
            purpose=rng.choice([None, Purpose.ETREAT]),
        )
        records = [entry.record for entry in entries if entry.record.patient == patient]
        expected = [one for one in records if fits(one, wanted)]
        page = await accesses.matching(patient, wanted, 1000)
        assert {one.record_id for one in page.accesses} == {one.record_id for one in expected}
        weeks = Counter(monday_before(one.at) for one in expected)
        counted = await accesses.by_week(patient, wanted)
        assert {monday_before(monday): count for monday, count in counted.items()} == weeks
        assert all(monday % 86400 == 0 for monday in counted)
        assert list(counted) == sorted(counted)
    since = UnixTime(sorted(record.at for record in (e.record for e in entries))[len(entries) // 3])
    hours = await accesses.by_hour(since)
    wanted_hours = Counter(e.record.at // 3600 * 3600 for e in entries if e.record.at >= since)
    assert hours == wanted_hours
    assert list(hours) == sorted(hours)
    assert set(await accesses.actors_of(patient)) == {e.record.actor for e in entries if e.record.patient == patient}
    first = await accesses.matching(patient, EVERY_ACCESS, 7)
    second = await accesses.matching(patient, EVERY_ACCESS, 7, first.cursor)
    assert not {one.record_id for one in first.accesses} & {one.record_id for one in second.accesses}


def monday_before(at: int) -> dt.date:
    day = dt.datetime.fromtimestamp(at, dt.UTC).date()
    return day - dt.timedelta(days=day.weekday())


def fits(record: AccessRecord, wanted: AccessFilter) -> bool:
    return (
        wanted.actor in {None, record.actor}
        and wanted.besides != record.actor
        and wanted.study in {None, record.study}
        and (wanted.deeds is None or record.action in wanted.deeds)
        and (wanted.since is None or record.at >= wanted.since)
        and (wanted.until is None or record.at < wanted.until)
        and wanted.purpose in {None, record.purpose}
    )
