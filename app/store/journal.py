"""The journal: every access record is committed and synced here before the first byte of its answer.

One thread writes. It takes everything that is waiting, writes it in one transaction and wakes all waiters at once, so
that concurrent requests share one sync. Nothing is acknowledged on a hunch: an error of any kind fails everyone who
waits, and the connection is thrown away, since after a failed sync nobody can say what it holds.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from app.core.identifiers import AccessRecordId, Commitment, UnixTime
from app.store.engine import Database, failure_name
from app.store.journal_rows import JournalRows, OutcomeRow, RecordRow, open_rows

if TYPE_CHECKING:
    from app.core.record import AccessRecord

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_PACE_S = 0.001
_UNPACED_WAITERS = 2
_TICK_S = 1.0
# An outcome waits at most this long for a record to share the sync with.
_OUTCOME_DELAY_S = 0.1


class JournalUnavailableError(Exception):
    """The record could not be made durable; no byte may be sent. The text names the kind of failure and no value."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One access to be recorded. ``salt`` is 32 random bytes, ``body`` the record's canonical bytes."""

    record: "AccessRecord"
    salt: bytes
    body: bytes
    commitment: Commitment


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an answer: its HTTP status, the body bytes sent, and whether it was sent whole."""

    status: int
    body_bytes: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Backlog:
    """Records that no block holds yet, and when the oldest of them was made. ``as_of``: when this was last read."""

    waiting: int
    oldest_at: UnixTime | None
    as_of: UnixTime


@dataclass(frozen=True, slots=True)
class _Waiter:
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[None]"
    rows: list[RecordRow]


class Journal:
    """The one way to write access records. ``start`` it before use and ``stop`` it at the end; both block."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        on_commit: Callable[[], None] | None = None,
        limit: int = 20_000,
        backlog_limit: int = 1_000_000,
    ) -> None:
        """``on_commit`` is called in the writer's thread after each commit of records.

        ``limit``: waiting calls above which an append is refused; ``backlog_limit``: records that no block holds yet
        above which nothing more is recorded, and so no access served.
        """
        self._database = database
        self._clock = clock
        self._on_commit = on_commit
        self._limit = limit
        self._backlog_limit = backlog_limit
        self._waiting: deque[_Waiter] = deque()
        self._outcomes: deque[OutcomeRow] = deque(maxlen=limit)
        self._something = threading.Event()
        self._stopping = False
        self._rows: JournalRows | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._backlog = Backlog(0, None, UnixTime(0))
        self._next_tick = 0.0

    def start(self) -> None:
        """Opens the database and begins. Raises JournalUnavailableError."""
        try:
            self._rows = open_rows(self._database)
            self._read_backlog(self._rows)
        except Exception as error:  # noqa: BLE001 - whatever the driver raises, it means the same
            self._discard()
            raise JournalUnavailableError(failure_name(error)) from None
        self._thread.start()

    def stop(self) -> None:
        """Writes what is waiting, then ends."""
        self._stopping = True
        self._something.set()
        self._thread.join()

    @property
    def available(self) -> bool:
        """Whether the last thing tried worked."""
        return self._rows is not None

    def append(self, entries: Sequence[JournalEntry]) -> "asyncio.Future[None]":
        """Done once every entry is committed and synced; fails with JournalUnavailableError when that is not known.

        All entries of a call are in one transaction. A caller that stops waiting does not take its records back. A
        future and no coroutine: the record is on its way at once, and nobody pays for a task to wait in.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        refusal = self._refusal()
        if refusal is not None and entries:
            done.set_exception(JournalUnavailableError(refusal))
            return done
        if not entries:
            done.set_result(None)
            return done
        self._waiting.append(_Waiter(loop, done, [_row(entry) for entry in entries]))
        if not self._something.is_set():
            self._something.set()
        return done

    def _refusal(self) -> str | None:
        if self._stopping:
            return "stopping"
        if len(self._waiting) >= self._limit:
            return "too many are waiting"
        if self._backlog.waiting >= self._backlog_limit:
            return "too many records are not on the chain"
        return None

    def outcome(self, record_id: AccessRecordId, outcome: Outcome) -> None:
        """Queues what became of an answer; returns at once. The first outcome of a record stands."""
        row = (record_id, outcome.status, outcome.body_bytes, outcome.complete, int(self._clock()))
        self._outcomes.append(row)

    def backlog(self) -> Backlog:
        """How much is not on the chain yet: read about once a second, and counted on in between. Costs nothing."""
        return self._backlog

    def _run(self) -> None:
        while True:
            self._something.wait(_OUTCOME_DELAY_S if self._outcomes else _TICK_S)
            self._something.clear()
            if len(self._waiting) > _UNPACED_WAITERS:
                time.sleep(_PACE_S)
            self._round()
            if self._stopping and not self._waiting:
                break
        self._round()  # outcomes that came since
        self._discard()

    def _round(self) -> None:
        waiters = _take(self._waiting)
        outcomes = _take(self._outcomes)
        failure: str | None = None
        try:
            if self._rows is None:
                self._rows = open_rows(self._database)
                _LOG.warning("the journal is open again")
            if waiters or outcomes:
                records = [row for waiter in waiters for row in waiter.rows]
                with self._database.turn():
                    self._rows.write(records, outcomes)
                self._count(records)
            if time.monotonic() >= self._next_tick:
                self._read_backlog(self._rows)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody is told that it worked, and the thread lives on
            failure = failure_name(error)
            if self._rows is not None or waiters:
                _LOG.error("the journal cannot write: %s", failure)  # no traceback: it may show rows
            self._outcomes.extendleft(reversed(outcomes))
            self._discard()
        _wake(waiters, failure)
        if waiters and failure is None and self._on_commit is not None:
            self._on_commit()

    def _count(self, records: list[RecordRow]) -> None:
        known = self._backlog
        if records:
            oldest = known.oldest_at if known.oldest_at is not None else UnixTime(min(row[1] for row in records))
            self._backlog = Backlog(known.waiting + len(records), oldest, known.as_of)

    def _read_backlog(self, rows: JournalRows) -> None:
        waiting, oldest_at = rows.backlog()
        self._backlog = Backlog(waiting, UnixTime(oldest_at) if oldest_at is not None else None, self._now())
        self._next_tick = time.monotonic() + _TICK_S

    def _now(self) -> UnixTime:
        return UnixTime(int(self._clock()))

    def _discard(self) -> None:
        rows, self._rows = self._rows, None
        if rows is not None:
            rows.close()


def _row(entry: JournalEntry) -> RecordRow:
    record = entry.record
    return (
        record.record_id,
        record.at,
        record.actor,
        record.patient,
        record.study,
        int(record.action),
        int(record.purpose),
        record.basis,
        record.block.number,
        record.block.hash,
        entry.salt,
        entry.body,
        entry.commitment,
    )


def _take(queue: deque[T]) -> list[T]:
    """Everything in the queue. Others may append meanwhile; what comes later stays for the next round."""
    return [queue.popleft() for _ in range(len(queue))]


def _wake(waiters: list[_Waiter], failure: str | None) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[_Waiter]] = {}
    for waiter in waiters:
        by_loop.setdefault(waiter.loop, []).append(waiter)
    for loop, of_loop in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, of_loop, failure)
        except RuntimeError:  # the loop is closed, and with it everyone who waited there
            _LOG.warning("%d waiters of the journal are gone", len(of_loop))


def _settle(waiters: list[_Waiter], failure: str | None) -> None:
    for waiter in waiters:
        if waiter.done.done():
            continue  # cancelled: the client left
        if failure is None:
            waiter.done.set_result(None)
        else:
            waiter.done.set_exception(JournalUnavailableError(failure))
