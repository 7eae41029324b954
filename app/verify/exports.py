"""The exported records next to the log: each is looked for a bounded way ahead, so the export may be as long as the
log.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.core.exported import ExportedRecord, from_line
from app.core.identifiers import Commitment, UnixTime
from app.core.record import RecordError
from app.verify.report import Finding, Flaw

# How far the export's order may differ from the log's.
LOOK_AHEAD = 10_000
# A record belongs on the chain by then (P15).
DUE_S = 600


@dataclass(frozen=True, slots=True)
class _Waiting:
    exported: ExportedRecord
    line: int


class Exports:
    """A stream of exported lines that records are taken from in about the order of the log."""

    __slots__ = ("_ahead", "_behind", "_lines", "_look_ahead", "findings", "taken")

    def __init__(self, lines: Iterable[str], look_ahead: int = LOOK_AHEAD) -> None:
        self._lines: Iterator[tuple[int, str]] = enumerate(lines, start=1)
        self._look_ahead = look_ahead
        self._ahead: dict[Commitment, _Waiting] = {}
        # The latest given out, so that a repetition is not taken for a record still to come.
        self._behind: dict[Commitment, None] = {}
        self.findings: list[Finding] = []
        self.taken = 0

    def take(self, commitment: Commitment) -> ExportedRecord | None:
        """The record that the commitment is to, read ahead for as far as allowed; each is given out once."""
        while commitment not in self._ahead and len(self._ahead) < self._look_ahead and self._read():
            pass
        found = self._ahead.pop(commitment, None)
        if found is None:
            return None
        self.taken += 1
        self._behind[commitment] = None
        if len(self._behind) > self._look_ahead:
            del self._behind[next(iter(self._behind))]
        return found.exported

    def rest(self, end: UnixTime) -> Iterator[Finding | None]:
        """What no entry of the log asked for: None for a record too young at ``end`` to have to be there."""
        more = True
        while more or self._ahead:
            for waiting in self._ahead.values():
                young = waiting.exported.record.at + DUE_S > end
                yield (
                    None
                    if young
                    else Finding(Flaw.RECORD_UNKNOWN, record_id=waiting.exported.record.record_id, line=waiting.line)
                )
            self._ahead.clear()
            more = self._read()

    def _read(self) -> bool:
        """Reads one line; whether there was one."""
        number, line = next(self._lines, (0, ""))
        if not number:
            return False
        try:
            exported = from_line(line)
        except RecordError as error:
            self.findings.append(Finding(Flaw.RECORD_UNREADABLE, line=number, detail=str(error)))
            return True
        if exported.commitment in self._ahead or exported.commitment in self._behind:
            self.findings.append(Finding(Flaw.RECORD_REPEATED, record_id=exported.record.record_id, line=number))
        else:
            self._ahead[exported.commitment] = _Waiting(exported, number)
        return True
