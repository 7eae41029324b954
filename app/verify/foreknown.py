"""What the chain says by the end and bears on accesses before it: an emergency is signed before it is mined, and an
erasure takes away what opened earlier records.
"""

from dataclasses import dataclass, field

from app.chain.quantities import MalformedAnswerError
from app.core.consent.events import EmergencyOpened, Event, PatientErased
from app.core.identifiers import EmergencyId, PatientKey
from app.verify.source import Source

_SIGNATURES = (
    "EmergencyOpened(bytes32,bytes32,address,bytes32,uint48,uint48,bytes32)",
    "PatientErased(bytes32)",
)


@dataclass(slots=True)
class Foreknown:
    """Every emergency and every erasure up to the block that is verified up to. There are few of either."""

    opened: dict[EmergencyId, EmergencyOpened] = field(default_factory=dict)
    erased: set[PatientKey] = field(default_factory=set)
    _met: int = 0

    @classmethod
    async def of(cls, source: Source, last: int) -> "Foreknown":
        """Reads them ahead of everything else. Raises RpcError and MalformedAnswerError."""
        known = cls()
        async for _, event in source.events(last, _SIGNATURES):
            if isinstance(event, EmergencyOpened):
                known.opened[event.emergency] = event
            elif isinstance(event, PatientErased):
                known.erased.add(event.patient)
        return known

    def meet(self, event: Event) -> None:
        """The replay comes to an event. Raises MalformedAnswerError where it should have been foreknown and is not."""
        if isinstance(event, EmergencyOpened):
            self._met += 1
            known = self.opened.get(event.emergency) == event
        elif isinstance(event, PatientErased):
            self._met += 1
            known = event.patient in self.erased
        else:
            return
        if not known:
            raise MalformedAnswerError("an event that the node did not give before")

    def close(self) -> None:
        """At the end. Raises MalformedAnswerError where one was foreknown and the replay did not come to it."""
        if self._met != len(self.opened) + len(self.erased):
            raise MalformedAnswerError("an event that the node gave before is gone")
