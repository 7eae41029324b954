"""What is to be on the chain: calls, each exactly once, with the signed transactions that carry them.

A call is queued, then signed (its transaction is stored before anyone broadcasts it), then mined, then final. A
reorganisation takes a mined call back to signed. A call that can never land any more has failed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app.core.identifiers import Address, BlockHash, BlockRef, TxHash, UnixTime
from app.store.engine import ConflictError, Database, portions
from app.store.tables import OutboxCallRow, OutboxTxRow


class CallState(StrEnum):
    """Where a call is. The values are in the database."""

    QUEUED = "queued"
    SIGNED = "signed"
    MINED = "mined"
    FINAL = "final"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NewCall:
    """``kind`` and ``reference`` name the call for whoever asked: the same pair is relayed once.

    ``account`` sends it. ``gas_limit`` None means that it is estimated before signing.
    """

    account: Address
    kind: str
    reference: bytes
    target: Address
    calldata: bytes
    gas_limit: int | None = None


@dataclass(frozen=True, slots=True)
class OutboxCall:
    """A call and where it is. ``mined`` and ``mined_tx`` are set while it is mined or final; ``error`` once failed."""

    call_id: int
    call: NewCall
    state: CallState
    account_nonce: int | None
    error: str | None
    mined: BlockRef | None
    mined_tx: TxHash | None
    changed_at: UnixTime


@dataclass(frozen=True, slots=True)
class MinedCall:
    """Where a call was mined."""

    call_id: int
    block: BlockRef


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed transaction of a call. Fees in wei."""

    tx_hash: TxHash
    account_nonce: int
    raw: bytes
    max_fee_wei: int
    priority_fee_wei: int
    signed_at: UnixTime


@dataclass(frozen=True, slots=True)
class Enqueued:
    """``anew`` is False when a call of this kind and reference was on its way already, and stays as it is."""

    call_id: int
    anew: bool


def enqueue(transaction: Session, call: NewCall, now: UnixTime) -> Enqueued:
    """Queues the call in the caller's transaction, unless it is on its way; one that had failed is queued anew."""
    same = (col(OutboxCallRow.kind) == call.kind) & (col(OutboxCallRow.reference) == call.reference)
    known = transaction.exec(select(OutboxCallRow).where(same)).one_or_none()
    if known is None:
        known = OutboxCallRow(
            account=call.account,
            kind=call.kind,
            reference=call.reference,
            target=call.target,
            calldata=call.calldata,
            gas_limit=call.gas_limit,
            state=CallState.QUEUED,
            account_nonce=None,
            error=None,
            created_at=now,
            changed_at=now,
            mined_number=None,
            mined_hash=None,
            mined_tx=None,
        )
    elif known.state == CallState.FAILED:
        known.account, known.target, known.calldata = call.account, call.target, call.calldata
        known.gas_limit, known.account_nonce, known.error = call.gas_limit, None, None
        known.state, known.changed_at = CallState.QUEUED, now
    else:
        return Enqueued(_id(known), anew=False)
    transaction.add(known)
    transaction.flush()
    return Enqueued(_id(known), anew=True)


def _id(row: OutboxCallRow) -> int:
    assert row.call_id is not None  # noqa: S101 - a row that was read or flushed has it
    return row.call_id


