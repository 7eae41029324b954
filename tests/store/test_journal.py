"""The journal, the same on both databases."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from sqlalchemy import text
from sqlmodel import select

from app.store.engine import Database
from app.store.journal import Journal, JournalEntry, JournalUnavailableError, Outcome
from app.store.tables import AccessOutcomeRow, AccessRecordRow
from tests.support.accesses import random_entry
from tests.support.postgres import PostgresCluster

Opened = Callable[[str], Database]


@asynccontextmanager
async def running(database: Database, **options: object) -> AsyncIterator[Journal]:
    journal = Journal(database, **options)  # type: ignore[arg-type]  # options are named as the journal names them
    journal.start()
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.stop)


async def append(journal: Journal, entry: JournalEntry) -> None:
    await journal.append([entry])


def stored(database: Database) -> list[AccessRecordRow]:
    return database.read(
        lambda transaction: list(transaction.exec(select(AccessRecordRow).order_by(text("row_id"))).all())
    )


async def test_what_is_acknowledged_is_in_the_database_field_by_field(database: Database, rng: random.Random) -> None:
    entry = random_entry(rng)
    async with running(database) as journal:
        await journal.append([entry])
        (row,) = stored(database)
    record = entry.record
    assert (row.record_id, row.at, row.actor, row.patient_key) == (
        record.record_id,
        record.at,
        record.actor,
        record.patient,
    )
    assert (row.study_uid, row.action, row.purpose, row.basis) == (
        record.study,
        record.action,
        record.purpose,
        record.basis,
    )
    assert (row.block_number, row.block_hash) == (record.block.number, record.block.hash)
    assert (row.salt, row.body, row.commitment) == (entry.salt, entry.body, entry.commitment)
    assert (row.seq, row.batch_id) == (None, None)


async def test_many_callers_at_once_lose_nothing_and_repeat_nothing(database: Database, rng: random.Random) -> None:
    calls = [[random_entry(rng) for _ in range(rng.randrange(4))] for _ in range(300)]
    async with running(database) as journal:
        await asyncio.gather(*(journal.append(entries) for entries in calls))
        rows = stored(database)
    expected = [entry.record.record_id for entries in calls for entry in entries]
    assert [row.record_id for row in rows] == expected


async def test_concurrent_callers_share_commits(database: Database, rng: random.Random) -> None:
    commits = 0

    def count() -> None:
        nonlocal commits
        commits += 1

    async with running(database, on_commit=count) as journal:
        await asyncio.gather(*(journal.append([random_entry(rng)]) for _ in range(200)))
    assert 1 <= commits <= 50, "200 callers at once: a commit is shared by many, however slow the machine"


async def test_a_caller_that_leaves_does_not_take_its_record_back(database: Database, rng: random.Random) -> None:
    async with running(database) as journal:
        leaving = asyncio.ensure_future(append(journal, random_entry(rng)))
        await asyncio.sleep(0)
        leaving.cancel()
        await journal.append([random_entry(rng)])
    assert len(stored(database)) == 2


async def test_the_first_outcome_stands_and_nobody_waits_for_it(database: Database, rng: random.Random) -> None:
    entry = random_entry(rng)
    async with running(database, clock=lambda: 77.5) as journal:
        await journal.append([entry])
        journal.outcome(entry.record.record_id, Outcome(200, 2**40, complete=True))
        journal.outcome(entry.record.record_id, Outcome(502, 0, complete=False))
    (row,) = database.read(lambda transaction: transaction.exec(select(AccessOutcomeRow)).all())
    assert (row.record_id, row.status, row.body_bytes, row.complete, row.at) == (
        entry.record.record_id,
        200,
        2**40,
        True,
        77,
    )


async def test_an_outcome_alone_is_written_soon(database: Database, rng: random.Random) -> None:
    async with running(database) as journal:
        await asyncio.sleep(0.05)
        journal.outcome(random_entry(rng).record.record_id, Outcome(200, 1, complete=True))
        async with asyncio.timeout(60):
            while not database.read(lambda transaction: transaction.exec(select(AccessOutcomeRow)).all()):  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_a_record_that_is_there_already_fails_its_caller_and_the_journal_goes_on(
    database: Database, rng: random.Random
) -> None:
    entry = random_entry(rng)
    async with running(database) as journal:
        await journal.append([entry])
        with pytest.raises(JournalUnavailableError) as caught:
            await journal.append([random_entry(rng), entry])
        assert entry.record.record_id.hex() not in str(caught.value)
        await journal.append([random_entry(rng)])
    assert len(stored(database)) == 2


async def test_the_backlog_counts_on_between_readings_and_is_read_again_at_start(
    database: Database, rng: random.Random
) -> None:
    async with running(database, clock=lambda: 5_000.0) as journal:
        assert (journal.backlog().waiting, journal.backlog().oldest_at) == (0, None)
        await journal.append([random_entry(rng, at=2_000), random_entry(rng, at=1_000)])
        assert (journal.backlog().waiting, journal.backlog().oldest_at) == (2, 1_000)
        await journal.append([random_entry(rng, at=3_000)])
        assert (journal.backlog().waiting, journal.backlog().oldest_at) == (3, 1_000)
    async with running(database, clock=lambda: 5_000.0) as journal:
        backlog = journal.backlog()
    assert (backlog.waiting, backlog.oldest_at, backlog.as_of) == (3, 1_000, 5_000)


async def test_the_backlog_is_what_no_block_holds(database: Database, rng: random.Random) -> None:
    async with running(database) as journal:
        await journal.append([random_entry(rng, at=1_000 + number) for number in range(6)])

        def batch(first: int, state: str) -> None:
            def work(transaction: object) -> None:
                connection = transaction.connection()  # type: ignore[attr-defined]  # a session
                connection.execute(
                    text(
                        "INSERT INTO outbox_call (call_id, account, kind, reference, target, calldata, state,"
                        " created_at, changed_at) VALUES (:id, '', 'batch', :ref, '', '', :state, 0, 0)"
                    ),
                    {"id": first + 1, "ref": bytes([first]), "state": state},
                )
                connection.execute(
                    text(
                        "INSERT INTO chain_batch (batch_id, call_id, first_seq, count, prev_head, next_head, oldest_at)"
                        " VALUES (:id, :id, :first, 2, '', '', :oldest)"
                    ),
                    {"id": first + 1, "first": first, "oldest": 1_000 + first},
                )
                connection.execute(
                    text("UPDATE access_record SET batch_id = :id, seq = row_id WHERE at IN (:a, :b)"),
                    {"id": first + 1, "a": 1_000 + first, "b": 1_001 + first},
                )

            database.write(work)

        batch(0, "mined")
        batch(2, "signed")
    async with running(database) as journal:
        assert (journal.backlog().waiting, journal.backlog().oldest_at) == (4, 1_002)


async def test_too_many_waiting_are_refused_and_a_stopped_journal_takes_nothing(
    database: Database, rng: random.Random
) -> None:
    journal = Journal(database, limit=3)
    journal.start()
    with held(database):
        first = asyncio.ensure_future(append(journal, random_entry(rng)))
        await asyncio.sleep(0.2)  # the writer has taken it and waits for its turn
        others = [asyncio.ensure_future(append(journal, random_entry(rng))) for _ in range(4)]
        await asyncio.sleep(0.01)
        refused = [other for other in others if other.done()]
        assert [type(other.exception()) for other in refused] == [JournalUnavailableError]
    await asyncio.gather(first, *others[:3])
    await asyncio.to_thread(journal.stop)
    with pytest.raises(JournalUnavailableError):
        await journal.append([random_entry(rng)])
    assert len(stored(database)) == 4


@contextmanager
def held(database: Database) -> Iterator[None]:
    """The table is somebody else's to write."""
    if database.is_sqlite:
        with database.turn():
            yield
    else:
        with database.engine.connect() as connection:
            connection.execute(text("LOCK TABLE access_record"))
            yield


