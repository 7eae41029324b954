"""Who looked: the access records with what became of each answer and where each is on the chain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.core.consent.terms import Deed, Purpose, deed
from app.core.identifiers import (
    AccessRecordId,
    Address,
    BasisId,
    BlockHash,
    BlockRef,
    Commitment,
    PatientKey,
    StudyUid,
    TxHash,
    UnixTime,
)
from app.store.engine import Database
from app.store.journal import Outcome
from app.store.outbox import CallState
from app.store.tables import AccessOutcomeRow, AccessRecordRow, ChainBatchRow, OutboxCallRow

LARGEST_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class OnChain:
    """Where a record is: its sequence number, its transaction and block, and whether that block is final."""

    seq: int
    tx_hash: TxHash
    block: BlockRef
    final: bool


@dataclass(frozen=True, slots=True)
class Access:
    """One access. ``outcome`` None: the answer has not ended, or its end was lost in a crash.

    ``body`` and ``salt`` open ``commitment``; both are empty once the patient is erased.
    """

    record_id: AccessRecordId
    at: UnixTime
    actor: Address
    patient: PatientKey
    study: StudyUid | None
    action: Deed
    purpose: Purpose
    basis: BasisId
    decided_at: BlockRef
    salt: bytes
    body: bytes
    commitment: Commitment
    outcome: Outcome | None
    on_chain: OnChain | None


@dataclass(frozen=True, slots=True)
class Page:
    """Accesses, the newest first. ``cursor`` goes on from here; None at the end."""

    accesses: list[Access]
    cursor: int | None


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """Which accesses are wanted. None: any. ``besides``: whose are not; ``deeds``: any of these. ``since`` counts in,
    ``until`` does not.
    """

    actor: Address | None = None
    besides: Address | None = None
    study: StudyUid | None = None
    deeds: frozenset[Deed] | None = None
    since: UnixTime | None = None
    until: UnixTime | None = None
    purpose: Purpose | None = None


EVERY_ACCESS = AccessFilter()
HOUR_S = 3600
WEEK_S = 7 * 86400
# Unix time began on a Thursday; weeks begin on Mondays (ISO 8601).
FIRST_MONDAY_S = 4 * 86400


class Accesses:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def matching(
        self, patient: PatientKey | None, wanted: AccessFilter, limit: int = 100, cursor: int | None = None
    ) -> Page:
        """The accesses to one patient (None: to anybody) that are wanted, newest first."""
        return await self._page(_wanted(patient, wanted), limit, cursor)

    async def by_week(self, patient: PatientKey, wanted: AccessFilter) -> dict[UnixTime, int]:
        """How many of the wanted accesses there were in each week that had any, by the Monday (UTC) it began on."""
        # Not as parameters: PostgreSQL would take those of the two clauses for different ones
        first, length = (sa.literal_column(str(number), sa.BigInteger) for number in (FIRST_MONDAY_S, WEEK_S))
        week = (col(AccessRecordRow.at) - first) // length
        query = sa.select(week, sa.func.count()).where(_wanted(patient, wanted)).group_by(week)
        rows = await self._database.reading(lambda transaction: transaction.connection().execute(query).all())
        return {UnixTime(int(row[0]) * WEEK_S + FIRST_MONDAY_S): int(row[1]) for row in sorted(map(tuple, rows))}

    async def by_hour(self, since: UnixTime) -> dict[UnixTime, int]:
        """How many accesses to anybody there were in each hour that had any, by its beginning."""
        length = sa.literal_column(str(HOUR_S), sa.BigInteger)
        hour = col(AccessRecordRow.at) // length
        query = sa.select(hour, sa.func.count()).where(col(AccessRecordRow.at) >= since).group_by(hour)
        rows = await self._database.reading(lambda transaction: transaction.connection().execute(query).all())
        return {UnixTime(int(row[0]) * HOUR_S): int(row[1]) for row in sorted(map(tuple, rows))}

    async def actors_of(self, patient: PatientKey, limit: int = 500) -> list[Address]:
        """Everybody who ever looked at the patient's images."""
        query = (
            sa.select(col(AccessRecordRow.actor))
            .where(col(AccessRecordRow.patient_key) == patient)
            .distinct()
            .order_by(col(AccessRecordRow.actor))
            .limit(limit)
        )
        rows = await self._database.reading(lambda transaction: transaction.connection().execute(query).all())
        return [Address(row.actor) for row in rows]

    async def of_patients(self, patients: Sequence[PatientKey], limit: int = 100, cursor: int | None = None) -> Page:
        """Who looked at these patients."""
        return await self._page(col(AccessRecordRow.patient_key).in_(patients), limit, cursor)

    async def concerning(
        self, patients: Sequence[PatientKey], actor: Address, limit: int = 100, cursor: int | None = None
    ) -> Page:
        """Who looked at these patients, and what this actor looked at."""
        of_patients = col(AccessRecordRow.patient_key).in_(patients)
        return await self._page(of_patients | (col(AccessRecordRow.actor) == actor), limit, cursor)

    async def all(self, limit: int = 100, cursor: int | None = None) -> Page:
        """Every access."""
        return await self._page(sa.true(), limit, cursor)

    async def on_basis(self, patient: PatientKey, basis: BasisId, limit: int) -> list[Access]:
        """What was looked at of this patient on that one basis, the newest first."""
        which = (col(AccessRecordRow.patient_key) == patient) & (col(AccessRecordRow.basis) == basis)
        return (await self._page(which, limit, None)).accesses

    async def find(self, record_id: AccessRecordId) -> Access | None:
        """The access of this id."""
        query = _SELECT.where(col(AccessRecordRow.record_id) == record_id)
        found = await self._database.reading(lambda transaction: transaction.connection().execute(query).all())
        return _access(found[0]) if found else None

    async def _page(self, which: sa.ColumnElement[bool], limit: int, cursor: int | None) -> Page:
        if not 1 <= limit <= LARGEST_PAGE:
            raise ValueError("a page has 1 to 1000 accesses")
        row_id = col(AccessRecordRow.row_id)
        query = _SELECT.where(which).order_by(row_id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(row_id < cursor)

        def work(transaction: Session) -> Page:
            rows = transaction.connection().execute(query).all()
            more = len(rows) > limit
            return Page([_access(row) for row in rows[:limit]], rows[limit - 1].row_id if more else None)

        return await self._database.reading(work)


_SELECT = (
    sa.select(
        *(column.label(column.key) for column in sa.inspect(AccessRecordRow).columns if column.key != "batch_id"),
        col(AccessOutcomeRow.status),
        col(AccessOutcomeRow.body_bytes),
        col(AccessOutcomeRow.complete),
        col(OutboxCallRow.state),
        col(OutboxCallRow.mined_number),
        col(OutboxCallRow.mined_hash),
        col(OutboxCallRow.mined_tx),
    )
    .select_from(AccessRecordRow)
    .outerjoin(AccessOutcomeRow, col(AccessOutcomeRow.record_id) == col(AccessRecordRow.record_id))
    .outerjoin(ChainBatchRow, col(ChainBatchRow.batch_id) == col(AccessRecordRow.batch_id))
    .outerjoin(OutboxCallRow, col(OutboxCallRow.call_id) == col(ChainBatchRow.call_id))
)


def _wanted(patient: PatientKey | None, wanted: AccessFilter) -> "sa.ColumnElement[bool]":
    record = AccessRecordRow
    asked: list[sa.ColumnElement[bool]] = [sa.true()]
    if patient is not None:
        asked.append(col(record.patient_key) == patient)
    if wanted.actor is not None:
        asked.append(col(record.actor) == wanted.actor)
    if wanted.besides is not None:
        asked.append(col(record.actor) != wanted.besides)
    if wanted.study is not None:
        asked.append(col(record.study_uid) == wanted.study)
    if wanted.deeds is not None:
        asked.append(col(record.action).in_([int(one) for one in wanted.deeds]))
    if wanted.since is not None:
        asked.append(col(record.at) >= wanted.since)
    if wanted.until is not None:
        asked.append(col(record.at) < wanted.until)
    if wanted.purpose is not None:
        asked.append(col(record.purpose) == int(wanted.purpose))
    return sa.and_(*asked)


def _access(row: "sa.Row[*tuple[Any, ...]]") -> Access:
    outcome = None if row.status is None else Outcome(row.status, row.body_bytes, row.complete)
    on_chain = None
    if row.mined_tx is not None:
        on_chain = OnChain(
            row.seq,
            TxHash(row.mined_tx),
            BlockRef(row.mined_number, BlockHash(row.mined_hash)),
            row.state == CallState.FINAL,
        )
    return Access(
        record_id=AccessRecordId(row.record_id),
        at=UnixTime(row.at),
        actor=Address(row.actor),
        patient=PatientKey(row.patient_key),
        study=None if row.study_uid is None else StudyUid(row.study_uid),
        action=deed(row.action),
        purpose=Purpose(row.purpose),
        basis=BasisId(row.basis),
        decided_at=BlockRef(row.block_number, BlockHash(row.block_hash)),
        salt=row.salt,
        body=row.body,
        commitment=Commitment(row.commitment),
        outcome=outcome,
        on_chain=on_chain,
    )
