"""What is odd about the identities of a study: why the policy cannot tell whose it is, or tells it otherwise than was
meant.

A study of somebody who is not enrolled is not odd. One that nearly names somebody enrolled is.
"""

from collections.abc import Collection, Iterable
from enum import Enum

from app.core.dicom.identities import FoundIdentity
from app.core.identifiers import Subject


class Oddity(Enum):
    """The names are stored: append-only."""

    SEVERAL_PATIENTS = "several-patients"
    MULTI_VALUED = "multi-valued-id"
    BLANK = "blank-id"
    MISSING = "missing-id"
    DIFFERS_BY_ISSUER = "differs-by-issuer"
    DIFFERS_BY_SPELLING = "differs-by-case-or-space"


class Enrolled:
    """Who is enrolled, to be asked who looks alike."""

    def __init__(self, subjects: Iterable[Subject]) -> None:
        self._exact = frozenset(subjects)
        self._folded: dict[str, list[Subject]] = {}
        for subject in self._exact:
            self._folded.setdefault(_folded(subject.patient_id), []).append(subject)

    def like(self, found: FoundIdentity) -> list[Subject]:
        """Whom it may mean: the enrolled whose PatientID is the same but for case and spaces, in order. Nobody where
        it names an enrolled patient.
        """
        if found.subject in self._exact:
            return []
        alike = {one for value in found.patient_ids for one in self._folded.get(_folded(value), ())}
        return sorted(alike, key=lambda one: (one.patient_id, one.issuer))

    def oddity(self, identities: Collection[FoundIdentity]) -> Oddity | None:
        """What is odd about a study that holds just these; None for what the policy can tell."""
        if len(identities) != 1:
            return Oddity.SEVERAL_PATIENTS if identities else None
        (found,) = identities
        if len(found.patient_ids) > 1 or len(found.issuers) > 1:
            return Oddity.MULTI_VALUED
        if not found.patient_ids:
            return Oddity.BLANK if found.blank else Oddity.MISSING
        alike = self.like(found)
        if not alike:
            return None
        is_spelling = all(
            one.patient_id != found.subject.patient_id or _folded(one.issuer) == _folded(found.subject.issuer)
            for one in alike
        )
        return Oddity.DIFFERS_BY_SPELLING if is_spelling else Oddity.DIFFERS_BY_ISSUER


def _folded(text: str) -> str:
    return "".join(text.split()).casefold()
