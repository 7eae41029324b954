"""Raises the alarm when a record waits too long for its block, and lets it go when none does any more."""

from collections.abc import Callable
from dataclasses import dataclass

from app.core.identifiers import UnixTime
from app.store.journal import Backlog


@dataclass(frozen=True, slots=True)
class BacklogState:
    """``late``: the oldest record has waited longer than it may, or nobody has been able to look for that long."""

    waiting: int
    oldest_age_s: int
    late: bool


class BacklogWatch:
    """``alarm`` is called with the state when it begins to be late, and when it has ceased to be."""

    def __init__(self, backlog: Callable[[], Backlog], limit_s: int, alarm: Callable[[BacklogState], None]) -> None:
        self._backlog = backlog
        self._limit_s = limit_s
        self._alarm = alarm
        self._late = False

    def state(self, now: UnixTime) -> BacklogState:
        """As it is now. Costs nothing."""
        backlog = self._backlog()
        age_s = 0 if backlog.oldest_at is None else max(0, now - backlog.oldest_at)
        return BacklogState(backlog.waiting, age_s, late=age_s > self._limit_s or now - backlog.as_of > self._limit_s)

    def look(self, now: UnixTime) -> None:
        """Calls the alarm if something has changed."""
        state = self.state(now)
        if state.late != self._late:
            self._late = state.late
            self._alarm(state)
