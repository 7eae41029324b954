"""Which study, series and instance a data set names."""

from app.core.dicom.dicomweb import Level
from app.core.identifiers import StudyUid
from app.pacs.origin import DicomJson, OriginInvalidError

UID_TAGS = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.INSTANCE: "00080018"}
# Characters that PS3.5 §6.2 calls padding.
_PADDING = " \x00"


def _single(dataset: DicomJson, tag: str) -> str:
    element = dataset.get(tag)
    if not isinstance(element, dict):
        return ""
    values = element.get("Value")
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], str):
        return ""
    value = values[0].strip(_PADDING)
    return "" if "\\" in value else value


def uid_of(dataset: DicomJson, level: Level) -> str:
    """The UID that names the data set at a level. Raises OriginInvalidError unless there is exactly one."""
    uid = _single(dataset, UID_TAGS[level])
    if not uid:
        raise OriginInvalidError("a data set without its UID")
    return uid


def study_of(dataset: DicomJson) -> StudyUid:
    """The study that the data set belongs to. Raises OriginInvalidError unless there is exactly one."""
    return StudyUid(uid_of(dataset, Level.STUDY))
