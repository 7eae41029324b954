"""What a replay reads from a node: the logs of our contracts in order, block headers, and the log's own head."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.chain.deployment import Deployment
from app.chain.events import EventReader, LogPlace, place_of
from app.chain.quantities import MalformedAnswerError, block_hash, data, fields, items, quantity, to_data, to_quantity
from app.chain.rpc import NodeRefusedError, NodeUnavailableError
from app.core.consent.events import Event
from app.core.identifiers import BlockRef, LogHead, UnixTime
from app.core.keccak import keccak256

_RANGE_BLOCKS = 2_000
_HEADERS_KEPT = 4_096
_HEAD_CALL = to_data(keccak256(b"head()")[:4])
_NEXT_SEQ_CALL = to_data(keccak256(b"nextSeq()")[:4])


class Rpc(Protocol):
    """A node (``app.chain.rpc.Node`` is one): the result of a JSON-RPC method; raises RpcError."""

    async def call(self, method: str, *params: object) -> object: ...


class ChainMovedError(Exception):
    """The chain was reorganised below the block that is verified up to, while it was read. Start again."""


@dataclass(frozen=True, slots=True)
class Header:
    """A canonical block. ``timestamp`` in Unix seconds."""

    ref: BlockRef
    timestamp: UnixTime


@dataclass(slots=True)
class Source:
    """One deployment as one node tells it. Raises RpcError and MalformedAnswerError throughout."""

    rpc: Rpc
    deployment: Deployment
    _headers: OrderedDict[int, Header] = field(default_factory=OrderedDict)

    async def header(self, block: int | str) -> Header:
        """The canonical block of that number or tag."""
        if isinstance(block, int) and block in self._headers:
            self._headers.move_to_end(block)
            return self._headers[block]
        asked = to_quantity(block) if isinstance(block, int) else block
        members = fields(await self.rpc.call("eth_getBlockByNumber", asked, False), "a block")
        number = quantity(members.get("number"), "a block's number")
        if isinstance(block, int) and number != block:
            raise MalformedAnswerError("a block of another number")
        timestamp = UnixTime(quantity(members.get("timestamp"), "a block's time"))
        header = Header(BlockRef(number, block_hash(members.get("hash"))), timestamp)
        self._headers[number] = header
        if len(self._headers) > _HEADERS_KEPT:
            self._headers.popitem(last=False)
        return header

    async def unchanged(self, ref: BlockRef) -> None:
        """Asks again whether the block is canonical. Raises ChainMovedError."""
        self._headers.pop(ref.number, None)
        if (await self.header(ref.number)).ref != ref:
            raise ChainMovedError(f"block {ref.number} was replaced")

    async def events(self, last: int, only: Sequence[str] = ()) -> AsyncIterator[tuple[LogPlace, Event]]:
        """Every event of the contracts from the deployment up to that block, in order; or ``only`` those of these
        signatures (a node may give others, too).
        """
        topics = [[to_data(keccak256(signature.encode())) for signature in only]] if only else []
        reader = EventReader(self.deployment)
        before = (self.deployment.block.number, -1)
        start, width = self.deployment.block.number + 1, _RANGE_BLOCKS
        while start <= last:
            end = min(start + width - 1, last)
            try:
                logs = items(await self.rpc.call("eth_getLogs", self._filter(start, end, topics)), "the logs")
            except (NodeRefusedError, NodeUnavailableError):
                # Nodes bound how much they answer at once, each in its own words.
                if end == start:
                    raise
                width = (end - start + 1) // 2
                continue
            for log in logs:
                place = place_of(log)
                at = (place.block.number, place.index)
                if at <= before or not start <= place.block.number <= end:
                    raise MalformedAnswerError("logs out of order")
                before = at
                event = reader.read(log)
                if event is not None:
                    yield place, event
            start, width = end + 1, min(width * 2, _RANGE_BLOCKS)

    async def log_head(self, block: int) -> tuple[int, LogHead]:
        """nextSeq() and head() of the AccessLog as of that block."""
        contract = to_data(self.deployment.address("AccessLog"))
        answers = [
            data(await self.rpc.call("eth_call", {"to": contract, "data": call}, to_quantity(block)), "a view", 32)
            for call in (_NEXT_SEQ_CALL, _HEAD_CALL)
        ]
        return int.from_bytes(answers[0], "big"), LogHead(answers[1])

    def _filter(self, start: int, end: int, topics: list[list[str]]) -> dict[str, object]:
        return {
            "topics": topics,
            "fromBlock": to_quantity(start),
            "toBlock": to_quantity(end),
            "address": [to_data(address) for address in self.deployment.addresses],
        }
