"""QIDO-RS: the archive's rows, decided on one by one, as an archive would list them that holds nothing else (P12, P13).

An empty result is 200 with ``[]``, not 204 (PS3.18 §10.6.3 allows both readings of "no content"): every stock client
reads it, and some parse a body without looking at the status.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from app.core.dicomjson import identity, project, rewrite_links, with_patient_counts
from app.core.dicomweb import Level, Search
from app.core.identifiers import InstanceUid, PatientKey, SeriesUid, StudyUid, Subject
from app.core.matching import compile_matching
from app.core.problem import ProblemError, problem
from app.core.terms import Action
from app.gateway.admission import Admission, Admitted, Moment
from app.gateway.answering import Answer
from app.gateway.parallel import in_parallel
from app.gateway.patient_counts import asks_for_counts, counted, instances_of, question_for
from app.gateway.ports import Wiring
from app.gateway.recording import Recorder, target_of
from app.gateway.resolution import Resolution, text_of
from app.gateway.search_order import order_of
from app.gateway.search_plan import plan
from app.pacs.origin import DicomJson
from app.store.journal import JournalEntry
from app.store.sessions import Session

_STUDY_UID = "0020000D"
_SERIES_UID = "0020000E"
_INSTANCE_UID = "00080018"


@dataclass(frozen=True, slots=True)
class Row:
    """A row that the caller may see, with the permit that lets it through."""

    dataset: DicomJson
    admitted: Admitted


class Searching:
    """Answers searches."""

    def __init__(self, wiring: Wiring, admission: Admission, resolution: Resolution, recorder: Recorder) -> None:
        self._wiring = wiring
        self._admission = admission
        self._resolution = resolution
        self._recorder = recorder

    async def answer(self, method: str, session: Session, search: Search, media_type: str, answer: Answer) -> None:
        """Answer to the end. Raises ProblemError and what the ports raise."""
        rows = await self._permitted(session, search)
        most = self._wiring.limits.page_rows
        limit = most if search.limit is None else min(search.limit, most)
        page = rows[search.offset : search.offset + limit]
        remaining = max(0, len(rows) - search.offset - limit)
        entries = self._entries(method, search, page)
        body = await self._body(session, search, page)
        if entries:
            answer.recorded.extend(entry.record.record_id for entry in entries)
            await self._wiring.journal.append(entries)
        warnings = [(b"warning", text.encode()) for text in _warnings(search, remaining)]
        await answer.whole(200, body, (b"content-type", media_type.encode()), *warnings)

    async def _permitted(self, session: Session, search: Search) -> list[Row]:
        """Every row that matches and that the caller may see, in order."""
        moment = self._admission.moment()
        if search.study is not None:
            admitted = await self._admission.admit(session, Action.SEARCH, search)
            found = await self._ask([_whole(search)])
            self._learn(search, found)
            moment = self._admission.moment()
            rows = self._decided(session, search, found, moment)
            rows = [row for row in rows if row.admitted.patient.key == admitted.patient.key]
        else:
            found = await self._ask(plan(search, lambda: self._subjects(session, moment)))
            moment = self._admission.moment()
            rows = await self._of_one_patient(self._decided(session, search, found, moment))
        order = order_of(search.level)
        rows.sort(key=lambda row: order(row.dataset))
        return rows

    def _subjects(self, session: Session, moment: Moment) -> list[Subject]:
        """The enrolled patients whose consents, control or guardianship name the caller."""
        keys = moment.standing.head.patients_of(session.actor)
        if len(keys) > self._wiring.limits.search_patients:
            raise ProblemError(problem("payload-too-large"))
        patients = (self._wiring.patients.by_key(key) for key in keys)
        return [patient.subject for patient in patients if patient is not None]

    async def _ask(self, questions: Sequence[Search]) -> list[DicomJson]:
        rows: list[DicomJson] = []

        async def ask(question: Search) -> None:
            rows.extend(await self._wiring.origin.search(question))
            if len(rows) > self._wiring.limits.search_rows:
                raise ProblemError(problem("payload-too-large"))

        await in_parallel([partial(ask, question) for question in questions], self._wiring.limits.search_concurrency)
        return rows

    def _decided(self, session: Session, search: Search, found: list[DicomJson], moment: Moment) -> list[Row]:
        """The rows that match and that a permit covers, each once, each decided by its own identity."""
        matching = compile_matching(search.matching)
        decisions: dict[tuple[Subject, StudyUid], Admitted | None] = {}
        rows: dict[tuple[str | None, ...], Row] = {}
        for dataset in found:
            study = text_of(dataset, _STUDY_UID)
            if study is None or (search.study is not None and study != search.study):
                continue
            if search.series is not None and text_of(dataset, _SERIES_UID) != search.series:
                continue
            subject = identity(dataset)
            key = (subject, StudyUid(study))
            if key not in decisions:
                decisions[key] = self._admission.decide(session, Action.SEARCH, subject, StudyUid(study), moment)
            admitted = decisions[key]
            if admitted is not None and matching(dataset):
                name = (study, text_of(dataset, _SERIES_UID), text_of(dataset, _INSTANCE_UID))
                rows[name] = Row(dataset, admitted)
        return list(rows.values())

    async def _of_one_patient(self, rows: list[Row]) -> list[Row]:
        """Without the rows of studies in which the archive mixes patients: nobody sees those until it is put right.

        A row shows one patient of its study, whichever the archive picks.
        """
        studies = {(row.admitted.study, row.admitted.patient.subject): row for row in rows}
        proven: set[tuple[StudyUid, Subject]] = set()

        async def prove(row: Row) -> None:
            study, subject = row.admitted.study, row.admitted.patient.subject
            if await self._resolution.is_only(study, subject, instances_of(row.dataset)):
                proven.add((study, subject))

        await in_parallel([partial(prove, row) for row in studies.values()], self._wiring.limits.search_concurrency)
        return [row for row in rows if (row.admitted.study, row.admitted.patient.subject) in proven]

    def _learn(self, search: Search, found: list[DicomJson]) -> None:
        """Rows below a study say what belongs to it: viewers go on to ask for just that."""
        if search.level is Level.STUDY or search.study is None:
            return
        for dataset in found:
            series, instance = text_of(dataset, _SERIES_UID), text_of(dataset, _INSTANCE_UID)
            if text_of(dataset, _STUDY_UID) == search.study and series is not None:
                self._resolution.learn_member(search.study, SeriesUid(series), None)
                if instance is not None:
                    self._resolution.learn_member(search.study, SeriesUid(series), InstanceUid(instance))

    def _entries(self, method: str, search: Search, page: list[Row]) -> list[JournalEntry]:
        """One record per patient disclosed, named after the patient's first row: a basis and a study that fit."""
        first: dict[PatientKey, Admitted] = {}
        studies: dict[PatientKey, set[StudyUid]] = {}
        for row in page:
            key = row.admitted.patient.key
            first.setdefault(key, row.admitted)
            studies.setdefault(key, set()).add(row.admitted.study)
        target = target_of(method, search)
        return [
            self._recorder.entry(admitted, target, admitted.study if len(studies[key]) == 1 else None)
            for key, admitted in first.items()
        ]

    async def _body(self, session: Session, search: Search, page: list[Row]) -> bytes:
        shown = [rewrite_links(project(search, row.dataset), self._wiring.public_url) for row in page]
        if asks_for_counts(search):
            counts = await self._patient_counts(session, {row.admitted.patient.subject for row in page})
            shown = [
                with_patient_counts(dataset, *counts[row.admitted.patient.subject])
                for dataset, row in zip(shown, page, strict=True)
            ]
        return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

    async def _patient_counts(self, session: Session, subjects: set[Subject]) -> dict[Subject, tuple[int, int, int]]:
        questions = [
            question_for(subject) for subject in sorted(subjects, key=lambda one: (one.patient_id, one.issuer))
        ]
        found = await self._ask(questions)
        everything = Search(Level.STUDY)
        rows = await self._of_one_patient(self._decided(session, everything, found, self._admission.moment()))
        return {
            subject: counted(row.dataset for row in rows if row.admitted.patient.subject == subject)
            for subject in subjects
        }


def _whole(search: Search) -> Search:
    return replace(search, limit=None, offset=0, limit_capped=False)


def _warnings(search: Search, remaining: int) -> list[str]:
    """PS3.18 §8.3.4.2, §8.3.4.4: what was not done as asked, and how much more there is."""
    told = []
    if remaining or search.limit_capped:
        told.append(f'299 consentry "There are {remaining} additional results that can be requested"')
    told.extend(
        f'299 consentry "The {name} parameter is not supported. Only literal matching has been performed."'
        for name in search.unsupported
    )
    return told
