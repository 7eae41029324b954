"""The walk through the archive that looks for odd identities: how far it has come, so that it goes on after a restart.

There is one at a time, whichever gateway does it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlmodel import Session

from app.core.identifiers import Address, UnixTime
from app.store.engine import Database
from app.store.tables import IdentityScanRow

_ONLY = 1


class ScanState(StrEnum):
    """The values are in the database."""

    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Scan:
    """``done`` studies of ``total`` (None where the archive cannot say), ``found`` odd ones among them; ``skipped``:
    what the archive could not tell. ``trouble``: why it does not get on now, by kind; "" while it does. ``place``:
    where it goes on.
    """

    state: ScanState
    place: str
    done: int
    total: int | None
    found: int
    skipped: int
    trouble: str
    started_by: Address
    started_at: UnixTime
    finished_at: UnixTime | None


class IdentityScans:
    """The methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def last(self) -> Scan | None:
        """The one that runs, or ran last."""
        return await self._database.reading(lambda transaction: _scan(transaction.get(IdentityScanRow, _ONLY)))

    async def start(self, by: Address) -> Scan:
        """The one that runs already, else a new one from the beginning."""
        now = int(self._clock())

        def work(transaction: Session) -> Scan:
            row = transaction.get(IdentityScanRow, _ONLY, with_for_update=True)
            running = _scan(row)
            if running is not None and running.state is ScanState.RUNNING:
                return running
            fresh: dict[str, Any] = {
                "state": ScanState.RUNNING,
                "place": "",
                "done": 0,
                "total": None,
                "found": 0,
                "skipped": 0,
                "trouble": "",
                "started_by": by,
                "started_at": now,
                "finished_at": None,
            }
            if row is None:
                row = IdentityScanRow(scan_id=_ONLY, **fresh)
            else:
                for name, value in fresh.items():
                    setattr(row, name, value)
            transaction.add(row)
            begun = _scan(row)
            assert begun is not None  # noqa: S101 - it was made here
            return begun

        return await self._database.writing(work)

    async def advance(self, place: str, done: int, found: int, skipped: int, total: int | None) -> None:
        """So much more was looked at; ``total`` as far as it is known."""

        def work(transaction: Session) -> None:
            row = transaction.get_one(IdentityScanRow, _ONLY, with_for_update=True)
            row.place, row.total, row.trouble = place, total, ""
            row.done += done
            row.found += found
            row.skipped += skipped
            transaction.add(row)

        await self._database.writing(work)

    async def troubled(self, kind: str) -> None:
        """It does not get on."""

        def work(transaction: Session) -> None:
            row = transaction.get_one(IdentityScanRow, _ONLY, with_for_update=True)
            row.trouble = kind
            transaction.add(row)

        await self._database.writing(work)

    async def finish(self) -> None:
        """It has come to the end."""
        now = int(self._clock())

        def work(transaction: Session) -> None:
            row = transaction.get_one(IdentityScanRow, _ONLY, with_for_update=True)
            row.state, row.finished_at, row.trouble = ScanState.FINISHED, now, ""
            transaction.add(row)

        await self._database.writing(work)


def _scan(row: IdentityScanRow | None) -> Scan | None:
    if row is None:
        return None
    return Scan(
        ScanState(row.state),
        row.place,
        row.done,
        row.total,
        row.found,
        row.skipped,
        row.trouble,
        Address(row.started_by),
        UnixTime(row.started_at),
        None if row.finished_at is None else UnixTime(row.finished_at),
    )