class Outbox:
    """All methods raise StoreUnavailableError; those that write, ConflictError when another process was first."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def enqueue(self, call: NewCall) -> OutboxCall:
        """Queues a call, or finds the one of this kind and reference."""
        now = self._now()

        def work(transaction: Session) -> OutboxCall:
            return call_of(transaction.get_one(OutboxCallRow, enqueue(transaction, call, now).call_id))

        return await self._database.writing(work)

    async def begin(self, call: NewCall) -> bool:
        """Queues a call; False when one of this kind and reference was on its way already. Of several, one begins."""
        now = self._now()
        return await self._database.writing(lambda transaction: enqueue(transaction, call, now).anew)

    async def find(self, kind: str, reference: bytes) -> OutboxCall | None:
        """The call of this kind and reference."""
        same = (col(OutboxCallRow.kind) == kind) & (col(OutboxCallRow.reference) == reference)

        def work(transaction: Session) -> OutboxCall | None:
            row = transaction.exec(select(OutboxCallRow).where(same)).one_or_none()
            return None if row is None else call_of(row)

        return await self._database.reading(work)

    async def in_state(self, account: Address, *states: CallState, limit: int = 10_000) -> list[OutboxCall]:
        """The account's calls in these states: by nonce, those without one last, in the order they came."""
        mine = (col(OutboxCallRow.account) == account) & col(OutboxCallRow.state).in_(states)
        order = (col(OutboxCallRow.account_nonce).asc().nulls_last(), col(OutboxCallRow.call_id))
        return await self._database.reading(
            lambda transaction: [
                call_of(row)
                for row in transaction.exec(select(OutboxCallRow).where(mine).order_by(*order).limit(limit)).all()
            ]
        )

    async def count_open(self, account: Address) -> int:
        """How many of the account's calls are queued, or signed and in no block."""
        mine = (col(OutboxCallRow.account) == account) & col(OutboxCallRow.state).in_(
            (CallState.QUEUED, CallState.SIGNED)
        )
        query = select(func.count()).select_from(OutboxCallRow).where(mine)
        return await self._database.reading(lambda transaction: transaction.exec(query).one())

    async def mined_calls(self, account: Address) -> list[MinedCall]:
        """The account's calls that are mined and not final: many, where finality is slow."""
        mine = (col(OutboxCallRow.account) == account) & (col(OutboxCallRow.state) == CallState.MINED)
        return await self._mined(mine)

    async def landed_from(self, account: Address, account_nonce: int) -> list[MinedCall]:
        """Calls believed mined or final whose nonce is this or higher."""
        mine = (
            (col(OutboxCallRow.account) == account)
            & (col(OutboxCallRow.account_nonce) >= account_nonce)
            & col(OutboxCallRow.state).in_((CallState.MINED, CallState.FINAL))
        )
        return await self._mined(mine)

    async def _mined(self, which: sa.ColumnElement[bool]) -> list[MinedCall]:
        query = (
            sa.select(col(OutboxCallRow.call_id), col(OutboxCallRow.mined_number), col(OutboxCallRow.mined_hash))
            .where(which)
            .order_by(col(OutboxCallRow.account_nonce))
        )
        return await self._database.reading(
            lambda transaction: [
                MinedCall(call_id, BlockRef(number, BlockHash(block_hash)))
                for call_id, number, block_hash in transaction.connection().execute(query).all()
                if call_id is not None and number is not None and block_hash is not None
            ]
        )

    async def next_nonce(self, account: Address) -> int:
        """One more than the highest nonce that a call of this account holds; 0 when none does."""
        mine = select(func.max(col(OutboxCallRow.account_nonce))).where(col(OutboxCallRow.account) == account)

        def work(transaction: Session) -> int:
            found: int | None = transaction.connection().execute(mine).scalar()
            return 0 if found is None else found + 1

        return await self._database.reading(work)

    async def attempts(self, call_id: int) -> list[Attempt]:
        """The call's signed transactions, the newest first."""
        its = select(OutboxTxRow).where(col(OutboxTxRow.call_id) == call_id)
        newest = (col(OutboxTxRow.account_nonce).desc(), col(OutboxTxRow.signed_at).desc())

        def work(transaction: Session) -> list[Attempt]:
            rows = [_attempt(row) for row in transaction.exec(its.order_by(*newest)).all()]
            return sorted(rows, key=lambda one: (one.account_nonce, one.max_fee_wei), reverse=True)

        return await self._database.reading(work)

    async def signed(self, call_id: int, attempt: Attempt) -> None:
        """Stores a signed transaction: the first of a queued call, or a replacement with the nonce of a signed one."""

        def work(transaction: Session) -> None:
            row = transaction.get_one(OutboxCallRow, call_id, with_for_update=True)
            replaces = row.state == CallState.SIGNED and row.account_nonce == attempt.account_nonce
            if row.state != CallState.QUEUED and not replaces:
                raise ConflictError("the call has been signed by another process")
            row.state, row.account_nonce, row.changed_at = CallState.SIGNED, attempt.account_nonce, self._now()
            transaction.add(
                OutboxTxRow(
                    tx_hash=attempt.tx_hash,
                    call_id=call_id,
                    account_nonce=attempt.account_nonce,
                    raw=attempt.raw,
                    max_fee_wei=str(attempt.max_fee_wei),
                    priority_fee_wei=str(attempt.priority_fee_wei),
                    signed_at=attempt.signed_at,
                )
            )

        await self._database.writing(work)

    async def mined(self, call_id: int, tx_hash: TxHash, block: BlockRef) -> None:
        """One of the call's transactions is in this block and succeeded."""
        await self._move(
            [call_id],
            [CallState.SIGNED],
            CallState.MINED,
            mined_number=block.number,
            mined_hash=block.hash,
            mined_tx=tx_hash,
        )

    async def unmined(self, call_ids: Sequence[int]) -> None:
        """Their blocks are no longer on the chain: they are signed, and to be sent again."""
        away = [CallState.MINED, CallState.FINAL]
        await self._move(call_ids, away, CallState.SIGNED, mined_number=None, mined_hash=None, mined_tx=None)

    async def final(self, call_ids: Sequence[int]) -> None:
        """Their blocks are final."""
        await self._move(call_ids, [CallState.MINED], CallState.FINAL)

    async def failed(self, call_id: int, error: str) -> None:
        """The call can never land. ``error`` is a short name, and no text of a node's."""
        await self._move([call_id], [CallState.QUEUED, CallState.SIGNED], CallState.FAILED, error=error)

    async def requeued(self, call_id: int) -> None:
        """Its nonce was used by something else: it is to be signed anew with another."""
        await self._move([call_id], [CallState.SIGNED], CallState.QUEUED, account_nonce=None)

    async def _move(
        self, call_ids: Sequence[int], before: Sequence[CallState], after: CallState, **values: object
    ) -> None:
        """All of them or none: what another process has moved meanwhile is looked at anew."""
        if not call_ids:
            return
        unmoved = update(OutboxCallRow).where(col(OutboxCallRow.state).in_(before))
        change = unmoved.values(state=after, changed_at=self._now(), **values)

        def work(transaction: Session) -> None:
            connection = transaction.connection()
            moved = sum(
                connection.execute(change.where(col(OutboxCallRow.call_id).in_(some))).rowcount
                for some in portions(call_ids)
            )
            if moved != len(call_ids):
                raise ConflictError("a call has been moved on by another process")

        await self._database.writing(work)

    def _now(self) -> UnixTime:
        return UnixTime(int(self._clock()))


def call_of(row: OutboxCallRow) -> OutboxCall:
    """A stored call as a value."""
    mined = None
    if row.mined_number is not None and row.mined_hash is not None:
        mined = BlockRef(row.mined_number, BlockHash(row.mined_hash))
    return OutboxCall(
        call_id=_id(row),
        call=NewCall(Address(row.account), row.kind, row.reference, Address(row.target), row.calldata, row.gas_limit),
        state=CallState(row.state),
        account_nonce=row.account_nonce,
        error=row.error,
        mined=mined,
        mined_tx=None if row.mined_tx is None else TxHash(row.mined_tx),
        changed_at=UnixTime(row.changed_at),
    )


def _attempt(row: OutboxTxRow) -> Attempt:
    return Attempt(
        TxHash(row.tx_hash),
        row.account_nonce,
        row.raw,
        int(row.max_fee_wei),
        int(row.priority_fee_wei),
        UnixTime(row.signed_at),
    )
