"""Whether this caller may have this study: resolve the patient, then decide on the chain's standing.

INVARIANT: nothing is admitted but by a Permit on a subject that the archive itself named. What is remembered leads to a
permit or to nothing: every denial follows exactly one fresh question to the archive, whether the study exists or not.
"""

import math
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from app.core.consent.mirror import Standing
from app.core.consent.passing_by import plain_verdicts
from app.core.consent.policy import AccessRequest, Permit, date_matters, decide_standing, decide_storing, holds_role
from app.core.consent.terms import Action, Purpose, Role
from app.core.dicom.dicomweb import Retrieve, Search
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import (
    BasisId,
    BlockRef,
    ConsentId,
    PatientKey,
    StudyDate,
    StudyKey,
    StudyUid,
    Subject,
    UnixTime,
)
from app.gateway.ports import Wiring
from app.gateway.remembering import Remembered
from app.gateway.resolution import Resolution
from app.store.patients import EnrolledPatient
from app.store.sessions import Session

RevokedHere = AbstractSet[tuple[PatientKey, ConsentId]]


@dataclass(frozen=True, slots=True)
class Admitted:
    """A permit with what it was decided on. ``at_s``: Unix seconds of the decision, with microseconds."""

    session: Session
    patient: EnrolledPatient
    study: StudyUid
    request: AccessRequest
    basis: BasisId
    standing: Standing
    revoked_here: RevokedHere
    at_s: float

    @property
    def block(self) -> BlockRef:
        return self.standing.block

    @property
    def study_key(self) -> StudyKey:
        return self.request.study

    @property
    def study_date(self) -> StudyDate | None:
        return self.request.study_date

    @property
    def purpose(self) -> Purpose:
        return self.request.purpose


@dataclass(frozen=True, slots=True)
class AdmittedStoring:
    """A permit to store one instance in a study of this patient. ``at_s``: as in Admitted."""

    session: Session
    patient: EnrolledPatient
    study: StudyUid
    study_key: StudyKey
    basis: BasisId
    block: BlockRef
    at_s: float

    @property
    def study_date(self) -> StudyDate | None:
        return None  # the role and the patient decide

    @property
    def purpose(self) -> Purpose:
        return self.session.purpose


@dataclass(frozen=True, slots=True)
class Moment:
    """One standing and one time for all decisions of a request."""

    standing: Standing
    at_s: float


@dataclass(slots=True)
class Seen:
    """What the last permit of a running answer was decided on, by identity."""

    standing: Standing
    revoked_here: RevokedHere
    now: UnixTime

    @classmethod
    def of(cls, admitted: Admitted) -> "Seen":
        """As it was when the answer was admitted."""
        return cls(admitted.standing, admitted.revoked_here, UnixTime(int(admitted.at_s)))


