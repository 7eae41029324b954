"""Whether this caller may have this study: resolve the patient, then decide on the chain's standing.

INVARIANT: nothing is admitted but by a Permit on a subject that the archive itself named. What is remembered leads to a
permit or to nothing: every denial follows exactly one fresh question to the archive, whether the study exists or not.
"""

import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import MappingProxyType

from app.core.consent import emergencies
from app.core.consent.emergencies import OpenedHere
from app.core.consent.mirror import Standing
from app.core.consent.passing_by import plain_verdicts
from app.core.consent.policy import (
    AccessRequest,
    Deny,
    DenyReason,
    Permit,
    Verdict,
    date_matters,
    decide_emergency,
    decide_standing,
    decide_storing,
    holds_role,
)
from app.core.consent.terms import Action, Purpose, Role
from app.core.dicom.dicomweb import Retrieve, Search
from app.core.dicom.identities import Accepted
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
from app.core.rulings import Rulings
from app.gateway.ports import Wiring
from app.gateway.remembering import Remembered
from app.gateway.resolution import Resolution
from app.store.ownership import Ownership
from app.store.patients import EnrolledPatient
from app.store.sessions import Session

RevokedHere = AbstractSet[tuple[PatientKey, ConsentId]]
# An actor's emergencies, by patient.
Opened = Mapping[PatientKey, OpenedHere]
_NOTHING_OPENED: Opened = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Admitted:
    """A permit with what it was decided on. ``at_s``: Unix seconds of the decision, with microseconds.
    ``snapshot_age_s``: as in Moment. ``accepted``: what the archive said of the study's patient, and so what its files
    may say; a permit for a row of a search has the row's word for it.
    """

    session: Session
    patient: EnrolledPatient
    study: StudyUid
    accepted: Accepted
    request: AccessRequest
    basis: BasisId
    standing: Standing
    revoked_here: RevokedHere
    rulings: Rulings
    at_s: float
    opened: Opened
    snapshot_age_s: int | None = None

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
    def snapshot_age_s(self) -> int | None:
        return None  # nothing is stored while the chain's state is not known

    @property
    def purpose(self) -> Purpose:
        return self.session.purpose


@dataclass(frozen=True, slots=True)
class Moment:
    """One standing and one time for all decisions of a request, with the caller's own emergencies.

    ``snapshot_age_s``: None, or for how many seconds nobody has confirmed the standing: then only an emergency lets in.
    """

    standing: Standing
    at_s: float
    opened: Opened
    snapshot_age_s: int | None = None


@dataclass(slots=True)
class Seen:
    """What the last permit of a running answer was decided on, by identity."""

    standing: Standing
    revoked_here: RevokedHere
    opened: Opened
    is_fresh: bool
    rulings: Rulings
    now: UnixTime

    @classmethod
    def of(cls, admitted: Admitted) -> "Seen":
        """As it was when the answer was admitted."""
        is_fresh = admitted.snapshot_age_s is None
        now = UnixTime(int(admitted.at_s))
        return cls(admitted.standing, admitted.revoked_here, admitted.opened, is_fresh, admitted.rulings, now)


