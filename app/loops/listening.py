"""What a follower says to whoever wants to hear of each block once: when it is there, when it is final, and what a
rebuild went through again.
"""

from dataclasses import dataclass
from typing import Protocol

from app.core.consent.events import Event
from app.core.consent.mirror import Block
from app.core.consent.state import State


@dataclass(frozen=True, slots=True)
class AppliedBlock:
    """A block that was added to the mirror, and the state it was added to."""

    before: State
    block: Block


class Listener(Protocol):
    """Called on the follower's event loop; must be quick, and must not raise."""

    def resume_after(self) -> int | None:
        """A rebuild begins: of final blocks above this number the events are wanted; None: of none."""

    def replayed(self, number: int, before: State, event: Event, after: State) -> None:
        """A rebuild went through an event that is wanted. If it fails, it begins anew with ``resume_after``."""

    def rebuilt(self, final: int) -> None:
        """The rebuild is done: everything up to that block is final, and of what was applied nothing counts."""

    def applied(self, one: AppliedBlock) -> None:
        """A block is part of the chain; every block of that number and above that was applied before it is not."""

    def finalized(self, number: int) -> None:
        """Every block up to that number is final. Said again and again, and never lower."""
