"""The one order of search results, so that pages fit together and nothing that is hidden shows by its place.

Studies: newest StudyDate first, then newest StudyTime, then StudyInstanceUID; studies without a valid date come last.
Series: StudyInstanceUID, SeriesNumber, SeriesInstanceUID. Instances: StudyInstanceUID, SeriesInstanceUID,
InstanceNumber, SOPInstanceUID. Missing numbers come last. Every key is the row's own, and the UIDs make the order
total.

A row's place is written as bytes that compare as the order does, so that an index can keep rows in it and a scan can go
on after any of them.
"""

from collections.abc import Mapping
from typing import Any

from app.core.dicom.dicomweb import Level
from app.core.dicom.temporal import is_plain_date

_STUDY_DATE = "00080020"
_STUDY_TIME = "00080030"
_STUDY_UID = "0020000D"
_SERIES_UID = "0020000E"
_SERIES_NUMBER = "00200011"
_INSTANCE_UID = "00080018"
_INSTANCE_NUMBER = "00200013"
_NUMBER_BYTES = 9
_MIDDLE = 2**63
_LAST = b"\xff" * _NUMBER_BYTES
_FALLING = bytes(255 - byte for byte in range(256))


def rank(level: Level, row: Mapping[str, Any]) -> bytes:
    """Where the row stands among those of its level: the lower bytes come first."""
    if level is Level.STUDY:
        return study_rank(plain_date(row), text(row, _STUDY_TIME), text(row, _STUDY_UID))
    study, series = _rising(text(row, _STUDY_UID)), _rising(text(row, _SERIES_UID))
    if level is Level.SERIES:
        return study + _number(row, _SERIES_NUMBER) + series
    return study + series + _number(row, _INSTANCE_NUMBER) + _rising(text(row, _INSTANCE_UID))


def study_rank(date: str, time: str, uid: str) -> bytes:
    """The rank of a study. ``date``: eight digits, or "" where there is no valid one."""
    return _falling(date) + _falling(time) + uid.encode("utf-8", "surrogatepass")


def plain_date(row: Mapping[str, Any]) -> str:
    """StudyDate where it is one valid date as the standard writes it, else ""."""
    found = text(row, _STUDY_DATE)
    return found if is_plain_date(found) else ""


def text(row: Mapping[str, Any], tag: str) -> str:
    """The first value of an element, if it is a string; else ""."""
    value = _first(row, tag)
    return value if isinstance(value, str) else ""


def _rising(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass") + b"\0"


def _falling(value: str) -> bytes:
    """The later text first and none last."""
    return value.encode("utf-8", "surrogatepass").replace(b"\0", b"\1").translate(_FALLING) + b"\xff"


def _first(row: Mapping[str, Any], tag: str) -> object:
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _number(row: Mapping[str, Any], tag: str) -> bytes:
    value = _first(row, tag)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return _LAST
    try:
        number = int(value)
    except ValueError:
        return _LAST
    return (min(max(number, -_MIDDLE), _MIDDLE) + _MIDDLE).to_bytes(_NUMBER_BYTES, "big")
