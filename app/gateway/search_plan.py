"""How a search is put to the archive: patient by patient, or through the whole archive in its order with an early stop.

Pure. An answer's bytes are the same either way, so that the choice may look at what either would cost. Whether the
number of further results is told depends on the caller's own consents and the search alone: counting takes going
through all that the caller may see.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from app.core.dicom.dicomweb import Matching, Search
from app.core.dicom.matching import matches
from app.core.identifiers import Subject
from app.pacs.origin import ListingTraits

_PATIENT_ID = "00100020"
_ISSUER = "00100021"
_STUDY_UID = "0020000D"
_WILDCARDS = frozenset("*?")


class Way(Enum):
    """Where the rows come from."""

    NAMED = auto()  # the search names its studies, or its patient where the caller's consents are many
    BY_PATIENT = auto()  # of each patient whose consents name the caller
    WHOLE = auto()  # through the archive in order, until the page is full
    TOO_BROAD = auto()


@dataclass(frozen=True, slots=True)
class Plan:
    """``counted``: go on to the end and tell how many more there are. ``otherwise``: once ``most_rows`` of the archive
    have been gone through.
    """

    way: Way
    counted: bool
    most_rows: int
    otherwise: Way = Way.TOO_BROAD


def plan(search: Search, named: int, need: int, share: float, traits: ListingTraits, counted_patients: int) -> Plan:
    """The cheaper way. ``named``: patients whose consents name the caller, at the most. ``need``: rows to find before
    the page is full. ``share``: how many of the archive's rows the caller could see so far, above 0 and up to 1.
    """
    few = named <= counted_patients
    if names_studies(search) or (not few and patient_of(search) is not None):
        return Plan(Way.NAMED, counted=True, most_rows=traits.rows)
    if few:
        return Plan(Way.BY_PATIENT, counted=True, most_rows=traits.rows)
    by_patient = -(-named // traits.patients_at_once)
    otherwise = Way.BY_PATIENT if by_patient <= traits.questions else Way.TOO_BROAD
    whole = need / share / traits.rows_at_once
    if search.level not in traits.whole or (otherwise is Way.BY_PATIENT and by_patient <= whole):
        return Plan(otherwise, counted=False, most_rows=traits.rows)
    # Giving up after as much as the other way costs at the most doubles the cheaper one's cost, whatever is hidden.
    most_rows = traits.rows if otherwise is Way.TOO_BROAD else min(traits.rows, by_patient * traits.rows_at_once)
    return Plan(Way.WHOLE, counted=False, most_rows=most_rows, otherwise=otherwise)


def names_studies(search: Search) -> bool:
    """Whether the search lists the studies that it may find."""
    return any(key.path == (_STUDY_UID,) and key.value and not key.empty for key in search.matching)


def patient_of(search: Search) -> str | None:
    """The one PatientID that the search may find; None where it names none, or a pattern."""
    for key in search.matching:
        if key.path == (_PATIENT_ID,) and not key.empty and key.value.strip(" ") and _WILDCARDS.isdisjoint(key.value):
            return key.value.strip(" ")
    return None


def wanted(search: Search, subjects: Iterable[Subject]) -> list[str]:
    """The PatientIDs of the subjects that the search may find, each once."""
    keys: list[Matching] = [key for key in search.matching if key.path in {(_PATIENT_ID,), (_ISSUER,)}]
    return sorted({subject.patient_id for subject in subjects if not keys or matches(keys, _as_dataset(subject))})


def _as_dataset(subject: Subject) -> dict[str, object]:
    issuer = {"vr": "LO", "Value": [subject.issuer]} if subject.issuer else {"vr": "LO"}
    return {_PATIENT_ID: {"vr": "LO", "Value": [subject.patient_id]}, _ISSUER: issuer}
