"""How a search is put to the archive: what to ask for so that the answers hold every permitted row, and little else.

Pure. What is asked depends on the caller's own consents and the search alone, never on what else the archive holds.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from app.core.dicomweb import Matching, Search
from app.core.identifiers import Subject
from app.core.matching import matches

_PATIENT_ID = "00100020"
_ISSUER = "00100021"
_STUDY_UID = "0020000D"


def plan(search: Search, subjects: Callable[[], Iterable[Subject]]) -> list[Search]:
    """The questions for a search whose path names no study. ``subjects`` gives the patients whose consents name the
    caller, where they are needed.

    One question where the search names its studies itself, else one for each PatientID. The archive's paging is not
    used: what the caller may not see has to be taken out first.
    """
    whole = replace(search, limit=None, offset=0, limit_capped=False)
    if any(key.path == (_STUDY_UID,) and key.value for key in search.matching):
        return [whole]
    others = tuple(key for key in search.matching if key.path != (_PATIENT_ID,))
    of_patient = [key for key in search.matching if key.path in {(_PATIENT_ID,), (_ISSUER,)}]
    wanted = sorted({subject.patient_id for subject in subjects() if matches(of_patient, _as_dataset(subject))})
    return [replace(whole, matching=(*others, Matching((_PATIENT_ID,), patient_id))) for patient_id in wanted]


def _as_dataset(subject: Subject) -> dict[str, object]:
    issuer = {"vr": "LO", "Value": [subject.issuer]} if subject.issuer else {"vr": "LO"}
    return {_PATIENT_ID: {"vr": "LO", "Value": [subject.patient_id]}, _ISSUER: issuer}
