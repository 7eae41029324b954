"""Replays the whole log from the deployment block and decides every access again (P3, P14)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.chain.deployment import Deployment
from app.chain.events import LogPlace
from app.core.consent.events import AccessLogged, Event
from app.core.consent.fold import ContradictionError
from app.core.consent.hindsight import Span, could_break_glass, could_permit, does_break_glass, does_permit
from app.core.consent.state import State
from app.core.exported import ExportedRecord
from app.core.identifiers import EmergencyId, UnixTime
from app.core.record import AccessRecord
from app.verify.batches import Batches
from app.verify.exports import Exports
from app.verify.foreknown import Foreknown
from app.verify.glass import Glass
from app.verify.history import STATES_KEPT, History
from app.verify.report import MAX_NAMED, Finding, Flaw, Report
from app.verify.source import ChainMovedError, Header, Rpc, Source

# How far the gateways' clocks and the chain's may be apart.
CLOCK_SKEW_S = 60
# How old the snapshot may be that a decision under break-glass is made on.
LARGEST_SNAPSHOT_AGE_S = 900
# Accesses whose state was let go wait for another pass, so many at a time.
LATE_KEPT = 50_000

# (block reached, last block, records so far)
Progress = Callable[[int, int, int], None]


async def verify(
    rpc: Rpc,
    deployment: Deployment,
    records: Iterable[str] | None = None,
    progress: Progress | None = None,
    *,
    end: int | str = "latest",
    states_kept: int = STATES_KEPT,
    late_kept: int = LATE_KEPT,
) -> Report:
    """Verifies the log up to the block ``end``, with the exported records (lines of ``app.core.exported``) if given.

    Memory is bounded by the state and not by the log. Raises ChainMovedError when a reorganisation interferes (start
    again), RpcError and MalformedAnswerError when the node does not answer as it must.
    """
    source = Source(rpc, deployment)
    last = await source.header(end)
    exports = None if records is None else Exports(records)
    foreknown = await Foreknown.of(source, last.ref.number)
    replay = _Replay(source, exports, foreknown, states_kept, late_kept)
    sound = await replay.run(last, progress)
    if sound:
        await replay.close(last)
    await source.unchanged(last.ref)
    return replay.report(last)


@dataclass(frozen=True, slots=True)
class _Case:
    """One access to judge at the state after block ``number``."""

    number: int
    place: LogPlace
    access: AccessLogged
    decided: Span
    record: AccessRecord | None
    # When the decision block was no longer the head, where that matters.
    followed: UnixTime | None = None


class _Replay:
    __slots__ = (
        "_batches",
        "_erased",
        "_exports",
        "_findings",
        "_flaws",
        "_foreknown",
        "_glass",
        "_history",
        "_late",
        "_late_kept",
        "_orphaned",
        "_source",
        "_waiting",
    )

    def __init__(
        self, source: Source, exports: Exports | None, foreknown: Foreknown, states_kept: int, late_kept: int
    ) -> None:
        self._source = source
        self._exports = exports
        self._foreknown = foreknown
        self._glass = Glass()
        self._erased = 0
        self._history = History(states_kept)
        self._batches = Batches(source)
        self._late: list[_Case] = []
        self._late_kept = late_kept
        self._findings: list[Finding] = []
        self._flaws = 0
        self._orphaned = 0
        self._waiting = 0

    async def run(self, last: Header, progress: Progress | None) -> bool:
        """Goes through all events. False when they contradict each other, so that nothing after can be judged."""
        number, changes = -1, list[Event]()
        async for place, event in self._source.events(last.ref.number):
            if place.block.number != number:
                if not self._apply(number, changes):
                    return False
                number, changes = place.block.number, []
                if progress is not None:
                    progress(number, last.ref.number, self._batches.count)
            self._foreknown.meet(event)
            if isinstance(event, AccessLogged):
                await self._access(place, event)
            else:
                changes.append(event)
        return self._apply(number, changes)

    async def close(self, last: Header) -> None:
        """What can only be said at the end: the late ones, the contract's own head, and what is left of the export."""
        await self._judge_late()
        self._foreknown.close()
        for finding in self._batches.finish():
            self._found(finding)
        count, head = await self._source.log_head(last.ref.number)
        if count < self._batches.next_seq:
            self._found(Finding(Flaw.COUNT, detail=f"the contract says {count}"))
        elif count == self._batches.next_seq and head != self._batches.head:
            self._found(Finding(Flaw.HEAD))
        for finding in self._batches.gap(count):
            self._found(finding)
        if self._exports is not None:
            for left in self._exports.rest(last.timestamp):
                if left is None:
                    self._waiting += 1
                else:
                    self._found(left)
            for finding in self._exports.findings:
                self._found(finding)

    def report(self, last: Header) -> Report:
        return Report(
            end=last.ref,
            head=self._batches.head,
            records=self._batches.count,
            orphaned=self._orphaned,
            opened=None if self._exports is None else self._exports.taken,
            waiting=self._waiting,
            erased=self._erased,
            glass=self._glass.count(self._history.head),
            flaws=self._flaws,
            findings=tuple(self._findings),
        )

    def _apply(self, number: int, changes: list[Event]) -> bool:
        try:
            self._history.apply(number, changes)
        except ContradictionError as contradiction:
            self._found(Finding(Flaw.CONTRADICTION, detail=f"block {number}, {contradiction}"))
            return False
        return True

    async def _access(self, place: LogPlace, access: AccessLogged) -> None:
        logged = await self._source.header(place.block.number)
        if logged.ref != place.block:
            raise ChainMovedError(f"block {place.block.number} was replaced")
        for finding in await self._batches.follow(place, access):
            self._found(finding)
        record = self._record(place, access)
        decided = await self._decision_block(place, access)
        if decided is None:
            return
        span = Span(decided.timestamp, logged.timestamp)
        followed = None
        if record is not None and record.snapshot_age_s is not None:
            followed = (await self._source.header(decided.ref.number + 1)).timestamp
        case = _Case(decided.ref.number, place, access, span, record, followed)
        state = self._history.at(case.number)
        if state is not None:
            self._judge(case, state)
            return
        self._late.append(case)
        if len(self._late) >= self._late_kept:
            await self._judge_late()

    def _record(self, place: LogPlace, access: AccessLogged) -> AccessRecord | None:
        if self._exports is None:
            return None
        exported = self._exports.take(access.commitment)
        if exported is None and access.patient in self._foreknown.erased:
            self._erased += 1
            return None
        if exported is None:
            self._found(Finding(Flaw.RECORD_MISSING, access.seq, place.transaction))
            return None
        if _differs(exported, access):
            record_id = exported.record.record_id
            self._found(Finding(Flaw.RECORD_DIFFERS, access.seq, place.transaction, record_id))
            return None
        return exported.record

    async def _decision_block(self, place: LogPlace, access: AccessLogged) -> Header | None:
        """The block whose state decides: the recorded one or, where a reorganisation took that away, the one below."""
        number = access.block.number
        if number >= place.block.number:
            self._found(Finding(Flaw.FUTURE, access.seq, place.transaction))
            return None
        if number <= self._source.deployment.block.number:
            self._found(Finding(Flaw.BEFORE_DEPLOYMENT, access.seq, place.transaction))
            return None
        header = await self._source.header(number)
        if header.ref == access.block:
            return header
        # Its parents are unknown to us. Blocks further down are shared by both branches, or the record is unauthorised.
        self._orphaned += 1
        return await self._source.header(number - 1)

    def _judge(self, case: _Case, state: State) -> None:
        access, record = case.access, case.record
        opened = self._foreknown.opened.get(EmergencyId(access.basis))
        self._glass.saw(record, opened)
        if record is None:
            # The gateway's clock may lead the chain's: a consent that had begun by it may begin in no block's time yet.
            decided = Span(case.decided.first, UnixTime(case.decided.last + CLOCK_SKEW_S))
            could = (
                could_permit(state, access, decided)
                if opened is None
                else could_break_glass(state, access, opened, decided)
            )
            if not could:
                self._found(Finding(Flaw.UNAUTHORISED, access.seq, case.place.transaction))
            return
        first, last = case.decided.first - CLOCK_SKEW_S, case.decided.last + CLOCK_SKEW_S
        if not first <= record.at <= last:
            self._found(Finding(Flaw.RECORD_TIME, access.seq, case.place.transaction, record.record_id))
        if not _is_fresh_enough(case, record, under_emergency=opened is not None):
            self._found(Finding(Flaw.SNAPSHOT, access.seq, case.place.transaction, record.record_id))
        # Decisions are made at the later of the gateway's clock and the head's time.
        now = max(record.at, case.decided.first)
        does = (
            does_permit(state, access, record, now)
            if opened is None
            else does_break_glass(state, access, opened, record, now)
        )
        if not does:
            self._found(Finding(Flaw.UNAUTHORISED, access.seq, case.place.transaction, record.record_id))

    async def _judge_late(self) -> None:
        """Goes through the events once more for the accesses whose state was let go."""
        waiting = sorted(self._late, key=lambda case: case.number, reverse=True)
        self._late = []
        if not waiting:
            return
        history = History(keep=1)
        number, changes = -1, list[Event]()
        async for place, event in self._source.events(waiting[0].number):
            if place.block.number != number:
                history.apply(number, changes)
                number, changes = place.block.number, []
            while waiting and waiting[-1].number < number:
                self._judge(waiting.pop(), history.head)
            if not isinstance(event, AccessLogged):
                changes.append(event)
        history.apply(number, changes)
        while waiting:
            self._judge(waiting.pop(), history.head)

    def _found(self, finding: Finding) -> None:
        self._flaws += 1
        if len(self._findings) < MAX_NAMED:
            self._findings.append(finding)


def _is_fresh_enough(case: _Case, record: AccessRecord, *, under_emergency: bool) -> bool:
    """Whether a stale snapshot, if it was one, is an emergency's, not too old, and no older than the record says."""
    age_s = record.snapshot_age_s
    if age_s is None or case.followed is None:
        return True
    was_head = case.followed >= record.at - age_s - CLOCK_SKEW_S
    return under_emergency and age_s <= LARGEST_SNAPSHOT_AGE_S and was_head


def _differs(exported: ExportedRecord, access: AccessLogged) -> bool:
    record = exported.record
    said = (record.basis, record.actor, record.patient, record.block)
    return said != (access.basis, access.accessor, access.patient, access.block)
