"""Blocks as data: the mirror extends, rolls back and finalizes, and keeps the state after each block that is not final
yet.

Pure functions over a frozen Mirror. What does not fit is a value, and whoever drives the mirror stops permitting on it
(P5, P6, P7).
"""

from dataclasses import dataclass, replace

from app.core.consent.events import Event
from app.core.consent.fold import ContradictionError, fold_all
from app.core.consent.state import State
from app.core.identifiers import BlockHash, BlockRef, UnixTime


@dataclass(frozen=True, slots=True)
class Block:
    """A block as far as it concerns us: all events of our contracts in it, in log order. ``timestamp`` in Unix
    seconds.
    """

    ref: BlockRef
    parent_hash: BlockHash
    timestamp: UnixTime
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """The state after a block."""

    ref: BlockRef
    timestamp: UnixTime
    state: State


@dataclass(frozen=True, slots=True)
class Standing:
    """What decisions are made on: the state as it is final, the state at the head, and which block the head is."""

    final: State
    head: State
    block: BlockRef
    timestamp: UnixTime


@dataclass(frozen=True, slots=True)
class Mirror:
    """``final`` is the last block that counts as final; ``pending`` the blocks after it, oldest first, at most
    ``max_depth``.

    When finality lags further behind than that, the oldest pending states are let go: ``final`` stays, which permits
    less and never more, and a reorganisation below what is kept is TooDeep.
    """

    final: Kept
    pending: tuple[Kept, ...]
    max_depth: int

    @property
    def head(self) -> Kept:
        return self.pending[-1] if self.pending else self.final

    @property
    def standing(self) -> Standing:
        head = self.head
        return Standing(final=self.final.state, head=head.state, block=head.ref, timestamp=head.timestamp)

    def ref_at(self, number: int) -> BlockRef | None:
        """The block of that number that this mirror follows, when it is kept: for finding where a fork began."""
        if number == self.final.ref.number:
            return self.final.ref
        return next((kept.ref for kept in self.pending if kept.ref.number == number), None)


@dataclass(frozen=True, slots=True)
class Extended:
    mirror: Mirror


@dataclass(frozen=True, slots=True)
class ParentMismatch:
    """The block does not follow the head: another fork, or blocks in between are missing."""

    head: BlockRef


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An event of the block cannot follow from the state: history is missing or false. Rebuild."""

    block: BlockRef
    rule: str


@dataclass(frozen=True, slots=True)
class RolledBack:
    mirror: Mirror


@dataclass(frozen=True, slots=True)
class TooDeep:
    """The block to go back to is not kept. Rebuild."""

    oldest: BlockRef


@dataclass(frozen=True, slots=True)
class Finalized:
    mirror: Mirror


@dataclass(frozen=True, slots=True)
class BeyondHead:
    """The mirror has not reached that number, so it cannot tell whether its own head lies below the final block.
    Extend first.
    """

    head: BlockRef


def begin(ref: BlockRef, timestamp: UnixTime, state: State, max_depth: int) -> Mirror:
    """A mirror whose only block is one already known to be final, with the state after it. Raises ValueError unless
    max_depth >= 1.
    """
    if max_depth < 1:
        raise ValueError("max_depth is at least 1")
    return Mirror(Kept(ref, timestamp, state), (), max_depth)


def extend(mirror: Mirror, block: Block) -> Extended | ParentMismatch | Contradiction:
    """One block further. Every block is handed over, with or without events: a gap would hide a fork."""
    head = mirror.head
    if block.parent_hash != head.ref.hash or block.ref.number != head.ref.number + 1:
        return ParentMismatch(head.ref)
    try:
        state = fold_all(head.state, block.events)
    except ContradictionError as contradiction:
        return Contradiction(block.ref, str(contradiction))
    pending = (*mirror.pending, Kept(block.ref, block.timestamp, state))
    return Extended(replace(mirror, pending=pending[-mirror.max_depth :]))


def roll_back(mirror: Mirror, to: BlockRef) -> RolledBack | TooDeep:
    """Back to the named block, which stays."""
    for index in range(len(mirror.pending) - 1, -1, -1):
        if mirror.pending[index].ref == to:
            return RolledBack(replace(mirror, pending=mirror.pending[: index + 1]))
    if mirror.final.ref == to:
        return RolledBack(replace(mirror, pending=()))
    return TooDeep(mirror.pending[0].ref if mirror.pending else mirror.final.ref)


def finalize(mirror: Mirror, number: int) -> Finalized | BeyondHead:
    """Counts every block up to that number as final. A lower number than before changes nothing: final does not go
    back.
    """
    if number > mirror.head.ref.number:
        return BeyondHead(mirror.head.ref)
    final, pending = mirror.final, mirror.pending
    while pending and pending[0].ref.number <= number:
        final, pending = pending[0], pending[1:]
    return Finalized(replace(mirror, final=final, pending=pending))
