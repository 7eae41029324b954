"""One account's way to the chain: its queued calls are signed in order, stored, broadcast and followed to finality.

The database is asked each time, so a lane that is killed anywhere goes on where it was: a transaction that was stored
and not sent is sent, one that was mined meanwhile is found, one that the chain lost is sent again, byte for byte.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.chain.contracts import CallData, RevertError
from app.chain.sender import Broadcast, Fees, Receipt, Signer, Unmined, Unsigned
from app.core.identifiers import Address, TxHash, UnixTime
from app.loops.lane_chain import LaneChain
from app.store.outbox import Attempt, CallState, MinedCall, Outbox, OutboxCall

_LOG = logging.getLogger(__name__)


class Trouble(StrEnum):
    """What keeps a lane from going on; for people to read, so the values are words."""

    UNFUNDED = "the account cannot pay"
    REFUSED = "the node refuses the transaction"
    UNDERPRICED = "fees are above the limit"
    REVERTED = "a transaction reverted"
    DISPLACED = "something else used the account's nonce"
    LOG_DIVERGED = "the contract's log does not end where ours does"
    CONTRACT_REFUSES = "the contract refuses the batch"
    CHAIN = "the chain cannot be asked"
    STORE = "the database cannot be used"


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """``stuck_after_s``: so old, a transaction at the head of the line is replaced with higher fees, to the limit."""

    in_flight: int = 16
    stuck_after_s: float = 30.0
    resend_after_s: float = 5.0
    highest_fee_wei: int = 10**13


class Lane:
    """Whoever runs ``step`` again and again alone uses the account."""

    def __init__(
        self,
        signer: Signer,
        outbox: Outbox,
        chain: LaneChain,
        limits: LaneLimits | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._signer = signer
        self._outbox = outbox
        self._chain = chain
        self._limits = limits or LaneLimits()
        self._clock = clock
        # When this process last broadcast a transaction (monotonic); what is not here has to be sent.
        self._sent_at: dict[TxHash, float] = {}
        self.trouble: Trouble | None = None
        # True while a transaction has reverted, or lost its nonce to another, and that is not final yet.
        self.unsettled = False

    @property
    def account(self) -> Address:
        return self._signer.address

    async def open_calls(self) -> int:
        """Calls that are queued, or signed and in no block."""
        return await self._outbox.count_open(self.account)

    async def step(self, *, sign: bool = True) -> None:
        """Follows what is under way, then signs what is queued, unless ``sign`` is off.

        Raises RpcError, StoreUnavailableError, ConflictError; all of them leave a state to go on from.
        """
        self.trouble = None
        nonce = await self._chain.account_nonce(self.account)
        await self._find_rolled_back(nonce)
        await self._settle_mined()
        waiting = await self._follow_signed(nonce)
        if sign and not self.unsettled:
            await self._sign_queued(nonce, waiting)

    async def _find_rolled_back(self, nonce: int) -> None:
        """What is believed mined cannot have a nonce that the chain says is still to come."""
        lost = await self._outbox.landed_from(self.account, nonce)
        if lost:
            _LOG.warning("%d transactions are no longer on the chain; sending them again", len(lost))
            await self._outbox.unmined([call.call_id for call in lost])
            await self._forget_sent(lost)

    async def _settle_mined(self) -> None:
        mined = await self._outbox.mined_calls(self.account)
        if not mined:
            return
        final_number = await self._chain.final_number()
        newest = max(mined, key=lambda one: one.block.number).block
        # One look at the newest block shows most reorganisations; each block is looked at once more when it is final.
        moved = await self._chain.hash_at(newest.number) != newest.hash
        suspects = [one for one in mined if moved or one.block.number <= final_number]
        hashes = {number: await self._chain.hash_at(number) for number in {one.block.number for one in suspects}}
        undone = [one for one in suspects if hashes[one.block.number] != one.block.hash]
        final = [one for one in suspects if one not in undone and one.block.number <= final_number]
        await self._forget_sent(undone)
        await self._outbox.unmined([one.call_id for one in undone])
        await self._outbox.final([one.call_id for one in final])

    async def _forget_sent(self, calls: Sequence[MinedCall]) -> None:
        for call in calls:
            for attempt in await self._outbox.attempts(call.call_id):
                self._sent_at.pop(attempt.tx_hash, None)

    async def _follow_signed(self, nonce: int) -> int:
        """Looks after what is signed and in no block; returns how many remain so."""
        signed = await self._outbox.in_state(self.account, CallState.SIGNED)
        self.unsettled = False
        remaining = 0
        for call in signed:
            assert call.account_nonce is not None  # noqa: S101 - it is signed
            attempts = await self._outbox.attempts(call.call_id)
            current = [one for one in attempts if one.account_nonce == call.account_nonce]
            if call.account_nonce < nonce:
                landed = await self._find_landed(call, current)
                remaining += not landed
                if landed:
                    for one in attempts:
                        self._sent_at.pop(one.tx_hash, None)
            else:
                remaining += 1
                await self._push(call, current, first=call.account_nonce == nonce)
        return remaining

    async def _find_landed(self, call: OutboxCall, attempts: Sequence[Attempt]) -> bool:
        """The call's nonce is used: by which transaction, and what came of it? True once the call has left SIGNED."""
        versions = [one.tx_hash for one in attempts]
        found = await self._chain.fate(self.account, attempts[0].account_nonce, versions)
        if isinstance(found, Receipt):
            return await self._take_receipt(call, found)
        if found is not Unmined.DISPLACED:
            return False  # the nodes have moved between two questions
        self.unsettled, self.trouble = True, Trouble.DISPLACED
        final_number = await self._chain.final_number()
        if await self._chain.account_nonce(self.account, final_number) <= attempts[0].account_nonce:
            return False
        # Asked again: a node may index receipts a moment after the block.
        if await self._chain.fate(self.account, attempts[0].account_nonce, versions) is not Unmined.DISPLACED:
            return False
        await self._outbox.requeued(call.call_id)
        return True

    async def _take_receipt(self, call: OutboxCall, receipt: Receipt) -> bool:
        if receipt.succeeded:
            await self._outbox.mined(call.call_id, receipt.tx_hash, receipt.block)
            return True
        self.unsettled, self.trouble = True, Trouble.REVERTED
        if receipt.block.number > await self._chain.final_number():
            return False  # a reorganisation may still make it succeed: nothing of it is used anew until then
        await self._outbox.failed(call.call_id, "reverted")
        return True

    async def _push(self, call: OutboxCall, attempts: Sequence[Attempt], *, first: bool) -> None:
        """Sees to it that a transaction which is still to be mined is in a pool, with fees that get it mined."""
        newest = attempts[0]
        sent_at = self._sent_at.get(newest.tx_hash)
        if sent_at is None:
            await self._send(call, newest)
            return
        if time.monotonic() - sent_at < self._limits.resend_after_s and not first:
            return
        found = await self._chain.fate(self.account, newest.account_nonce, [one.tx_hash for one in attempts])
        if found is Unmined.DROPPED:
            await self._send(call, newest)
        elif found is Unmined.PENDING and first:
            if self._clock() - newest.signed_at >= self._limits.stuck_after_s:
                await self._replace(call, newest)
        elif found is Unmined.PENDING:
            self._sent_at[newest.tx_hash] = time.monotonic()

    async def _send(self, call: OutboxCall, attempt: Attempt, *, may_replace: bool = True) -> None:
        answer = await self._chain.broadcast(attempt.raw)
        if answer in {Broadcast.ACCEPTED, Broadcast.NONCE_TAKEN}:
            self._sent_at[attempt.tx_hash] = time.monotonic()
        elif answer is Broadcast.UNDERPRICED and may_replace:
            await self._replace(call, attempt)
        else:
            self.trouble = {
                Broadcast.UNDERPRICED: Trouble.UNDERPRICED,
                Broadcast.UNFUNDED: Trouble.UNFUNDED,
            }.get(answer, Trouble.REFUSED)

    async def _replace(self, call: OutboxCall, attempt: Attempt) -> None:
        """Signs the same call with the same nonce and higher fees, so that one of the two is mined."""
        paid = Fees(attempt.max_fee_wei, attempt.priority_fee_wei)
        fees = paid.raised(await self._chain.fees())
        if fees.max_fee_wei > self._limits.highest_fee_wei:
            self.trouble = Trouble.UNDERPRICED
            return
        gas = call.call.gas_limit or await self._gas_again(call)
        if gas is not None:
            _LOG.info("a transaction is stuck; replacing it with higher fees")
            replacement = await self._store_signed(call, attempt.account_nonce, gas, fees)
            await self._send(call, replacement, may_replace=False)

    async def _gas_again(self, call: OutboxCall) -> int | None:
        try:
            return await self._chain.gas(CallData(call.call.target, call.call.calldata), self.account)
        except RevertError:
            return None  # what is in the pool may be mined yet, or revert; there is nothing better to send

    async def _sign_queued(self, nonce: int, waiting: int) -> None:
        queued = await self._outbox.in_state(self.account, CallState.QUEUED, limit=self._limits.in_flight)
        room = self._limits.in_flight - waiting
        if not queued or room <= 0:
            return
        fees = await self._chain.fees()
        if fees.max_fee_wei > self._limits.highest_fee_wei:
            self.trouble = Trouble.UNDERPRICED
            return
        next_nonce = max(nonce, await self._outbox.next_nonce(self.account))
        for call in queued[:room]:
            gas = call.call.gas_limit
            if gas is None:
                gas = await self._gas_or_failed(call, alone=waiting == 0)
            if gas is not None:
                attempt = await self._store_signed(call, next_nonce, gas, fees)
                next_nonce += 1
                waiting += 1
                await self._send(call, attempt)

    async def _gas_or_failed(self, call: OutboxCall, *, alone: bool) -> int | None:
        try:
            return await self._chain.gas(CallData(call.call.target, call.call.calldata), self.account)
        except RevertError as error:
            if alone:
                await self._outbox.failed(call.call_id, f"the contract refuses: {error.name or 'no known reason'}")
            return None  # with others on their way, it may need what one of them brings: it is tried again

    async def _store_signed(self, call: OutboxCall, nonce: int, gas: int, fees: Fees) -> Attempt:
        unsigned = Unsigned(self._chain.chain_id, nonce, call.call.target, call.call.calldata, gas, fees)
        signed = self._signer.sign(unsigned)
        attempt = Attempt(
            signed.hash,
            nonce,
            signed.raw,
            fees.max_fee_wei,
            fees.tip_wei,
            UnixTime(int(self._clock())),
        )
        await self._outbox.signed(call.call_id, attempt)
        return attempt
