"""Filing one uploaded instance: whose the study is, the decision, the record, the archive, and what became of it."""

import hashlib

from app.core.dicom.dicomweb import Level, Matching, Search
from app.core.dicom.links import path_of
from app.core.dicom.multipart import boundary_of
from app.core.dicom.storing import FailureReason, InstanceName, Refused, Result, Stored, instance_of
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid, Subject
from app.gateway.admission import Admission
from app.gateway.answering import Answer
from app.gateway.parts import PartsBody
from app.gateway.ports import Alarm, Wiring
from app.gateway.recording import Recorder
from app.gateway.resolution import Resolution, text_of
from app.gateway.turns import Turns
from app.gateway.upload import UploadedPart
from app.pacs.origin import OriginInvalidError, OriginTimeoutError, OriginUnavailableError
from app.store.journal import Outcome
from app.store.sessions import Session

_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_STUDY_UID, _SERIES_UID, _INSTANCE_UID = "0020000D", "0020000E", "00080018"


class Filing:
    """What all uploads share: a study is filled by one instance at a time, so that two patients never meet in it; and
    so are a series' UID and an instance's, so that they never come to stand in two studies.
    """

    def __init__(self, wiring: Wiring, admission: Admission, resolution: Resolution, recorder: Recorder) -> None:
        self.wiring = wiring
        self.admission = admission
        self.resolution = resolution
        self.recorder = recorder
        # Taken in this order, always: nobody who holds one waits for somebody who waits for it.
        self.studies: Turns[StudyUid] = Turns()
        self.series: Turns[SeriesUid] = Turns()
        self.instances: Turns[InstanceUid] = Turns()

    def begin(self, session: Session, answer: Answer) -> "FilingOfOne":
        """For one upload; ``answer`` learns of its records."""
        return FilingOfOne(self, session, answer)


class FilingOfOne:
    """The instances of one upload, one after the other."""

    def __init__(self, shared: Filing, session: Session, answer: Answer) -> None:
        self._shared = shared
        self._wiring = shared.wiring
        self._session = session
        self._answer = answer
        self._stored_any = False
        self._given_up = False
        # What the archive has said during this upload, and this upload's own instances have kept true since.
        self._ours: set[tuple[StudyUid, SeriesUid]] = set()
        self._patients: dict[StudyUid, Subject] = {}

    async def file(self, part: UploadedPart) -> Result:
        """What becomes of a part that has ended.

        Raises JournalUnavailableError, ProblemError ``chain-unavailable``, and, as long as nothing of this upload has
        been stored, what the archive's trouble is. After that the rest of the upload is refused, and the answer says
        what was stored.
        """
        name, identity = part.name, part.identity
        if part.flaw is not None or name is None or identity is None:
            return Refused(name, part.flaw or FailureReason.NOT_UNDERSTOOD)
        if self._given_up:
            return Refused(name, FailureReason.OUT_OF_RESOURCES)
        try:
            async with (
                self._shared.studies.of(name.study),
                self._shared.series.of(name.series),
                self._shared.instances.of(name.instance),
            ):
                return await self._file(name, identity.subject, part)
        except (OriginUnavailableError, OriginInvalidError) as error:
            if not self._stored_any:
                raise
            if isinstance(error, OriginInvalidError):
                self._wiring.alarm(Alarm.UPSTREAM_INVALID)
            self._given_up = True
            return Refused(name, FailureReason.PROCESSING)

    async def _file(self, name: InstanceName, subject: Subject, part: UploadedPart) -> Result:
        if self._shared.admission.patient(subject) is None:
            return Refused(name, FailureReason.NOT_AUTHORIZED)
        held = await self._held(name, subject)
        if held is None:
            return Refused(name, FailureReason.NOT_AUTHORIZED)
        # The last word before the record: the role may have been withdrawn while the instance came in.
        admitted = self._shared.admission.decide_storing(self._session, subject, name.study)
        if admitted is None:
            return Refused(name, FailureReason.NOT_AUTHORIZED)
        if held:
            return await self._already(name, part)
        entry = self._shared.recorder.stored(admitted, f"POST {path_of(instance_of(name))}")
        await self._wiring.journal.append([entry])
        record_id = entry.record.record_id
        self._answer.modified.append(record_id)
        outcome = Outcome(0, 0, complete=False)  # nobody knows, if this ends here
        try:
            result = await self._wiring.origin.store(name, part.spool)
            is_stored = isinstance(result, Stored)
            outcome = Outcome(200 if is_stored else 409, part.spool.length, is_stored)
        except OriginUnavailableError as error:
            outcome = Outcome(504 if isinstance(error, OriginTimeoutError) else 502, 0, complete=False)
            raise
        finally:
            self._wiring.journal.outcome(record_id, outcome)
            self._shared.resolution.forget(name.study)
        if is_stored:
            self._keep_in_mind(name, subject)
        return result

    def _keep_in_mind(self, name: InstanceName, subject: Subject) -> None:
        self._stored_any = True
        self._patients[name.study] = subject
        self._ours.add((name.study, name.series))

    async def _held(self, name: InstanceName, subject: Subject) -> bool | None:
        """Whether the archive holds the instance already; None where its UIDs are another patient's or study's."""
        origin = self._wiring.origin
        known = self._patients.get(name.study)
        if known != subject:
            accepted = None if known else (await origin.subjects_of(name.study)).accepted
            if known or (accepted and not self._shared.admission.may_join(name.study, accepted, subject)):
                return None
            if accepted:
                self._patients[name.study] = subject
        if (name.study, name.series) not in self._ours:
            of_series = (Matching((_SERIES_UID,), name.series),)
            for row in await origin.search(Search(Level.SERIES, matching=of_series)):
                if text_of(row, _SERIES_UID) == name.series and text_of(row, _STUDY_UID) != name.study:
                    return None
        held = False
        of_instance = (Matching((_INSTANCE_UID,), name.instance),)
        for row in await origin.search(Search(Level.INSTANCE, matching=of_instance)):
            if text_of(row, _INSTANCE_UID) == name.instance:
                if (text_of(row, _STUDY_UID), text_of(row, _SERIES_UID)) != (name.study, name.series):
                    return None
                held = True
        return held

    async def _already(self, name: InstanceName, part: UploadedPart) -> Result:
        """An instance that is there: the same again is as good as stored; another one does not take its place."""
        opened = await self._wiring.origin.retrieve(instance_of(name), _AS_STORED)
        boundary = boundary_of(opened.content_type.encode("latin-1", "replace"))
        body = PartsBody(opened.body, boundary or b"none", None, None)
        digest = hashlib.sha256()
        try:
            if opened.status == 200:
                await body.open()
                while data := await body.read():
                    digest.update(data)
        finally:
            await body.aclose()
        if digest.digest() != part.digest:
            return Refused(name, FailureReason.DUPLICATE)
        self._stored_any = True
        return Stored(name)
