"""Whose a study is, and whether a series and an instance belong to it: the archive's word, remembered a short while.

What is remembered only ever speeds up a permit; whoever is about to be denied is looked up afresh (`admission`), so
that a forbidden study and one that does not exist cost the same.
"""

import asyncio
from collections.abc import Callable

from app.core.dicom.dicomweb import Level, Matching, Search
from app.core.identifiers import InstanceUid, SeriesUid, StudyDate, StudyUid, Subject
from app.gateway.ports import GatewayLimits
from app.gateway.remembering import Remembered
from app.pacs.origin import DicomJson, Origin

_STUDY_UID = "0020000D"
_SERIES_UID = "0020000E"
_INSTANCE_UID = "00080018"

Member = tuple[StudyUid, SeriesUid, InstanceUid | None]


class Resolution:
    """Asks the archive, and remembers. Belongs to one event loop."""

    def __init__(self, origin: Origin, monotonic: Callable[[], float], limits: GatewayLimits) -> None:
        self._origin = origin
        self._monotonic = monotonic
        self._subjects: Remembered[StudyUid, Subject] = Remembered(limits.remembered_studies, limits.resolution_ttl_s)
        self._members: Remembered[Member, bool] = Remembered(limits.remembered_members, limits.resolution_ttl_s)
        self._proofs: Remembered[tuple[StudyUid, int], Subject] = Remembered(
            limits.remembered_studies, limits.proof_ttl_s
        )
        # A study without a valid date is remembered as such.
        self._dates: Remembered[StudyUid, tuple[StudyDate | None]] = Remembered(
            limits.remembered_studies, limits.resolution_ttl_s
        )
        self._asking: dict[StudyUid, asyncio.Task[Subject | None]] = {}

    def remembered_subject(self, study: StudyUid) -> Subject | None:
        return self._subjects.get(study, self._monotonic())

    def remembered_date(self, study: StudyUid) -> StudyDate | None:
        """The study's date as the archive gave it with its patient. None too where that was forgotten: then no consent
        with bounds permits, and every such deny holds.
        """
        known = self._dates.get(study, self._monotonic())
        return None if known is None else known[0]

    async def date_of(self, study: StudyUid) -> StudyDate | None:
        """The study's date, from memory or else asked afresh. Raises what the origin raises."""
        if self._dates.get(study, self._monotonic()) is None:
            await self.subject_of(study)
        return self.remembered_date(study)

    async def subject_of(self, study: StudyUid) -> Subject | None:
        """The one patient of the study, asked afresh; None where there is none, or not exactly one with an identity.

        Raises what the origin raises. Those who ask for one study at the same time share the question.
        """
        asking = self._asking.get(study)
        if asking is None:
            asking = asyncio.create_task(self._ask(study))
            self._asking[study] = asking
            asking.add_done_callback(lambda done: self._asked(study, done))
        return await asyncio.shield(asking)

    async def is_only(self, study: StudyUid, subject: Subject, instances: int | None) -> bool:
        """Whether the subject is the study's one patient.

        ``instances``: how many instances the archive now says it has; while that stays the same, the answer is believed
        for longer, since finding out means looking at each of them.
        """
        now = self._monotonic()
        if self._subjects.get(study, now) == subject:
            return True
        if instances is not None and self._proofs.get((study, instances), now) == subject:
            return True
        found = await self.subject_of(study)
        if found is not None and instances is not None:
            self._proofs.learn((study, instances), found, now)
        return found == subject

    def is_remembered_member(self, study: StudyUid, series: SeriesUid, instance: InstanceUid | None) -> bool:
        return self._members.get((study, series, instance), self._monotonic()) is not None

    async def is_member(self, study: StudyUid, series: SeriesUid, instance: InstanceUid | None) -> bool:
        """Whether the archive holds this series (and instance) in this study, asked afresh."""
        if instance is None:
            uid, level, of_series = (_SERIES_UID, str(series)), Level.SERIES, None
        else:
            uid, level, of_series = (_INSTANCE_UID, str(instance)), Level.INSTANCE, series
        matching = (Matching((uid[0],), uid[1]),)
        rows = await self._origin.search(Search(level, study=study, series=of_series, matching=matching))
        found = any(
            text_of(row, _STUDY_UID) == study
            and text_of(row, _SERIES_UID) == series
            and (instance is None or text_of(row, _INSTANCE_UID) == instance)
            for row in rows
        )
        if found:
            self.learn_member(study, series, instance)
        return found

    def learn_member(self, study: StudyUid, series: SeriesUid, instance: InstanceUid | None) -> None:
        """What the archive has just said of its own accord."""
        self._members.learn((study, series, instance), True, self._monotonic())

    def forget(self, study: StudyUid) -> None:
        """The study has changed."""
        self._subjects.forget(study)

    async def _ask(self, study: StudyUid) -> Subject | None:
        asked_at = self._monotonic()
        answer = await self._origin.subjects_of(study)
        found = answer.subjects
        subject = next(iter(found)) if len(found) == 1 else None
        self._dates.learn(study, (answer.date,), asked_at)
        if subject is None or not subject.patient_id.strip():
            self._subjects.forget(study)
            return None
        self._subjects.learn(study, subject, asked_at)
        return subject

    def _asked(self, study: StudyUid, done: "asyncio.Task[Subject | None]") -> None:
        del self._asking[study]
        if not done.cancelled():
            done.exception()  # those who asked have it; nobody may be left to, when they all went away


def text_of(dataset: DicomJson, tag: str) -> str | None:
    """The one string value of an element, as it stands; None where it is missing, several or no string."""
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    if isinstance(values, list) and len(values) == 1 and isinstance(values[0], str):
        return values[0]
    return None