async def test_appending_nothing_is_nothing(database: Database) -> None:
    journal = Journal(database)  # not even started
    await journal.append([])


async def test_a_journal_without_tables_does_not_start(empty_url: str, opened: Opened) -> None:
    with pytest.raises(JournalUnavailableError):
        Journal(opened(empty_url)).start()


@pytest.mark.postgres
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_a_server_that_goes_and_comes_back(
    database: Database, cluster: PostgresCluster, rng: random.Random
) -> None:
    available = []
    async with running(database) as journal:
        await journal.append([random_entry(rng)])
        await asyncio.to_thread(cluster.stop)
        try:
            with pytest.raises(JournalUnavailableError):
                await journal.append([random_entry(rng)])
            available.append(journal.available)
        finally:
            await asyncio.to_thread(cluster.start)
        await journal.append([random_entry(rng)])
        available.append(journal.available)
    assert available == [False, True]
    assert len(stored(database)) == 2


async def test_past_a_set_backlog_nothing_more_is_recorded(database: Database, rng: random.Random) -> None:
    async with running(database, backlog_limit=2) as journal:
        await journal.append([random_entry(rng), random_entry(rng)])
        with pytest.raises(JournalUnavailableError):
            await journal.append([random_entry(rng)])
    assert len(stored(database)) == 2
