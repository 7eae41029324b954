"""From the mirror's head to the chain's: the blocks between, or the way back to where a fork began (P5, P7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from app.chain.blocks import Header, header_by_hash, headers_by_number, logs_of
from app.chain.events import EventReader
from app.chain.nodes import Nodes, QuorumError
from app.core.consent.events import Event
from app.core.consent.mirror import Block, Contradiction, Extended, Mirror, RolledBack, extend, roll_back
from app.core.identifiers import Address, BlockHash
from app.loops.listening import AppliedBlock

# Further behind than this, rebuilding from ranges is quicker than block by block.
_MOST_BLOCKS = 20_000
_HEADERS_AT_ONCE = 100


class HistoryError(Exception):
    """The chain cannot be joined to what the mirror keeps: it must be rebuilt, and nothing is permitted until then."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where blocks come from and how their logs read. The log of accesses changes no verdict and is not among them."""

    nodes: Nodes
    addresses: tuple[Address, ...]
    reader: EventReader


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """The mirror with the target as its head, how many blocks were undone on the way, and which were added."""

    mirror: Mirror
    undone: int
    applied: Sequence[AppliedBlock] = ()


async def catch_up(source: Source, mirror: Mirror, target: Header) -> CaughtUp:
    """Makes ``target`` the mirror's head.

    Raises HistoryError when that is impossible with what is kept, RpcError when the nodes cannot be asked or disagree.
    """
    path = await _path(source.nodes, mirror, target)
    height = path[0].ref.number - 1 if path else target.ref.number
    ancestor = mirror.ref_at(height)
    rolled = None if ancestor is None else roll_back(mirror, ancestor)
    if not isinstance(rolled, RolledBack):
        raise HistoryError("the chain was reorganised deeper than what is kept")
    undone = mirror.head.ref.number - height
    mirror = rolled.mirror
    applied = []
    for header in path:
        block = Block(header.ref, header.parent_hash, header.timestamp, await _events(source, header))
        extended = extend(mirror, block)
        if isinstance(extended, Contradiction):
            raise HistoryError(f"an event of the chain does not follow from what is known ({extended.rule})")
        if not isinstance(extended, Extended):
            raise HistoryError("the blocks do not follow each other")
        applied.append(AppliedBlock(mirror.head.state, block))
        mirror = extended.mirror
    return CaughtUp(mirror, undone, applied)


async def _events(source: Source, header: Header) -> tuple[Event, ...]:
    logs = await source.nodes.agreed(partial(logs_of, header=header, addresses=source.addresses))
    if logs is None:
        raise QuorumError("too few nodes have the block's logs")
    read = (source.reader.event(log.address, log.topics, log.data) for log in logs)
    return tuple(event for event in read if event is not None)


async def _path(nodes: Nodes, mirror: Mirror, target: Header) -> Sequence[Header]:
    """The blocks after the one where the chain leaves the mirror, up to the target, oldest first."""
    if target.ref == mirror.ref_at(target.ref.number):
        return ()
    gap = range(mirror.head.ref.number + 1, target.ref.number)
    if len(gap) > _MOST_BLOCKS:
        raise HistoryError("the mirror is too far behind")
    by_hash: dict[BlockHash, Header] = {}
    for at in range(0, len(gap), _HEADERS_AT_ONCE):
        some = await _by_number(nodes, gap[at : at + _HEADERS_AT_ONCE])
        by_hash |= {header.ref.hash: header for header in some}
    path = [target]
    while not _joins(mirror, path[-1]):
        parent = path[-1].parent_hash
        found = by_hash.get(parent) or await _by_hash(nodes, parent)
        if found.ref.number != path[-1].ref.number - 1:
            raise HistoryError("the blocks do not follow each other")
        path.append(found)
    return path[::-1]


def _joins(mirror: Mirror, header: Header) -> bool:
    """True when the block's parent is kept. Raises HistoryError when no block below it can be."""
    number = header.ref.number - 1
    kept = mirror.ref_at(number)
    if kept is not None and kept.hash == header.parent_hash:
        return True
    if number <= mirror.final.ref.number:
        raise HistoryError("the chain was reorganised deeper than what is kept")
    return False


async def _by_number(nodes: Nodes, numbers: Sequence[int]) -> Sequence[Header]:
    headers = await nodes.agreed(partial(headers_by_number, numbers=numbers))
    if headers is None:
        raise QuorumError("too few nodes have the blocks below their head")
    return headers


async def _by_hash(nodes: Nodes, wanted: BlockHash) -> Header:
    header = await nodes.agreed(partial(header_by_hash, wanted=wanted))
    if header is None:
        raise QuorumError("too few nodes have a block below their head")
    return header
