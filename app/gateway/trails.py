"""Where in a long listing a caller's pages begin, so that the next page does not start from the front again.

A trail is one search by one caller on one state of the chain: of each piece of the listing that was gone through, how
many rows the caller could see before it. Those that the caller may not see leave no mark on it.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from app.core.consent.terms import Purpose
from app.core.dicom.dicomweb import Matching
from app.core.identifiers import Address
from app.gateway.remembering import Remembered

_MOST_MARKS = 4_096


@dataclass(frozen=True, slots=True)
class Asked:
    """What makes two pages belong to one listing."""

    actor: Address
    purpose: Purpose
    level: int
    matching: tuple[Matching, ...]


@dataclass(slots=True)
class Trail:
    """Pieces of a listing: ``passed`` visible rows came before the one that begins at ``after``."""

    state: tuple[Any, ...]
    passed: list[int] = field(default_factory=list)
    after: list[bytes] = field(default_factory=list)

    def mark(self, passed: int, after: bytes) -> None:
        """Note where a piece begins. Every other one is dropped where there are too many."""
        if self.passed and passed <= self.passed[-1]:
            if passed == self.passed[-1]:
                self.after[-1] = after  # a piece without a visible row: begin behind it
            return
        self.passed.append(passed)
        self.after.append(after)
        if len(self.passed) > _MOST_MARKS:
            del self.passed[::2], self.after[::2]

    def best(self, offset: int) -> tuple[int, bytes | None]:
        """The last piece that begins at or before the row at ``offset``."""
        at = bisect_right(self.passed, offset) - 1
        return (0, None) if at < 0 else (self.passed[at], self.after[at])


class Trails:
    """A bounded memory of trails, each believed for ``ttl_s``: studies come, and consents begin and end with time."""

    def __init__(self, capacity: int, ttl_s: float, monotonic: Callable[[], float]) -> None:
        self._trails: Remembered[Asked, Trail] = Remembered(capacity, ttl_s)
        self._monotonic = monotonic

    def of(self, asked: Asked, state: tuple[object, ...], *, anew: bool) -> Trail:
        """The trail to go on with: a new one as soon as anything of what decisions are made on is another.

        ``anew``: the caller begins at the front. What has come into the archive since would shift every row behind it,
        and pages that begin by the old marks would leave some out.
        """
        now = self._monotonic()
        found = None if anew else self._trails.get(asked, now)
        if found is None or any(one is not other for one, other in zip(found.state, state, strict=True)):
            found = Trail(state)
            self._trails.learn(asked, found, now)
        return found
