"""A chain with reorganisations, beside the mirror that follows it: blocks of random events, and what is final."""

import random
from dataclasses import dataclass, field

from app.core.consent.events import Event
from app.core.consent.mirror import Block, Extended, Finalized, Mirror, RolledBack, begin, extend, finalize, roll_back
from app.core.consent.state import GENESIS
from app.core.identifiers import BlockHash, BlockRef, UnixTime
from tests.core_consent.model import T0, Maker

START = BlockRef(0, BlockHash(bytes(32)))


@dataclass(slots=True)
class Forks:
    """The canonical chain as a list of blocks after START; the mirror has seen all of it."""

    rng: random.Random
    maker: Maker
    max_depth: int = 64
    blocks: list[Block] = field(default_factory=list)
    final: int = 0
    mirror: Mirror = field(init=False)

    def __post_init__(self) -> None:
        self.mirror = begin(START, UnixTime(T0), GENESIS, self.max_depth)

    @property
    def events(self) -> list[Event]:
        return [event for block in self.blocks for event in block.events]

    @property
    def final_events(self) -> list[Event]:
        return [event for block in self.blocks[: self.final] for event in block.events]

    def block(self, events: list[Event]) -> Block:
        """A block that follows the last one."""
        parent = self.blocks[-1].ref if self.blocks else START
        ref = BlockRef(parent.number + 1, BlockHash(self.rng.randbytes(32)))
        return Block(ref, parent.hash, UnixTime(T0 + ref.number), tuple(events))

    def grow(self, events: list[Event] | None = None) -> None:
        """One block more."""
        if events is None:
            events = self.maker.history(self.rng.choice([0, 0, 1, 2, 4]), self.events)
        block = self.block(events)
        result = extend(self.mirror, block)
        assert isinstance(result, Extended), result
        self.blocks.append(block)
        self.mirror = result.mirror

    def reorganise(self, depth: int) -> None:
        """The last ``depth`` blocks are gone; others may follow."""
        self.blocks = self.blocks[: len(self.blocks) - depth]
        result = roll_back(self.mirror, self.blocks[-1].ref if self.blocks else START)
        assert isinstance(result, RolledBack), result
        self.mirror = result.mirror

    def settle(self, number: int) -> None:
        """Blocks up to that number are final."""
        result = finalize(self.mirror, number)
        assert isinstance(result, Finalized), result
        self.mirror = result.mirror
        self.final = max(self.final, number)

    def step(self) -> None:
        """One random thing that can happen to a chain."""
        loose = len(self.blocks) - self.final
        happening = self.rng.random()
        if happening < 0.65 or not loose:
            self.grow()
        elif happening < 0.85:
            self.reorganise(self.rng.randrange(1, loose + 1))
        else:
            self.settle(self.rng.randrange(self.final, len(self.blocks) + 1))
