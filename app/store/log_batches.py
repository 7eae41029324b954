"""The log's way from the journal to the outbox: records without a batch, in row order, become the next batch.

Which records are in which batch is committed before its transaction is signed, in one transaction with the sequence
numbers; a record is in one batch that counts at most.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import bindparam, update
from sqlmodel import Session, col, select

from app.core.identifiers import (
    Address,
    BasisId,
    BlockHash,
    BlockRef,
    Commitment,
    LogHead,
    PatientKey,
    UnixTime,
)
from app.core.record import LoggedAccess
from app.store.engine import ConflictError, Database
from app.store.outbox import CallState, NewCall, enqueue
from app.store.tables import AccessRecordRow, ChainBatchRow, OutboxCallRow

BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Unbatched:
    """A record that waits for a batch."""

    row_id: int
    at: UnixTime
    access: LoggedAccess


@dataclass(frozen=True, slots=True)
class LogTail:
    """Where the log goes on: the next sequence number and the running head before it."""

    next_seq: int
    head: LogHead


@dataclass(frozen=True, slots=True)
class NewBatch:
    """Records that go on from ``before`` to ``after``, with the call that carries them."""

    records: Sequence[Unbatched]
    before: LogTail
    after: LogTail
    account: Address
    target: Address
    calldata: bytes
    gas_limit: int


class LogBatches:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def unbatched(self, limit: int) -> list[Unbatched]:
        """The oldest records that are in no batch."""
        waiting = (
            sa.select(
                sa.cast(col(AccessRecordRow.row_id), sa.BigInteger),
                col(AccessRecordRow.at),
                col(AccessRecordRow.basis),
                col(AccessRecordRow.actor),
                col(AccessRecordRow.patient_key),
                col(AccessRecordRow.block_number),
                col(AccessRecordRow.block_hash),
                col(AccessRecordRow.commitment),
            )
            .where(col(AccessRecordRow.batch_id).is_(None))
            .order_by(col(AccessRecordRow.row_id))
            .limit(limit)
        )

        def work(transaction: Session) -> list[Unbatched]:
            return [
                Unbatched(
                    row_id,
                    UnixTime(at),
                    LoggedAccess(
                        BasisId(basis),
                        Address(actor),
                        PatientKey(patient),
                        BlockRef(number, BlockHash(block_hash)),
                        Commitment(commitment),
                    ),
                )
                for row_id, at, basis, actor, patient, number, block_hash, commitment in transaction.connection()
                .execute(waiting)
                .all()
            ]

        return await self._database.reading(work)

    async def tail(self) -> LogTail | None:
        """Where the last batch that counts ends; None before the first."""
        last = (
            select(ChainBatchRow)
            .where(col(ChainBatchRow.released_at).is_(None))
            .order_by(col(ChainBatchRow.first_seq).desc())
            .limit(1)
        )

        def work(transaction: Session) -> LogTail | None:
            row = transaction.exec(last).one_or_none()
            return None if row is None else LogTail(row.first_seq + row.count, LogHead(row.next_head))

        return await self._database.reading(work)

    async def store(self, batch: NewBatch) -> int:
        """Queues the batch and gives its records their numbers; returns the call's id.

        Raises ConflictError when another process has batched any of them or this stretch of the log.
        """
        now = UnixTime(int(self._clock()))
        # A batch is asked about by its id; the reference only has to be new.
        call = NewCall(batch.account, BATCH, os.urandom(16), batch.target, batch.calldata, batch.gas_limit)

        def work(transaction: Session) -> int:
            call_id = enqueue(transaction, call, now).call_id
            row = ChainBatchRow(
                call_id=call_id,
                first_seq=batch.before.next_seq,
                count=len(batch.records),
                prev_head=batch.before.head,
                next_head=batch.after.head,
                oldest_at=min(record.at for record in batch.records),
                released_at=None,
            )
            transaction.add(row)
            transaction.flush()
            numbered = transaction.connection().execute(
                _NUMBER,
                [
                    {"its_row": record.row_id, "its_seq": seq, "its_batch": row.batch_id}
                    for seq, record in enumerate(batch.records, batch.before.next_seq)
                ],
            )
            if numbered.rowcount != len(batch.records):
                raise ConflictError("a record is in another batch already")
            return call_id

        return await self._database.writing(work)

    async def release(self, call_ids: Sequence[int]) -> None:
        """Gives back the records of batches whose calls have failed for good, to be batched anew.

        Raises ConflictError when another process was first.
        """
        now = int(self._clock())

        def work(transaction: Session) -> None:
            of_calls = col(ChainBatchRow.call_id).in_(call_ids)
            connection = transaction.connection()
            released = connection.execute(
                update(ChainBatchRow).where(of_calls, col(ChainBatchRow.released_at).is_(None)).values(released_at=now)
            )
            if released.rowcount != len(call_ids):
                raise ConflictError("another process has released a batch")
            connection.execute(
                update(AccessRecordRow)
                .where(col(AccessRecordRow.batch_id).in_(sa.select(col(ChainBatchRow.batch_id)).where(of_calls)))
                .values(seq=None, batch_id=None)
            )

        await self._database.writing(work)

    async def failed(self) -> list[int]:
        """The calls that have failed and whose batches still hold records."""
        stuck = (
            select(ChainBatchRow.call_id)
            .join(OutboxCallRow, col(OutboxCallRow.call_id) == col(ChainBatchRow.call_id))
            .where(col(ChainBatchRow.released_at).is_(None), col(OutboxCallRow.state) == CallState.FAILED)
            .order_by(col(ChainBatchRow.first_seq))
        )
        return await self._database.reading(lambda transaction: list(transaction.exec(stuck).all()))


_NUMBER = (
    update(AccessRecordRow)
    .where(col(AccessRecordRow.row_id) == bindparam("its_row"), col(AccessRecordRow.batch_id).is_(None))
    .values(seq=bindparam("its_seq"), batch_id=bindparam("its_batch"))
)
