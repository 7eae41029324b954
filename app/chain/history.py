"""The logs of a long span of final blocks, range by range, for rebuilding from the deployment block."""

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from app.chain.blocks import Log, headers_by_number, may_hold, read_logs
from app.chain.nodes import Nodes
from app.chain.quantities import MalformedAnswerError, to_data, to_quantity
from app.chain.rpc import Node, NodeRefusedError, NodeUnavailableError
from app.core.identifiers import Address, BlockRef

log = logging.getLogger(__name__)

_FIRST_SPAN = 2_000
_LARGEST_SPAN = 50_000
# A range with more logs than this is a sign to ask for less at a time.
_MANY_LOGS = 5_000
_HEADERS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Stretch:
    """All logs of the contracts from the end of the stretch before up to and with block ``last``."""

    last: int
    logs: tuple[Log, ...]


async def stretches(nodes: Nodes, addresses: Sequence[Address], first: int, last: int) -> AsyncIterator[Stretch]:
    """Every log of the contracts in blocks ``first`` to ``last``, in order, agreed by a quorum.

    Every block that has a log is looked up: it must be the canonical one of its number. The spans fit themselves to
    what the nodes can answer. Raises RpcError, DisagreementError.
    """
    span = _FIRST_SPAN
    while first <= last:
        upto = min(first + span - 1, last)
        try:
            logs = await _logs(nodes, addresses, first, upto)
        except (NodeRefusedError, NodeUnavailableError):
            if span == 1:
                raise
            # Nodes bound their answers in many ways and words: ask for less.
            span = max(1, span // 4)
            log.info("asking for the chain's history in spans of %d blocks", span)
            continue
        yield Stretch(upto, logs)
        first = upto + 1
        span = min(span * 2, _LARGEST_SPAN) if len(logs) < _MANY_LOGS else max(1, span // 2)


async def _logs(nodes: Nodes, addresses: Sequence[Address], first: int, last: int) -> tuple[Log, ...]:
    wanted = frozenset(addresses)
    query = {
        "fromBlock": to_quantity(first),
        "toBlock": to_quantity(last),
        "address": sorted(map(to_data, wanted)),
    }

    async def ask(node: Node) -> tuple[Log, ...]:
        logs = read_logs(await node.call("eth_getLogs", query))
        if any(not first <= one.block.number <= last or one.address not in wanted for one in logs):
            raise MalformedAnswerError("a log is not of those asked for")
        await _check_blocks(node, logs)
        return logs

    # Every node that answers has a tuple, so None never comes back.
    return await nodes.agreed(ask) or ()


async def _check_blocks(node: Node, logs: Sequence[Log]) -> None:
    """The blocks that the logs name are canonical, and their blooms admit the contracts."""
    blocks: dict[BlockRef, set[Address]] = {}
    for one in logs:
        blocks.setdefault(one.block, set()).add(one.address)
    refs = list(blocks)
    for at in range(0, len(refs), _HEADERS_AT_ONCE):
        some = refs[at : at + _HEADERS_AT_ONCE]
        headers = await headers_by_number(node, [ref.number for ref in some])
        if headers is None:
            raise MalformedAnswerError("a log is of a block that the node does not have")
        for ref, header in zip(some, headers, strict=True):
            if header.ref != ref or not all(may_hold(header.bloom, one) for one in blocks[ref]):
                raise MalformedAnswerError("a log is of a block that the chain does not hold")
