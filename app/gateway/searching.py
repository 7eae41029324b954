"""QIDO-RS: the archive's rows, decided on one by one, as an archive would list them that holds nothing else (P12, P13).

An empty result in JSON is 200 with ``[]``, not 204 (PS3.18 §10.6.3 allows both readings of "no content"): every stock
client reads it, and some parse a body without looking at the status. In XML it is 204.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from app.core.consent.terms import Action
from app.core.dicom.dataset_writing import DatasetWriting, writing_of
from app.core.dicom.dicomjson import project, rewrite_links, with_patient_counts
from app.core.dicom.dicomweb import Level, Search
from app.core.dicom.identities import Accepted, FoundIdentity
from app.core.dicom.matching import compile_matching
from app.core.dicom.negotiation import Chosen
from app.core.dicom.search_order import rank
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import InstanceUid, PatientKey, SeriesUid, StudyUid
from app.gateway.admission import Admission, Admitted
from app.gateway.answering import Answer
from app.gateway.listing import Listing, Page, Row
from app.gateway.parts import BOUNDARY_BYTES
from app.gateway.patient_counts import asks_for_counts, counted
from app.gateway.ports import Wiring
from app.gateway.recording import Recorder, target_of
from app.gateway.resolution import Resolution, text_of
from app.pacs.origin import DicomJson
from app.store.journal import JournalEntry
from app.store.ownership import Ownership
from app.store.patients import EnrolledPatient
from app.store.sessions import Session

_STUDY_UID = "0020000D"
_SERIES_UID = "0020000E"
_INSTANCE_UID = "00080018"
# Rows that are put into an answer without a thread of their own: a few milliseconds.
_AT_ONCE = 100
_UNSUPPORTED = {
    "fuzzymatching": "The fuzzymatching parameter is not supported. Only literal matching has been performed.",
    "multiplevaluematching": (
        "The multiplevaluematching parameter is not supported. Multiple Value Matching has not been performed."
    ),
}
_T = TypeVar("_T")
_Counts = dict[PatientKey, tuple[int, int, int]]


class Searching:
    """Answers searches."""

    def __init__(
        self,
        wiring: Wiring,
        admission: Admission,
        resolution: Resolution,
        recorder: Recorder,
        ownership: Ownership,
    ) -> None:
        self._wiring = wiring
        self._admission = admission
        self._resolution = resolution
        self._recorder = recorder
        self._ownership = ownership
        self._listing = Listing(wiring, admission, resolution, ownership)

    async def answer(self, method: str, session: Session, search: Search, chosen: Chosen, answer: Answer) -> None:
        """Answer to the end. Raises ProblemError and what the ports raise."""
        most = self._wiring.limits.page_rows
        limit = most if search.limit is None else min(search.limit, most)
        if search.study is None:
            page, is_counted = await self._listing.page(session, search, limit)
        else:
            page, is_counted = await self._of_study(session, search, limit), True
        entries = self._entries(method, search, page.rows)
        writing = writing_of(chosen, self._wiring.random_bytes(BOUNDARY_BYTES).hex())
        body = await self._body(session, search, page.rows, writing)
        if entries:
            answer.recorded.extend(entry.record.record_id for entry in entries)
            await self._wiring.journal.append(entries)
        warnings = [(b"warning", text.encode()) for text in _warnings(search, page, is_counted=is_counted)]
        if not body:  # there is no multipart body without a part (PS3.18 §10.6.3.1)
            await answer.start(204, None, *warnings)
            await answer.finish()
            return
        await answer.whole(200, body, (b"content-type", writing.content_type.encode()), *warnings)

    async def _of_study(self, session: Session, search: Search, limit: int) -> Page:
        """A page of what is below one study, which is one patient's: that was found out when it was admitted."""
        admitted = await self._admission.admit(session, Action.SEARCH, search)
        found = await self._wiring.origin.search(replace(search, limit=None, offset=0, limit_capped=False))
        if len(found) > self._wiring.limits.search_rows:
            raise ProblemError(problem("search-too-broad"))
        self._learn(search, found)
        moment = self._admission.moment(session)
        accepted, date = admitted.accepted, admitted.request.study_date
        owner = self._ownership.of_study(admitted.study, accepted)
        again = None
        if owner is not None and owner.key == admitted.patient.key:
            again = self._admission.decide(session, Action.SEARCH, owner, accepted, admitted.study, moment, date)
        page = Page(search.offset, limit, counted=True, most_rows=len(found))
        if again is not None:
            matching = await _in_thread_if_many(len(found), partial(_fitting, search, found, accepted))
            for row in matching:
                page.add(Row(lambda row=row: row, again))  # type: ignore[misc]
        return page

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

    async def _body(self, session: Session, search: Search, page: list[Row], writing: DatasetWriting) -> bytes:
        counts: _Counts = {}
        if asks_for_counts(search):
            counts = await self._patient_counts(
                session, {row.admitted.patient.key: row.admitted.patient for row in page}
            )
        work = partial(_written, search, page, counts, self._wiring.public_url, writing)
        return await _in_thread_if_many(len(page), work)

    async def _patient_counts(self, session: Session, patients: Mapping[PatientKey, EnrolledPatient]) -> _Counts:
        rows = await self._listing.rows_of(session, Search(Level.STUDY), list(patients.values())) if patients else []
        studies: dict[PatientKey, list[DicomJson]] = {key: [] for key in patients}
        for row in rows:
            if row.admitted.patient.key in studies:
                studies[row.admitted.patient.key].append(row.read())
        return {key: counted(found) for key, found in studies.items()}


def _fitting(search: Search, found: list[DicomJson], accepted: Accepted) -> list[DicomJson]:
    """The rows of the study (and series) of the path that match, in order, each once; only those of its patient. A
    series of several identities has a row for each.
    """
    matching = compile_matching(search.matching)
    rows: dict[tuple[bytes, str], DicomJson] = {}
    for dataset in found:
        is_below = text_of(dataset, _STUDY_UID) == search.study and (
            search.series is None or text_of(dataset, _SERIES_UID) == search.series
        )
        if is_below and accepted.takes_dataset(dataset) and matching(dataset):
            shown = "" if accepted.odd is None else FoundIdentity.of_dataset(dataset).text
            rows[rank(search.level, dataset), shown] = dataset
    return [rows[place] for place in sorted(rows)]


def _written(search: Search, page: list[Row], counts: _Counts, public_url: str, writing: DatasetWriting) -> bytes:
    """The answer's body."""
    shown = []
    for row in page:
        dataset = rewrite_links(project(search, row.read()), public_url)
        found = counts.get(row.admitted.patient.key)
        shown.append(writing.one(dataset if found is None else with_patient_counts(dataset, *found)))
    return writing.whole(shown)


async def _in_thread_if_many(rows: int, work: Callable[[], _T]) -> _T:
    """Work over many rows, without keeping every other request waiting."""
    return work() if rows <= _AT_ONCE else await asyncio.to_thread(work)


def _warnings(search: Search, page: Page, *, is_counted: bool) -> list[str]:
    """PS3.18 §8.3.4.2 to §8.3.4.6: what was not done as asked, and how much more there is.

    The number of further results is told where it is known without going through the whole archive for it.
    """
    told = []
    if page.more or search.limit_capped:
        number = f"{page.remaining} " if is_counted or not page.more else ""
        told.append(f'299 consentry "There are {number}additional results that can be requested"')
    told.extend(f'299 consentry "{_UNSUPPORTED[name]}"' for name in search.unsupported)
    return told
