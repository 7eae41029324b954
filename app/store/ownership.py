"""Whose a study is, as far as the archive's word and what people said of odd identities tell."""

from collections.abc import Callable, Collection
from typing import Protocol

from app.core.dicom.identities import Accepted, FoundIdentity
from app.core.identifiers import PatientKey, StudyUid, Subject
from app.core.rulings import Rulings
from app.store.patients import EnrolledPatient


class _Patients(Protocol):
    def by_subject(self, subject: Subject) -> EnrolledPatient | None: ...
    def by_key(self, key: PatientKey) -> EnrolledPatient | None: ...


class Ownership:
    """Answers from memory. ``rulings``: what is in force now.

    INVARIANT: the first that holds counts, and nothing that names nobody is anybody's but by the second:

    1. all of the study names one enrolled patient;
    2. somebody said whose the study is, of just the identities that it holds now, and that patient is enrolled;
    3. every identity in it is one enrolled patient's own, or said to be.
    """

    def __init__(self, patients: _Patients, rulings: Callable[[], Rulings]) -> None:
        self._patients = patients
        self._rulings = rulings

    def of_subject(self, subject: Subject) -> EnrolledPatient | None:
        """Whose this identity is: by enrolment, else by an alias."""
        if not subject.patient_id:
            return None
        found = self._patients.by_subject(subject)
        if found is not None:
            return found
        key = self._rulings().aliases.get(subject)
        return None if key is None else self._patients.by_key(key)

    def of_study(self, study: StudyUid, accepted: Accepted) -> EnrolledPatient | None:
        """Whose the study is, of which the archive said this."""
        sole = accepted.subject
        own = None if sole is None else self._patients.by_subject(sole)
        if own is not None:
            return own
        ruling = self._rulings().studies.get(study)
        if ruling is not None and ruling.fingerprint == accepted.fingerprint:
            return self._patients.by_key(ruling.patient)
        if sole is not None:
            return self.of_subject(sole)
        return self._one_of(accepted.identities)

    def is_settled(self, study: StudyUid, fingerprint: bytes | None, identities: Collection[FoundIdentity]) -> bool:
        """Whether a study that holds these, and has this fingerprint, is somebody's."""
        return self.is_ruled(study, fingerprint) or self._one_of(identities) is not None

    def is_ruled(self, study: StudyUid, fingerprint: bytes | None) -> bool:
        """Whether somebody said whose it is, of just this fingerprint."""
        ruling = self._rulings().studies.get(study)
        is_meant = ruling is not None and fingerprint is not None and ruling.fingerprint == fingerprint
        return is_meant and ruling is not None and self._patients.by_key(ruling.patient) is not None

    def _one_of(self, identities: Collection[FoundIdentity]) -> EnrolledPatient | None:
        """The one patient whose all of these are."""
        owners = [self.of_subject(found.subject) for found in identities]
        keys = {None if owner is None else owner.key for owner in owners}
        return owners[0] if len(keys) == 1 else None

    def candidates(self, study: StudyUid, subject: Subject, *, sole: bool) -> tuple[list[EnrolledPatient], bool]:
        """Whose a study may be by one row of it, and whether that is certain. ``sole``: see Listed."""
        by_subject = self.of_subject(subject)
        rulings = self._rulings()
        ruling = rulings.studies.get(study)
        if ruling is None or (sole and by_subject is not None and by_subject.subject == subject):
            return ([] if by_subject is None else [by_subject]), sole
        ruled = self._patients.by_key(ruling.patient)
        return [one for one in (by_subject, ruled) if one is not None], False
