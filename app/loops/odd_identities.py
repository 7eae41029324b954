"""Keeps up with odd identities: what other gateways' people said of them, and what the archive holds of them.

The walk through the archive is asked for by somebody, done by one gateway at a time, at a set rate, and goes on after a
restart where it was.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from app.core.dicom.identities import Accepted
from app.core.identifiers import StudyUid
from app.core.oddities import Enrolled, Oddity
from app.pacs.origin import Origin, OriginInvalidError, OriginTooBroadError, OriginUnavailableError, StudySubjects
from app.store.engine import StoreUnavailableError
from app.store.identity_desk import IdentityDesk
from app.store.identity_scans import Scan, ScanState
from app.store.leadership import Leadership
from app.store.odd_studies import SeenStudy, seen

_LOG = logging.getLogger(__name__)

# Studies that came by and wait to be written down: more than that are found by the next walk.
_MOST_NOTICED = 1_000
_KEEP_S = 2.0
_RECOUNT_S = 60.0
_LOOK_FOR_SCAN_S = 2.0
_TROUBLE_PAUSE_S = 30.0
_STALE_AT_ONCE = 100


class Noticed:
    """Odd studies that the data path came by. ``met`` costs it next to nothing."""

    def __init__(self) -> None:
        self._found: dict[StudyUid, SeenStudy] = {}

    def met(self, study: StudyUid, answer: StudySubjects) -> None:
        """To be written down soon."""
        if len(self._found) < _MOST_NOTICED:
            accepted = answer.accepted
            if accepted is not None:
                self._found[study] = _seen(study, accepted, answer, Enrolled(()))

    def take(self) -> list[SeenStudy]:
        """All of them, once."""
        found, self._found = self._found, {}
        return list(found.values())


async def keep(desk: IdentityDesk, noticed: Noticed, interval_s: float = _KEEP_S) -> None:
    """Runs until cancelled: what was said elsewhere counts here within seconds; what came by is written down."""
    counted_rulings: object = None
    next_count = 0.0
    clock = asyncio.get_running_loop().time
    while True:
        try:
            await desk.resolutions.refresh()
            some = noticed.take()
            await desk.studies.note(some)
            rulings = desk.resolutions.rulings
            if some or rulings is not counted_rulings or clock() >= next_count:
                await desk.recount()
                counted_rulings, next_count = rulings, clock() + _RECOUNT_S
        except StoreUnavailableError as error:
            _LOG.error("odd identities could not be kept: %s", error)
        await asyncio.sleep(interval_s)


@dataclass(frozen=True, slots=True)
class ScanPace:
    """``pause_s`` between two studies, ``batch`` of them between two commits."""

    pause_s: float
    batch: int


class IdentityScan:
    """Walks through the archive when somebody asked for it."""

    def __init__(
        self,
        origin: Origin,
        desk: IdentityDesk,
        leadership: Leadership,
        pace: ScanPace,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._origin = origin
        self._desk = desk
        self._leadership = leadership
        self._pace = pace
        self._sleep = sleep

    async def run(self) -> None:
        """Runs until cancelled."""
        try:
            while True:
                await self._sleep(await self._step())
        finally:
            await self._leadership.release()

    async def _step(self) -> float:
        """Some of the walk, if there is one. How long to wait before the next."""
        try:
            scan = await self._desk.scans.last()
            if scan is None or scan.state is not ScanState.RUNNING or not await self._leadership.hold():
                return _LOOK_FOR_SCAN_S
            try:
                await self._some(scan)
            except (OriginUnavailableError, OriginInvalidError, OriginTooBroadError) as error:
                await self._desk.scans.troubled(_kind(error))
                return _TROUBLE_PAUSE_S
        except StoreUnavailableError as error:
            _LOG.error("the walk through the archive cannot go on: %s", error)
            return _TROUBLE_PAUSE_S
        return 0.0

    async def _some(self, scan: Scan) -> None:
        total = await self._origin.study_count() if not scan.place else scan.total
        piece = await self._origin.walk(scan.place, self._pace.batch)
        looked_at = await self._look_at(piece.studies)
        found = sum(one.oddity is not None for one in looked_at)
        skipped = len(piece.studies) - len(looked_at)
        if piece.place is not None:
            await self._desk.scans.advance(piece.place, len(piece.studies), found, skipped, total)
            return
        await self._look_again(scan)
        await self._desk.scans.advance("", len(piece.studies), found, skipped, total)
        await self._desk.recount()
        await self._desk.scans.finish()

    async def _look_again(self, scan: Scan) -> None:
        """What was odd once and did not come by: put right, gone, or left out by the walk."""
        looked: set[StudyUid] = set()
        while True:
            studies = await self._desk.studies.not_seen_since(scan.started_at, _STALE_AT_ONCE + len(looked))
            fresh = [study for study in studies if study not in looked]
            if not fresh:
                return
            looked.update(fresh)
            await self._look_at(fresh)

    async def _look_at(self, studies: Sequence[StudyUid]) -> list[SeenStudy]:
        """Ask for each and write it down; without those of which the archive can tell nothing."""
        enrolled = await self._desk.enrolled()
        looked_at = []
        for study in studies:
            try:
                answer = await self._origin.subjects_of(study)
            except (OriginInvalidError, OriginTooBroadError):
                continue
            accepted = answer.accepted
            looked_at.append(SeenStudy(study, None) if accepted is None else _seen(study, accepted, answer, enrolled))
            await self._sleep(self._pace.pause_s)
        await self._desk.studies.note(looked_at)
        return looked_at


def _seen(study: StudyUid, accepted: Accepted, answer: StudySubjects, enrolled: Enrolled) -> SeenStudy:
    oddity = enrolled.oddity(accepted.identities)
    if oddity is None and accepted.subject is None:
        oddity = Oddity.SEVERAL_PATIENTS  # as far as an archive can tell that cannot say more
    return seen(study, oddity, accepted, answer.instances)


def _kind(error: Exception) -> str:
    return "the archive does not answer" if isinstance(error, OriginUnavailableError) else "the archive's answer is bad"
