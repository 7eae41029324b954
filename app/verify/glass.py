"""Accesses under break-glass: how many there were, and what became of their emergencies."""

from collections import Counter
from dataclasses import dataclass, field

from app.core.consent.events import EmergencyOpened
from app.core.consent.state import State
from app.core.identifiers import EmergencyId
from app.core.record import AccessRecord


@dataclass(frozen=True, slots=True)
class UnderGlass:
    """``records`` accesses on the basis of an emergency; of those, the ones whose emergency nobody has reviewed, and
    the ones whose emergency was found not justified. ``on_stale_snapshot`` counts opened records only.
    """

    records: int = 0
    on_stale_snapshot: int = 0
    not_reviewed: int = 0
    not_justified: int = 0


@dataclass(slots=True)
class Glass:
    """Counts as the replay goes."""

    _accesses: Counter[EmergencyId] = field(default_factory=Counter)
    _stale: int = 0

    def saw(self, record: AccessRecord | None, opened: EmergencyOpened | None) -> None:
        """One access, with its emergency if its basis is one."""
        if opened is not None:
            self._accesses[opened.emergency] += 1
        if record is not None and record.snapshot_age_s is not None:
            self._stale += 1

    def count(self, end: State) -> UnderGlass:
        """What the emergencies came to in the last state."""
        left = unjustified = 0
        for emergency, accesses in self._accesses.items():
            known = end.emergencies.get(emergency)
            if known is None or known.review is None:
                left += accesses
            elif known.is_unjustified:
                unjustified += accesses
        return UnderGlass(self._accesses.total(), self._stale, left, unjustified)
