"""What the caller may see of the archive, in order, up to the end of one page (P12, P13).

Rows are decided on one by one, each by its own identity, as they come; nothing but the page is kept. How the archive is
asked is planned (`search_plan`) and changes no byte: neither way shows how many rows were passed over.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from app.core.consent.terms import Action
from app.core.dicom.dicomweb import Matching, Search
from app.core.dicom.identities import Accepted
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import PatientKey, StudyDate, StudyUid, Subject
from app.gateway.admission import Admission, Admitted, Moment
from app.gateway.patient_counts import instances_of
from app.gateway.ports import Wiring
from app.gateway.remembering import Remembered
from app.gateway.resolution import Resolution
from app.gateway.search_plan import Way, names_studies, patient_of, plan, wanted
from app.gateway.trails import Asked, Trail, Trails
from app.pacs.origin import DicomJson, Listed, Stretch
from app.pacs.parallel import in_parallel
from app.store.ownership import Ownership
from app.store.patients import EnrolledPatient
from app.store.sessions import Session

# Rows that are decided on before anything else of the process gets its turn.
_AT_A_TIME = 200
# Names that are: some milliseconds.
_PASSED_AT_A_TIME = 1_000
# By how much the pieces of a listing grow.
_GROWTH = 4
# Rows that could be listed in the time that it takes to look into a study.
_PROOF_ROWS = 5
# Studies that are asked for by name in one question: some 4 KB of it.
_NAMED_AT_ONCE = 50
_LEAST_SHARE = 1e-6
_SHARE_TTL_S = 3_600.0
_STUDY_UID = ("0020000D",)


@dataclass(frozen=True, slots=True)
class Row:
    """A row that the caller may see, with the permit that lets it through."""

    read: Callable[[], DicomJson]
    admitted: Admitted


@dataclass(slots=True)
class Page:
    """The rows from ``offset`` on, ``limit`` at the most.

    ``counted``: all that follows is gone through too. ``most_rows``: of the archive, to be gone through. ``passed``
    counts the visible rows so far, ``cost`` those of the archive, ``proofs`` those whose study had to be looked into.
    """

    offset: int
    limit: int
    counted: bool
    most_rows: int
    passed: int = 0
    cost: int = 0
    proofs: int = 0
    rows: list[Row] = field(default_factory=list)

    @property
    def more(self) -> bool:
        """Whether there is at least one row behind the page."""
        return self.passed > self.offset + self.limit

    @property
    def remaining(self) -> int:
        """How many there are behind it, as far as was looked."""
        return max(0, self.passed - self.offset - self.limit)

    @property
    def is_enough(self) -> bool:
        """Whether nothing that follows can change the answer."""
        return self.more and not self.counted

    @property
    def missing(self) -> int:
        """Rows to see before it is."""
        return max(1, self.offset + self.limit + 1 - self.passed)

    @property
    def effort(self) -> int:
        """What was gone through, in rows: whose a study is has to be asked of some archives (see Resolution)."""
        return self.cost + _PROOF_ROWS * self.proofs

    def add(self, row: Row) -> None:
        """The next visible row."""
        if self.offset <= self.passed < self.offset + self.limit:
            self.rows.append(row)
        self.passed += 1


@dataclass(frozen=True, slots=True)
class _Whom:
    """Whose rows are wanted: those of these PatientIDs, and the studies that somebody said are theirs."""

    patient_ids: Sequence[str]
    studies: Sequence[StudyUid] = ()


class _Named(NamedTuple):
    """A row by what it is decided on. ``sole``: see Listed; ``read``: the row itself, where there is one."""

    study: StudyUid
    subject: Subject
    sole: bool
    read: Callable[[], DicomJson] | None = None


class Listing:
    """Lists for callers."""

    def __init__(self, wiring: Wiring, admission: Admission, resolution: Resolution, ownership: Ownership) -> None:
        self._wiring = wiring
        self._admission = admission
        self._resolution = resolution
        self._ownership = ownership
        limits = wiring.limits
        self._trails = Trails(limits.trails, limits.trail_ttl_s, wiring.monotonic)
        self._shares: Remembered[bytes, float] = Remembered(limits.trails, _SHARE_TTL_S)

    async def page(self, session: Session, search: Search, limit: int) -> tuple[Page, bool]:
        """One page of a search whose path names no study, and whether what is left was counted.

        Raises ProblemError 413 where that would take too much, and what the origin raises.
        """
        moment = self._admission.moment(session)
        traits = self._wiring.origin.listing
        share = self._shares.get(session.actor, self._wiring.monotonic()) or 1.0
        named = moment.standing.head.count_of(session.actor) + len(moment.opened)
        need = search.offset + limit + 1
        planned = plan(search, named, need, share, traits, self._wiring.limits.counted_patients)
        page = await self._by(
            planned.way, session, search, Page(search.offset, limit, planned.counted, planned.most_rows)
        )
        if page is None:
            page = await self._by(planned.otherwise, session, search, Page(search.offset, limit, False, traits.rows))
        if page is None:
            raise ProblemError(problem("search-too-broad"))
        return page, planned.counted

    async def rows_of(self, session: Session, search: Search, patients: Sequence[EnrolledPatient]) -> list[Row]:
        """All that the caller may see of these patients. Raises as ``page`` does."""
        most = self._wiring.limits.search_rows
        page = Page(0, most, counted=False, most_rows=most)
        if not await self._collect(page, session, search, self._whom(search, patients)) or page.more:
            raise ProblemError(problem("search-too-broad"))
        return page.rows

    async def _by(self, way: Way, session: Session, search: Search, page: Page) -> Page | None:
        """The page by one way; None where it leads too far."""
        match way:
            case Way.NAMED:
                named = patient_of(search)
                whom = None if names_studies(search) or named is None else _Whom([named])
                done = await self._collect(page, session, search, whom)
            case Way.BY_PATIENT:
                done = await self._collect(page, session, search, await self._theirs(session, search))
            case Way.WHOLE:
                done = await self._through_all(session, search, page)
            case _:
                done = False
        return page if done else None

    async def _theirs(self, session: Session, search: Search) -> _Whom:
        """What is of those whose consents, control, guardianship or emergencies name the caller."""
        moment = self._admission.moment(session)
        head, opened = moment.standing.head, moment.opened

        def found() -> _Whom:
            keys = head.patients_of(session.actor) | opened.keys() if moment.snapshot_age_s is None else opened
            patients = (self._wiring.patients.by_key(key) for key in keys)
            return self._whom(search, [patient for patient in patients if patient is not None])

        many = head.count_of(session.actor) > _AT_A_TIME
        return await asyncio.to_thread(found) if many else found()

    def _whom(self, search: Search, patients: Sequence[EnrolledPatient]) -> _Whom:
        """Of these patients what the search may find: under their own identities, and under what was said to be
        theirs.
        """
        rulings = self._wiring.rulings()
        subjects = [patient.subject for patient in patients]
        if not rulings.aliases and not rulings.studies:
            return _Whom(wanted(search, subjects))
        for patient in patients:
            subjects += rulings.aliases_of.get(patient.key, ())
        studies = [study for patient in patients for study in rulings.studies_of.get(patient.key, ())]
        return _Whom(wanted(search, subjects), studies)

    async def _through_all(self, session: Session, search: Search, page: Page) -> bool:
        """Through the archive in order, from where an earlier page has shown that this one begins."""
        moment = self._admission.moment(session)
        asked = Asked(session.actor, session.purpose, search.level, search.matching)
        standing = moment.standing
        here = (self._wiring.revoked_here(), moment.opened, self._wiring.rulings())
        trail = self._trails.of(asked, (standing.final, standing.head, *here), anew=page.offset == 0)
        began, after = trail.best(page.offset)
        page.passed = began
        done = await self._collect(page, session, search, None, after, trail)
        if page.cost:
            share = max((page.passed - began) / page.cost, _LEAST_SHARE)
            self._shares.learn(session.actor, min(share, 1.0), self._wiring.monotonic())
        return done

    async def _collect(
        self,
        page: Page,
        session: Session,
        search: Search,
        whom: _Whom | None,
        after: bytes | None = None,
        trail: Trail | None = None,
    ) -> bool:
        """Fill the page from the listing. False: more of the archive would have to be gone through than may be."""
        whole = replace(search, limit=None, offset=0, limit_capped=False)
        if trail is not None:
            after = await self._pass_by(page, session, whole, after, trail)
        rows = page.missing
        while True:
            if page.effort >= page.most_rows:
                return False
            stretch = await self._stretch(whole, after, whom, rows)
            rows *= _GROWTH  # little of what is here is visible
            page.cost += stretch.cost
            moment = self._admission.moment(session)
            for at in range(0, len(stretch.listed), _AT_A_TIME):
                if page.is_enough:
                    return True
                some = stretch.listed[at : at + _AT_A_TIME]
                await self._take(page, session, some, moment)
                if page.effort >= page.most_rows and at + _AT_A_TIME < len(stretch.listed):
                    return page.is_enough
                await asyncio.sleep(0)
            after = stretch.after
            if after is None or page.is_enough:
                return True
            if trail is not None:
                trail.mark(page.passed, after)

    async def _stretch(self, search: Search, after: bytes | None, whom: _Whom | None, rows: int) -> Stretch:
        """The next piece of everything; or all that is somebody's, in one."""
        origin = self._wiring.origin
        if whom is None:
            return await origin.in_order(search, after, None, rows)
        listed: list[Listed] = []
        cost = 0
        if whom.patient_ids:
            theirs = await origin.in_order(search, None, whom.patient_ids, rows)
            studies = frozenset(whom.studies)
            listed, cost = [one for one in theirs.listed if one.study not in studies], theirs.cost
        others = tuple(key for key in search.matching if key.path != _STUDY_UID or key.empty)
        for first in range(0, len(whom.studies), _NAMED_AT_ONCE):
            uids = ",".join(whom.studies[first : first + _NAMED_AT_ONCE])
            named = replace(search, matching=(*others, Matching(_STUDY_UID, uids)))
            place: bytes | None = None
            while True:
                some = await origin.in_order(named, place, None, rows)
                listed += some.listed
                cost, place = cost + some.cost, some.after
                if place is None:
                    break
        return Stretch(sorted(listed, key=lambda one: one.rank), None, cost)

    async def _take(self, page: Page, session: Session, some: Sequence[Listed], moment: Moment) -> None:
        """Those of them that are visible: onto the page, or only counted where they lie before or behind it."""
        is_counted = page.passed + len(some) <= page.offset or page.passed >= page.offset + page.limit
        if is_counted and all(one.sole for one in some):
            page.passed += await self._count(session, [(one.study, one.subject, True) for one in some], moment)
            return
        page.proofs += sum(not one.sole for one in some)
        rows = [_Named(one.study, one.subject, one.sole, one.read) for one in some]
        for one, admitted in zip(some, await self._decided(session, rows, moment), strict=True):
            if admitted is not None:
                page.add(Row(one.read, admitted))

    async def _pass_by(
        self, page: Page, session: Session, search: Search, after: bytes | None, trail: Trail
    ) -> bytes | None:
        """Towards the page's first row, as far as studies can be told by name. Where to go on reading."""
        while page.offset - page.passed >= _AT_A_TIME and page.effort < page.most_rows:
            names = await self._wiring.origin.names_in_order(search, after, page.offset - page.passed)
            if names is None:
                break
            moment = self._admission.moment(session)
            for at in range(0, len(names.listed), _PASSED_AT_A_TIME):
                page.passed += await self._count(session, names.listed[at : at + _PASSED_AT_A_TIME], moment)
                await asyncio.sleep(0)
            after = names.after
            page.cost += names.cost
            trail.mark(page.passed, after)
        return after

    async def _count(self, session: Session, named: Sequence[tuple[StudyUid, Subject, bool]], moment: Moment) -> int:
        """How many of these a permit covers."""
        plain = self._admission.plain_searches(session, moment)
        by_subject, rulings = self._wiring.patients.by_subject, self._wiring.rulings()
        is_ruled = bool(rulings.aliases or rulings.studies)
        found, unclear = 0, []
        for study, subject, sole in named:
            patient = by_subject(subject)
            if patient is None and not is_ruled:
                continue
            verdict = plain(patient.key) if sole and patient is not None else None
            if verdict is None:
                unclear.append(_Named(study, subject, sole))
            elif verdict:
                found += 1
        if unclear:
            found += sum(one is not None for one in await self._decided(session, unclear, moment))
        return found

    async def _dates(
        self, session: Session, named: Sequence[tuple[StudyUid, PatientKey]], moment: Moment
    ) -> dict[StudyUid, StudyDate | None]:
        """The dates of the studies whose decision may depend on one: the study's own, whatever a row says."""
        matters = self._admission.date_matters
        dated = {key for key in {key for _, key in named} if matters(session, key, moment)}
        wanted_dates = {study for study, key in named if key in dated}
        dates: dict[StudyUid, StudyDate | None] = {}

        async def ask(study: StudyUid) -> None:
            dates[study] = await self._resolution.date_of(study)

        if wanted_dates:
            calls = [partial(ask, study) for study in wanted_dates]
            await in_parallel(calls, self._wiring.limits.search_concurrency)
        return dates

    async def _decided(self, session: Session, rows: Sequence[_Named], moment: Moment) -> list[Admitted | None]:
        """The permit for each, None where there is none.

        A row shows one patient of its study, whichever the archive picks. Nobody sees those of a study in which the
        archive mixes patients, until it is put right or somebody said whose it is.
        """
        plain = self._admission.plain_searches(session, moment)
        possible: list[tuple[_Named, list[EnrolledPatient], bool]] = []
        for one in rows:
            patients, is_certain = self._ownership.candidates(one.study, one.subject, sole=one.sole)
            possible.append((one, [patient for patient in patients if plain(patient.key) is not False], is_certain))
        named = [(one.study, patient.key) for one, patients, _ in possible for patient in patients]
        dates = await self._dates(session, named, moment)
        decisions: dict[tuple[StudyUid, Subject, PatientKey], Admitted | None] = {}
        permitted: list[list[Admitted]] = []
        for one, patients, _ in possible:
            for patient in patients:
                key = (one.study, one.subject, patient.key)
                if key not in decisions:
                    accepted, date = Accepted(one.subject), dates.get(one.study)
                    decisions[key] = self._admission.decide(
                        session, Action.SEARCH, patient, accepted, one.study, moment, date
                    )
            made = (decisions[one.study, one.subject, patient.key] for patient in patients)
            permitted.append([admitted for admitted in made if admitted is not None])
        doubtful = {
            (one.study, one.subject): one
            for (one, _, is_certain), some in zip(possible, permitted, strict=True)
            if some and not is_certain
        }
        owners = await self._owners(list(doubtful.values()))
        return [
            next((admitted for admitted in some if is_certain or admitted.patient.key == owners[one[:2]]), None)
            for (one, _, is_certain), some in zip(possible, permitted, strict=True)
        ]

    async def _owners(self, doubtful: Sequence[_Named]) -> dict[tuple[StudyUid, Subject], PatientKey | None]:
        """Whose the studies are of which the archive gave these rows."""
        owners: dict[tuple[StudyUid, Subject], PatientKey | None] = {}

        async def ask(one: _Named) -> None:
            instances = None if one.read is None else instances_of(one.read())
            owners[one.study, one.subject] = await self._resolution.owner_by_row(one.study, one.subject, instances)

        if doubtful:
            await in_parallel([partial(ask, one) for one in doubtful], self._wiring.limits.search_concurrency)
        return owners
