"""Verification runs begun from the portal: how far each has come, and what it found; seen alike at every gateway."""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.core.identifiers import Address, UnixTime
from app.store.engine import Database
from app.store.tables import VerificationRow

# A run says so much more often how far it is; one that says nothing for so long has ended with its gateway.
_SILENT_S = 120


class RunState(StrEnum):
    """Where a run is. The values are in the database, but for LOST, which nobody was left to write."""

    RUNNING = "running"
    GOOD = "good"
    BAD = "bad"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Run:
    """``reached`` of ``last`` blocks, and ``records`` so far. ``report`` is the replay's document, or what kept it from
    being made ({"error": …}).
    """

    run_id: bytes
    asked_by: Address
    with_records: bool
    state: RunState
    reached: int
    last: int
    records: int
    report: dict[str, Any]
    started_at: UnixTime
    changed_at: UnixTime


class Verifications:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, asked_by: Address, *, with_records: bool) -> tuple[Run, bool]:
        """A new run, or the one that goes on already; and whether it is new."""
        now = self._now()

        def work(transaction: Session) -> tuple[Run, bool]:
            going_on = select(VerificationRow).where(
                col(VerificationRow.state) == RunState.RUNNING, col(VerificationRow.changed_at) > now - _SILENT_S
            )
            found = transaction.exec(going_on.limit(1)).first()
            if found is not None:
                return self._run(found), False
            row = VerificationRow(
                run_id=secrets.token_bytes(16),
                asked_by=asked_by,
                with_records=with_records,
                state=RunState.RUNNING,
                reached=0,
                last=0,
                records=0,
                report="",
                started_at=now,
                changed_at=now,
            )
            transaction.add(row)
            return self._run(row), True

        return await self._database.writing(work)

    async def progress(self, run_id: bytes, reached: int, last: int, records: int) -> None:
        """How far it has come."""
        await self._change(run_id, reached=reached, last=last, records=records)

    async def end(self, run_id: bytes, state: RunState, report: dict[str, Any]) -> None:
        """What came of it."""
        await self._change(run_id, state=state, report=json.dumps(report))

    async def newest(self, limit: int = 20) -> list[Run]:
        query = select(VerificationRow).order_by(col(VerificationRow.started_at).desc()).limit(limit)
        return await self._database.reading(
            lambda transaction: [self._run(row) for row in transaction.exec(query).all()]
        )

    async def find(self, run_id: bytes) -> Run | None:
        def work(transaction: Session) -> Run | None:
            row = transaction.get(VerificationRow, run_id)
            return None if row is None else self._run(row)

        return await self._database.reading(work)

    async def _change(self, run_id: bytes, **values: object) -> None:
        one = update(VerificationRow).where(col(VerificationRow.run_id) == run_id)
        change = one.values(changed_at=self._now(), **values)
        await self._database.writing(lambda transaction: transaction.connection().execute(change))

    def _run(self, row: VerificationRow) -> Run:
        state = RunState(row.state)
        if state is RunState.RUNNING and row.changed_at <= self._now() - _SILENT_S:
            state = RunState.LOST
        return Run(
            run_id=row.run_id,
            asked_by=Address(row.asked_by),
            with_records=row.with_records,
            state=state,
            reached=row.reached,
            last=row.last,
            records=row.records,
            report=json.loads(row.report) if row.report else {},
            started_at=UnixTime(row.started_at),
            changed_at=UnixTime(row.changed_at),
        )

    def _now(self) -> UnixTime:
        return UnixTime(int(self._clock()))