class Admission:
    """Admits, and looks again while an answer runs."""

    def __init__(self, wiring: Wiring, resolution: Resolution, ownership: Ownership) -> None:
        self._wiring = wiring
        self._resolution = resolution
        self._ownership = ownership
        # A study's key never changes, so it is never too old.
        self._study_keys: Remembered[tuple[bytes, StudyUid], StudyKey] = Remembered(
            wiring.limits.remembered_study_keys, math.inf
        )

    def moment(self, session: Session) -> Moment:
        """Raises 503 ``chain-unavailable`` while the chain's state is not known. Never before the head's own time.

        Who has broken the glass goes on for a while on what was known last.
        """
        moment = self._moment(session)
        if moment is None:
            raise ProblemError(problem("chain-unavailable"))
        return moment

    def _moment(self, session: Session) -> Moment | None:
        wiring = self._wiring
        standing = wiring.standing()
        opened = _NOTHING_OPENED
        if session.purpose is emergencies.PURPOSE:
            opened = wiring.opened_here().get(session.actor, _NOTHING_OPENED)
        if standing is not None:
            return Moment(standing, max(wiring.clock(), float(standing.timestamp)), opened)
        snapshot = wiring.snapshot() if opened else None
        if snapshot is None:
            return None
        standing, age_s = snapshot
        return Moment(standing, max(wiring.clock(), float(standing.timestamp)), opened, math.ceil(age_s))

    def _fresh_moment(self) -> Moment:
        """For what no emergency opens. Raises 503 ``chain-unavailable``."""
        standing = self._wiring.standing()
        if standing is None:
            raise ProblemError(problem("chain-unavailable"))
        return Moment(standing, max(self._wiring.clock(), float(standing.timestamp)), _NOTHING_OPENED)

    def decide(
        self,
        session: Session,
        action: Action,
        patient: EnrolledPatient,
        accepted: Accepted,
        study: StudyUid,
        moment: Moment,
        study_date: StudyDate | None,
    ) -> Admitted | None:
        """The decision for one study of this patient. None: denied, whatever the reason."""
        key = self._study_key(patient, study)
        request = AccessRequest(session.actor, patient.key, key, action, session.purpose, study_date)
        revoked_here = self._wiring.revoked_here()
        verdict = _verdict(request, moment, revoked_here)
        if not isinstance(verdict, Permit):
            return None
        return Admitted(
            session,
            patient,
            study,
            accepted,
            request,
            verdict.basis,
            moment.standing,
            revoked_here,
            self._wiring.rulings(),
            moment.at_s,
            moment.opened,
            moment.snapshot_age_s,
        )

    def plain_searches(self, session: Session, moment: Moment) -> Callable[[PatientKey], bool | None]:
        """Whether ``decide`` would let a search find this patient's studies, all of them alike: quick, for
        rows that are only counted. None: ask ``decide``.
        """
        now = UnixTime(int(moment.at_s))
        verdict = plain_verdicts(moment.standing, session.actor, session.purpose, now, self._wiring.revoked_here())
        if not moment.opened and moment.snapshot_age_s is None:
            return verdict

        def may_find(patient: PatientKey) -> bool | None:
            if patient in moment.opened:
                return None
            return verdict(patient) if moment.snapshot_age_s is None else False

        return may_find

    def date_matters(self, session: Session, patient: PatientKey, moment: Moment) -> bool:
        """Whether a decision for a study of this patient may depend on its date, as far as the caller is concerned."""
        return date_matters(moment.standing, patient) and moment.standing.head.concerns(session.actor, patient)

    async def admit(self, session: Session, action: Action, target: Retrieve | Search) -> Admitted:
        """Admit to the study that the target's path names, and see that series and instance belong to it.

        Raises ProblemError: 404 ``not-found`` for whatever may not be seen or is not there, 503 ``chain-unavailable``.
        """
        study = target.study
        if study is None:
            raise ValueError("only a path with a study can be admitted")
        self.moment(session)
        admitted = None
        remembered = self._resolution.remembered(study)
        if remembered is None and isinstance(target, Retrieve):
            remembered = self._resolution.remembered_odd(study, target.instance)
        if remembered is not None:
            admitted = self._owned(session, action, study, remembered)
        if admitted is None:
            accepted = await self._resolution.accepted_of(study)
            self.moment(session)
            if accepted is not None:
                admitted = self._owned(session, action, study, accepted)
        if admitted is None or not await self._belongs(study, target):
            raise ProblemError(problem("not-found"))
        return admitted

    def _owned(self, session: Session, action: Action, study: StudyUid, accepted: Accepted) -> Admitted | None:
        """The decision on a study of which the archive said this."""
        patient = self._ownership.of_study(study, accepted)
        if patient is None:
            return None
        date = self._resolution.remembered_date(study)
        return self.decide(session, action, patient, accepted, study, self.moment(session), date)

    def patient(self, subject: Subject) -> EnrolledPatient | None:
        """Who this identity is, by enrolment or an alias."""
        return self._ownership.of_subject(subject)

    def may_join(self, study: StudyUid, accepted: Accepted, subject: Subject) -> bool:
        """Whether an instance of this identity may be stored in a study of which the archive said this: no upload makes
        a study odd, and none comes into another patient's.
        """
        patient, owner = self.patient(subject), self._ownership.of_study(study, accepted)
        return accepted.subject == subject and patient is not None and owner is not None and owner.key == patient.key

    def may_store(self, session: Session) -> bool:
        """Whether the caller may store at all, now. Raises 503 ``chain-unavailable``."""
        moment = self._fresh_moment()
        return holds_role(moment.standing, Role.UPLOADER, session.actor, UnixTime(int(moment.at_s)))

    def decide_storing(self, session: Session, subject: Subject, study: StudyUid) -> AdmittedStoring | None:
        """The decision for one instance of a study of this patient. None: refused, whatever the reason.

        Raises 503 ``chain-unavailable``.
        """
        moment = self._fresh_moment()
        patient = self._ownership.of_subject(subject)
        now = UnixTime(int(moment.at_s))
        if patient is None or now >= session.expires_at or session.life.over:
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
        moment = self._moment(admitted.session)
        if moment is None or admitted.session.life.over:
            return False
        if wiring.patients.by_key(admitted.patient.key) is None:
            return False  # erased, or about to be: not one chunk more
        now = UnixTime(int(moment.at_s))
        revoked_here, rulings = wiring.revoked_here(), wiring.rulings()
        is_fresh = moment.snapshot_age_s is None
        if (
            seen.standing is moment.standing
            and seen.revoked_here is revoked_here
            and seen.opened is moment.opened
            and seen.rulings is rulings
            and seen.is_fresh is is_fresh
            and seen.now == now
        ):
            return True
        owner = self._ownership.of_study(admitted.study, admitted.accepted)
        if now >= admitted.session.expires_at or owner is None or owner.key != admitted.patient.key:
            return False
        if not isinstance(_verdict(admitted.request, moment, revoked_here), Permit):
            return False
        seen.standing, seen.revoked_here, seen.opened = moment.standing, revoked_here, moment.opened
        seen.rulings, seen.is_fresh, seen.now = rulings, is_fresh, now
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


def _verdict(request: AccessRequest, moment: Moment, revoked_here: RevokedHere) -> Verdict:
    """On what the chain says where that is known; then on the emergency that the caller opened here, if any."""
    now = UnixTime(int(moment.at_s))
    opened = moment.opened.get(request.patient) if moment.opened else None
    if moment.snapshot_age_s is None:
        verdict = decide_standing(moment.standing, request, now, revoked_here)
        if opened is None or isinstance(verdict, Permit):
            return verdict
    elif opened is None:
        return Deny(DenyReason.NO_EMERGENCY)
    # Whoever is enrolled here only for the emergency may not be on the chain yet
    return decide_emergency(moment.standing, opened, request, now, enrolling_here=True)
