"""Makes batches of the records that wait: gap-free, from where the log ends, each head from the one before."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from app.chain.contracts import CallData, RevertError
from app.core.record import MAX_BATCH, encode_batch, next_head
from app.loops.lane import Lane, Trouble
from app.loops.lane_chain import LogChain
from app.store.log_batches import LogBatches, LogTail, NewBatch, Unbatched

# Gas of record(): measured 31,000 for one record and 2,910 to 4,740 each for many; bounded from above, since what is
# not used is not paid. Estimating is no use, since a batch that waits for the one before it would revert now.
_GAS_PER_CALL = 90_000
_GAS_PER_RECORD = 6_000
_GAS_PER_BYTE = 40  # EIP-7623's floor for calldata


@dataclass(frozen=True, slots=True)
class Pace:
    """A batch is sent when the lane is idle, when it is full, or ``flush_s`` after the last."""

    flush_s: float = 1.0
    in_flight: int = 16
    batch: int = MAX_BATCH


class LogPlanner:
    """Feeds the recorder's lane."""

    def __init__(self, lane: Lane, batches: LogBatches, chain: LogChain, pace: Pace | None = None) -> None:
        self._lane = lane
        self._batches = batches
        self._chain = chain
        self._pace = pace or Pace()
        self._last_at = float("-inf")
        self.trouble: Trouble | None = None

    async def plan(self) -> bool:
        """Queues the next batch if it is time for one; True if it did. Raises what the lane's step raises."""
        self.trouble = None
        if self._lane.unsettled:
            return False
        under_way = await self._lane.open_calls()
        if await self._redo_failed(under_way) or under_way >= self._pace.in_flight:
            return False
        records = await self._batches.unbatched(self._pace.batch)
        due = under_way == 0 or time.monotonic() - self._last_at >= self._pace.flush_s
        if not records or not (due or len(records) == self._pace.batch):
            return False
        before = await self._tail(idle=under_way == 0)
        if before is None:
            return False
        batch = self._batch(records, before)
        if under_way == 0 and not await self._would_land(batch):
            return False
        await self._batches.store(batch)
        self._last_at = time.monotonic()
        return True

    async def _redo_failed(self, under_way: int) -> bool:
        """Whatever was built on a batch that failed fails as well; when all of it is settled, all of it is redone."""
        failed = await self._batches.failed()
        if failed and under_way == 0:
            await self._batches.release(failed)
        return bool(failed)

    async def _tail(self, *, idle: bool) -> LogTail | None:
        """Where the log goes on. With nothing under way the contract must say the same."""
        stored = await self._batches.tail()
        if not idle and stored is not None:
            return stored
        on_chain = await self._chain.log_tail()
        if stored not in {None, on_chain}:
            self.trouble = Trouble.LOG_DIVERGED
            return None
        return on_chain

    def _batch(self, records: Sequence[Unbatched], before: LogTail) -> NewBatch:
        head = before.head
        for seq, record in enumerate(records, before.next_seq):
            head = next_head(head, seq, record.access)
        call = self._chain.record(before, encode_batch([record.access for record in records]))
        return NewBatch(
            records=records,
            before=before,
            after=LogTail(before.next_seq + len(records), head),
            account=self._lane.account,
            target=call.to,
            calldata=call.data,
            gas_limit=_GAS_PER_CALL + _GAS_PER_RECORD * len(records) + _GAS_PER_BYTE * len(call.data),
        )

    async def _would_land(self, batch: NewBatch) -> bool:
        """Tried on the head first, so that a lost role or a foreign entry costs nothing, again and again."""
        try:
            await self._chain.gas(CallData(batch.target, batch.calldata), self._lane.account)
        except RevertError:
            self.trouble = Trouble.CONTRACT_REFUSES
            return False
        return True
