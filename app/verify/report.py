"""What a replay found."""

from dataclasses import dataclass
from enum import Enum

from app.core.identifiers import AccessRecordId, BlockRef, LogHead, TxHash
from app.verify.glass import UnderGlass

# Named in full; beyond that, only counted.
MAX_NAMED = 100


class Flaw(Enum):
    """What can be wrong. The value is the sentence an auditor reads."""

    CONTRADICTION = "the contracts' events contradict each other: history is missing or false from here on"
    SEQUENCE = "the sequence number was used before"
    MISSING = "there is no event of it"
    HEAD = "the running head over all records is not the contract's"
    COUNT = "the number of records is not the contract's"
    TRANSACTION = "the event is not what its transaction carried"
    FUTURE = "decided at a block that did not exist yet"
    BEFORE_DEPLOYMENT = "decided at a block before the contracts existed"
    UNAUTHORISED = "nothing at the decision block permitted it"
    RECORD_MISSING = "no exported record opens this commitment"
    RECORD_DIFFERS = "the exported record says something else than the chain"
    SNAPSHOT = "decided on a stale snapshot, which only an emergency may, for 15 minutes, and no staler than recorded"
    RECORD_TIME = "the exported record's time does not lie between its decision block and its entry in the log"
    RECORD_REPEATED = "exported twice"
    RECORD_UNKNOWN = "exported, but no entry of the log commits to it"
    RECORD_UNREADABLE = "a line of the export is not a record"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong: which entry of the log (``seq``, ``transaction``), which record, or which line of the export."""

    flaw: Flaw
    seq: int | None = None
    transaction: TxHash | None = None
    record_id: AccessRecordId | None = None
    line: int | None = None
    detail: str = ""

    def __str__(self) -> str:
        named = {
            "record": None if self.seq is None else str(self.seq),
            "transaction": None if self.transaction is None else "0x" + self.transaction.hex(),
            "id": None if self.record_id is None else self.record_id.hex(),
            "line": None if self.line is None else str(self.line),
        }
        where = ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)
        return f"{where or 'the log'}: {self.flaw.value}{f' ({self.detail})' if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class Report:
    """``findings`` names the first MAX_NAMED of ``flaws``. ``orphaned`` records were decided at blocks that a
    reorganisation took away: they were judged one block lower. ``waiting`` exported records are too young to have to be
    on the chain. ``opened`` is None when no records were given; else ``erased`` records have none because their
    patients were erased. ``glass`` counts what was done under break-glass.
    """

    end: BlockRef
    head: LogHead
    records: int
    orphaned: int
    opened: int | None
    waiting: int
    erased: int
    glass: UnderGlass
    flaws: int
    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        return self.flaws == 0

    def lines(self) -> tuple[str, ...]:
        """The report for people, one statement a line."""
        if self.good:
            said = [f"complete and authorised, {self.records} records"]
        else:
            said = [f"NOT in order: {self.flaws} found wrong among {self.records} records"]
            said.extend(str(finding) for finding in self.findings)
            if self.flaws > len(self.findings):
                said.append(f"and {self.flaws - len(self.findings)} more")
        if self.opened is not None:
            said.append(f"{self.opened} commitments opened by exported records")
        if self.waiting:
            said.append(f"{self.waiting} exported records are not on the chain yet")
        if self.erased:
            said.append(f"{self.erased} records of erased patients, closed for good")
        said.extend(self._glass_lines())
        if self.orphaned:
            said.append(f"{self.orphaned} were decided at blocks that a reorganisation took away")
        said.append(f"up to block {self.end.number} 0x{self.end.hash.hex()}")
        return tuple(said)

    def _glass_lines(self) -> tuple[str, ...]:
        glass = self.glass
        if not glass.records and not glass.on_stale_snapshot:
            return ()
        counts = [
            f"{glass.records} under break-glass",
            f"{glass.on_stale_snapshot} on a stale snapshot" if self.opened is not None else "",
            f"{glass.not_reviewed} of them not reviewed",
            f"{glass.not_justified} found not justified" if glass.not_justified else "",
        ]
        return (", ".join(filter(None, counts)),)
