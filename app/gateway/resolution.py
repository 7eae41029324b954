"""Whose a study is, and whether a series and an instance belong to it: the archive's word, remembered a short while.

What is remembered only ever speeds up a permit; whoever is about to be denied is looked up afresh (`admission`), so
that a forbidden study and one that does not exist cost the same. What is remembered is the archive's word alone: whose
that makes the study is asked of `Ownership` each time, so that what people say of odd identities counts at once.
"""

import asyncio
from collections.abc import Callable

from app.core.dicom.dicomweb import Level, Matching, Search
from app.core.dicom.identities import Accepted
from app.core.identifiers import InstanceUid, PatientKey, SeriesUid, StudyDate, StudyUid, Subject
from app.gateway.ports import GatewayLimits, Wiring
from app.gateway.remembering import Remembered
from app.pacs.origin import DicomJson
from app.store.ownership import Ownership

_STUDY_UID = "0020000D"
_SERIES_UID = "0020000E"
_INSTANCE_UID = "00080018"

Member = tuple[StudyUid, SeriesUid, InstanceUid | None]


class Resolution:
    """Asks the archive, and remembers. Belongs to one event loop."""

    def __init__(self, wiring: Wiring, ownership: Ownership) -> None:
        limits: GatewayLimits = wiring.limits
        self._origin = wiring.origin
        self._monotonic: Callable[[], float] = wiring.monotonic
        self._odd_met = wiring.odd_met
        self._ownership = ownership
        self._plain: Remembered[StudyUid, Accepted] = Remembered(limits.remembered_studies, limits.resolution_ttl_s)
        self._odd: Remembered[StudyUid, Accepted] = Remembered(limits.remembered_odd_studies, limits.resolution_ttl_s)
        self._members: Remembered[Member, bool] = Remembered(limits.remembered_members, limits.resolution_ttl_s)
        self._proofs: Remembered[tuple[StudyUid, int], Accepted] = Remembered(
            limits.remembered_studies, limits.proof_ttl_s
        )
        # A study without a valid date is remembered as such.
        self._dates: Remembered[StudyUid, tuple[StudyDate | None]] = Remembered(
            limits.remembered_studies, limits.resolution_ttl_s
        )
        self._asking: dict[StudyUid, asyncio.Task[Accepted | None]] = {}

    def remembered(self, study: StudyUid) -> Accepted | None:
        """What the archive said of the study's patient. Never of an odd study: see ``remembered_odd``."""
        return self._plain.get(study, self._monotonic())

    def remembered_odd(self, study: StudyUid, instance: InstanceUid | None) -> Accepted | None:
        """The same of an odd study, for one instance that was there when the archive was asked. Where identities name
        nobody, only that tells one person's instances from another's that came since.
        """
        known = None if instance is None else self._odd.get(study, self._monotonic())
        if known is None or known.odd is None or instance is None:
            return None
        return known if known.odd.holds(instance) else None

    def remembered_date(self, study: StudyUid) -> StudyDate | None:
        """The study's date as the archive gave it with its patient. None too where that was forgotten: then no consent
        with bounds permits, and every such deny holds.
        """
        known = self._dates.get(study, self._monotonic())
        return None if known is None else known[0]

    async def date_of(self, study: StudyUid) -> StudyDate | None:
        """The study's date, from memory or else asked afresh. Raises what the origin raises."""
        if self._dates.get(study, self._monotonic()) is None:
            await self.accepted_of(study)
        return self.remembered_date(study)

    async def accepted_of(self, study: StudyUid) -> Accepted | None:
        """What the archive says of the study's patient, asked afresh; None where there is no such study.

        Raises what the origin raises. Those who ask for one study at the same time share the question.
        """
        asking = self._asking.get(study)
        if asking is None:
            asking = asyncio.create_task(self._ask(study))
            self._asking[study] = asking
            asking.add_done_callback(lambda done: self._asked(study, done))
        return await asyncio.shield(asking)

    async def owner_by_row(self, study: StudyUid, subject: Subject, instances: int | None) -> PatientKey | None:
        """Whose the study is, of which the archive gave a row that shows this subject; None: nobody's, or the row is
        none of it.

        ``instances``: how many instances the archive now says it has; while that stays the same, it is believed for
        longer that the subject is the study's one patient, since finding out means looking at each of them.
        """
        now = self._monotonic()
        known = self._plain.get(study, now) or self._odd.get(study, now)
        if known is None and instances is not None:
            known = self._proofs.get((study, instances), now)
        owner = self._owner(study, known, subject)
        if owner is None:
            known = await self.accepted_of(study)
            if known is not None and known.subject is not None and instances is not None:
                self._proofs.learn((study, instances), known, now)
            owner = self._owner(study, known, subject)
        return owner

    def _owner(self, study: StudyUid, known: Accepted | None, subject: Subject) -> PatientKey | None:
        if known is None or not known.takes_row(subject):
            return None
        owner = self._ownership.of_study(study, known)
        return None if owner is None else owner.key

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
        self._plain.forget(study)
        self._odd.forget(study)

    async def _ask(self, study: StudyUid) -> Accepted | None:
        asked_at = self._monotonic()
        answer = await self._origin.subjects_of(study)
        self._dates.learn(study, (answer.date,), asked_at)
        self.forget(study)
        accepted = answer.accepted
        if accepted is None:
            return None
        if accepted.subject is not None:
            self._plain.learn(study, accepted, asked_at)
        else:
            self._odd_met(study, answer)
            self._odd.learn(study, accepted, asked_at)
        return accepted

    def _asked(self, study: StudyUid, done: "asyncio.Task[Accepted | None]") -> None:
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
