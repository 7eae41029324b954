"""What a lane needs of the chain, and the nodes as that."""

from dataclasses import dataclass
from typing import Protocol

from app.chain.contracts import CallData, Contracts
from app.chain.nodes import Nodes
from app.chain.quantities import block_hash, fields, quantity, to_quantity
from app.chain.rpc import Node
from app.chain.sender import (
    Broadcast,
    Fees,
    Receipt,
    Unmined,
    account_nonce,
    broadcast,
    estimate_fees,
    fate,
    with_margin,
)
from app.core.identifiers import Address, BlockHash, TxHash
from app.store.log_batches import LogTail


class LaneChain(Protocol):
    """Every method raises RpcError when the nodes cannot be asked or disagree."""

    @property
    def chain_id(self) -> int: ...
    async def account_nonce(self, account: Address, number: int | None = None) -> int:
        """Transactions of the account up to the head, or up to that block."""

    async def final_number(self) -> int:
        """The highest block that no reorganisation takes back."""

    async def hash_at(self, number: int) -> BlockHash | None:
        """The block of that number on the chain as it is now; None past the head."""

    async def fees(self) -> Fees:
        """What the market wants now."""

    async def gas(self, call: CallData, sender: Address) -> int:
        """Enough gas for the call. Raises RevertError when it would revert in the next block."""

    async def broadcast(self, raw: bytes) -> Broadcast: ...
    async def fate(self, account: Address, nonce: int, versions: list[TxHash]) -> Receipt | Unmined: ...


class LogChain(LaneChain, Protocol):
    """What submitting the log needs beyond that."""

    def record(self, before: LogTail, batch: bytes) -> CallData:
        """The call that appends a batch."""

    async def log_tail(self) -> LogTail:
        """Where the contract's log ends at the head."""


@dataclass(frozen=True, slots=True)
class NodesChain:
    """LogChain over the configured nodes. ``confirmations`` None: finality as the chain declares it (``finalized``)."""

    nodes: Nodes
    contracts: Contracts
    chain_id: int
    confirmations: int | None = None

    async def account_nonce(self, account: Address, number: int | None = None) -> int:
        return await account_nonce(self.nodes, account, "latest" if number is None else to_quantity(number))

    async def final_number(self) -> int:
        tag = "finalized" if self.confirmations is None else "latest"

        async def ask(node: Node) -> int:
            header = fields(await node.call("eth_getBlockByNumber", tag, False), "the final block")
            return quantity(header.get("number"), "the final block's number")

        # The lowest that any node gives: nodes are seldom at the same height, and too low is only late.
        answers = [answer for _node, answer in await self.nodes.each(ask)]
        numbers = [answer for answer in answers if isinstance(answer, int)]
        if len(numbers) < self.nodes.quorum:
            raise next(answer for answer in answers if not isinstance(answer, int))
        return max(0, min(numbers) - (self.confirmations or 0))

    async def hash_at(self, number: int) -> BlockHash | None:
        async def ask(node: Node) -> BlockHash | None:
            header = await node.call("eth_getBlockByNumber", to_quantity(number), False)
            return None if header is None else block_hash(fields(header, "the block").get("hash"))

        return await self.nodes.agreed(ask)

    async def fees(self) -> Fees:
        return await estimate_fees(self.nodes)

    async def gas(self, call: CallData, sender: Address) -> int:
        return with_margin(await self.contracts.estimate_gas(self.nodes, call, sender))

    async def broadcast(self, raw: bytes) -> Broadcast:
        return await broadcast(self.nodes, raw)

    async def fate(self, account: Address, nonce: int, versions: list[TxHash]) -> Receipt | Unmined:
        return await fate(self.nodes, account, nonce, versions)

    def record(self, before: LogTail, batch: bytes) -> CallData:
        return self.contracts.log.record(before.next_seq, before.head, batch)

    async def log_tail(self) -> LogTail:
        next_seq = await self.contracts.ask(self.nodes, self.contracts.log.next_seq())
        return LogTail(next_seq, await self.contracts.ask(self.nodes, self.contracts.log.head()))
