"""NumberOfPatientRelatedStudies, -Series and -Instances: over what the caller may see, whatever the search filters.

The archive's own numbers would tell of hidden studies. They are counted only where an includefield asks for them.
"""

from collections.abc import Iterable

from app.core.dicom.attributes import PATIENT_COUNTS
from app.core.dicom.dicomjson import DicomJson
from app.core.dicom.dicomweb import Search
from app.gateway.resolution import text_of

_STUDY_UID = "0020000D"
_SERIES_IN_STUDY = "00201206"
_INSTANCES_IN_STUDY = "00201208"


def asks_for_counts(search: Search) -> bool:
    """Whether an includefield names one of them."""
    return any(path[0] in PATIENT_COUNTS for path in search.include)


def counted(rows: Iterable[DicomJson]) -> tuple[int, int, int]:
    """Studies, series and instances of these study rows. A study whose own counts are missing adds none of them."""
    listed = list(rows)
    studies = {text_of(row, _STUDY_UID) for row in listed}  # one may have a row for each identity in it
    series = sum(_number(row, _SERIES_IN_STUDY) for row in listed)
    return len(studies), series, sum(_number(row, _INSTANCES_IN_STUDY) for row in listed)


def instances_of(row: DicomJson) -> int | None:
    """NumberOfStudyRelatedInstances; None where the row does not say."""
    return _number(row, _INSTANCES_IN_STUDY) or None


def _number(row: DicomJson, tag: str) -> int:
    values = row.get(tag, {}).get("Value") or [0]
    return int(values[0]) if isinstance(values[0], int | str) else 0