class Admission:
    """Admits, and looks again while an answer runs."""

    def __init__(self, wiring: Wiring, resolution: Resolution) -> None:
        self._wiring = wiring
        self._resolution = resolution
        # A study's key never changes, so it is never too old.
        self._study_keys: Remembered[tuple[bytes, StudyUid], StudyKey] = Remembered(
            wiring.limits.remembered_study_keys, math.inf
        )

    def moment(self) -> Moment:
        """Raises 503 ``chain-unavailable`` while the chain's state is not known. Never before the head's own time."""
        standing = self._wiring.standing()
        if standing is None:
            raise ProblemError(problem("chain-unavailable"))
        return Moment(standing, max(self._wiring.clock(), float(standing.timestamp)))

    def decide(
        self,
        session: Session,
        action: Action,
        subject: Subject,
        study: StudyUid,
        moment: Moment,
        study_date: StudyDate | None,
    ) -> Admitted | None:
        """The decision for one study of a patient that the archive named. None: denied, whatever the reason."""
        patient = self._wiring.patients.by_subject(subject)
        if patient is None:
            return None
        key = self._study_key(patient, study)
        request = AccessRequest(session.actor, patient.key, key, action, session.purpose, study_date)
        revoked_here = self._wiring.revoked_here()
        verdict = decide_standing(moment.standing, request, UnixTime(int(moment.at_s)), revoked_here)
        if not isinstance(verdict, Permit):
            return None
        return Admitted(session, patient, study, request, verdict.basis, moment.standing, revoked_here, moment.at_s)

    def plain_searches(self, session: Session, moment: Moment) -> Callable[[Subject], bool | None]:
        """Whether ``decide`` would let a search find this patient's studies, all of them alike: quick, for
        rows that are only counted. None: ask ``decide``.
        """
        by_subject = self._wiring.patients.by_subject
        now = UnixTime(int(moment.at_s))
        verdict = plain_verdicts(moment.standing, session.actor, session.purpose, now, self._wiring.revoked_here())

        def may_find(subject: Subject) -> bool | None:
            patient = by_subject(subject)
            return False if patient is None else verdict(patient.key)

        return may_find

    def date_matters(self, session: Session, subject: Subject, moment: Moment) -> bool:
        """Whether a decision for a study of this patient may depend on its date, as far as the caller is concerned."""
        patient = self._wiring.patients.by_subject(subject)
        if patient is None or not date_matters(moment.standing, patient.key):
            return False
        return moment.standing.head.concerns(session.actor, patient.key)

    async def admit(self, session: Session, action: Action, target: Retrieve | Search) -> Admitted:
        """Admit to the study that the target's path names, and see that series and instance belong to it.

        Raises ProblemError: 404 ``not-found`` for whatever may not be seen or is not there, 503 ``chain-unavailable``.
        """
        study = target.study
        if study is None:
            raise ValueError("only a path with a study can be admitted")
        self.moment()
        admitted = None
        remembered = self._resolution.remembered_subject(study)
        if remembered is not None:
            date = self._resolution.remembered_date(study)
            admitted = self.decide(session, action, remembered, study, self.moment(), date)
        if admitted is None:
            subject = await self._resolution.subject_of(study)
            moment = self.moment()
            if subject is not None:
                date = self._resolution.remembered_date(study)
                admitted = self.decide(session, action, subject, study, moment, date)
        if admitted is None or not await self._belongs(study, target):
            raise ProblemError(problem("not-found"))
        return admitted

    def may_store(self, session: Session) -> bool:
        """Whether the caller may store at all, now. Raises 503 ``chain-unavailable``."""
        moment = self.moment()
        return holds_role(moment.standing, Role.UPLOADER, session.actor, UnixTime(int(moment.at_s)))

    def decide_storing(self, session: Session, subject: Subject, study: StudyUid) -> AdmittedStoring | None:
        """The decision for one instance of a study of this patient. None: refused, whatever the reason.

        Raises 503 ``chain-unavailable``.
        """
        moment = self.moment()
        patient = self._wiring.patients.by_subject(subject)
        now = UnixTime(int(moment.at_s))
        if patient is None or now >= session.expires_at:
            return None
        verdict = decide_storing(moment.standing, session.actor, patient.key, now)
        if not isinstance(verdict, Permit):
            return None
        study_key = self._study_key(patient, study)
        return AdmittedStoring(session, patient, study, study_key, verdict.basis, moment.standing.block, moment.at_s)

    def still(self, admitted: Admitted, seen: Seen) -> bool:
        """Whether it would be admitted now, on any basis, at this standing and time, the session included.

        ``seen`` holds what the last decision for this answer was made on; while all of it is the same, so is this one.
        """
        wiring = self._wiring
        standing = wiring.standing()
        if standing is None:
            return False
        if wiring.patients.by_key(admitted.patient.key) is None:
            return False  # erased, or about to be: not one chunk more
        now = UnixTime(int(max(wiring.clock(), standing.timestamp)))
        revoked_here = wiring.revoked_here()
        if seen.standing is standing and seen.revoked_here is revoked_here and seen.now == now:
            return True
        if now >= admitted.session.expires_at:
            return False
        verdict = decide_standing(standing, admitted.request, now, revoked_here)
        if not isinstance(verdict, Permit):
            return False
        seen.standing, seen.revoked_here, seen.now = standing, revoked_here, now
        return True

    async def _belongs(self, study: StudyUid, target: Retrieve | Search) -> bool:
        series = target.series
        if series is None:
            return True
        instance = target.instance if isinstance(target, Retrieve) else None
        return self._resolution.is_remembered_member(study, series, instance) or await self._resolution.is_member(
            study, series, instance
        )

    def _study_key(self, patient: EnrolledPatient, study: StudyUid) -> StudyKey:
        key = (patient.salt, study)
        known = self._study_keys.get(key, 0.0)
        if known is None:
            known = self._wiring.study_key_of(patient.salt, study)
            self._study_keys.learn(key, known, 0.0)
        return known
