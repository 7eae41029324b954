"""The states that the replay may be asked about: those after the latest blocks that changed anything."""

from bisect import bisect_right
from collections.abc import Iterable

from app.core.consent.events import Event
from app.core.consent.fold import fold
from app.core.consent.state import GENESIS, State

# States share structure: each one kept costs the few nodes that its block changed.
STATES_KEPT = 20_000


class History:
    """States by block number, the oldest let go first. Numbers only grow."""

    __slots__ = ("_keep", "_numbers", "_states", "head")

    def __init__(self, keep: int = STATES_KEPT) -> None:
        self.head: State = GENESIS
        self._keep = keep
        self._numbers: list[int] = [-1]
        self._states: list[State] = [GENESIS]

    def apply(self, number: int, events: Iterable[Event]) -> None:
        """Folds the events of one block. Raises ContradictionError."""
        state = self.head
        for event in events:
            state = fold(state, event)
        if state is self.head:
            return
        self.head = state
        self._numbers.append(number)
        self._states.append(state)
        if len(self._numbers) > 2 * self._keep:
            del self._numbers[: -self._keep], self._states[: -self._keep]

    def at(self, number: int) -> State | None:
        """The state after that block, or None when it was let go."""
        index = bisect_right(self._numbers, number)
        return self._states[index - 1] if index else None
