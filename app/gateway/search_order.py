"""The one order of search results, so that pages fit together and nothing that is hidden shows by its place.

Studies: newest StudyDate first, then newest StudyTime, then StudyInstanceUID; studies without a date come last. Series:
StudyInstanceUID, SeriesNumber, SeriesInstanceUID. Instances: StudyInstanceUID, SeriesInstanceUID, InstanceNumber,
SOPInstanceUID. Missing numbers come last. Every key is the row's own, and the UIDs make the order total.
"""

from collections.abc import Callable
from typing import Any

from app.core.dicomweb import Level

DicomJson = dict[str, Any]
_LAST = 2**63


def order_of(level: Level) -> Callable[[DicomJson], tuple[Any, ...]]:
    """The sort key of rows at a level."""
    return {Level.STUDY: _study, Level.SERIES: _series, Level.INSTANCE: _instance}[level]


def _study(row: DicomJson) -> tuple[Any, ...]:
    return (_falling(_text(row, "00080020")), _falling(_text(row, "00080030")), _text(row, "0020000D"))


def _series(row: DicomJson) -> tuple[Any, ...]:
    return (_text(row, "0020000D"), _number(row, "00200011"), _text(row, "0020000E"))


def _instance(row: DicomJson) -> tuple[Any, ...]:
    return (_text(row, "0020000D"), _text(row, "0020000E"), _number(row, "00200013"), _text(row, "00080018"))


def _falling(text: str) -> tuple[int, ...]:
    """Sorts the later text first and the empty one last."""
    return (*(-ord(character) for character in text), 0 if text else 1) if text else (1,)


def _first(row: DicomJson, tag: str) -> object:
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None


def _text(row: DicomJson, tag: str) -> str:
    value = _first(row, tag)
    return value if isinstance(value, str) else ""


def _number(row: DicomJson, tag: str) -> int:
    value = _first(row, tag)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return _LAST
    try:
        return int(value)
    except ValueError:
        return _LAST
