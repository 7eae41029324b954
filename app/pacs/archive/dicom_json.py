"""A pydicom data set as DICOM JSON (PS3.18 §F), in the shape that Orthanc gives: every binary value by BulkDataURI.

pydicom's own conversion stops at the first value that breaks its VR; here such an element is left out and the rest
stays.
"""

import math
from contextlib import suppress
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from app.pacs.origin import DicomJson

# PROMISES: DICOM nested deeper than this is not valid here.
NESTING_LIMIT = 64
# Texts longer than this go by BulkDataURI too.
INLINE_TEXT_CHARACTERS = 64 * 1024

_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW", "US or OW"})
_INTEGER = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV", "US or SS", "US or SS or OW"})
_REAL = frozenset({"DS", "FD", "FL"})
_LONG_TEXT = frozenset({"LT", "ST", "UC", "UR", "UT"})
_AMBIGUOUS = {"OB or OW": "OW", "US or OW": "OW", "US or SS": "US", "US or SS or OW": "OW"}
_CHARACTER_SET = 0x00080005
_PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


class NestingError(ValueError):
    """Sequences nested deeper than NESTING_LIMIT."""


def to_json(dataset: Dataset, bulk_base: str) -> DicomJson:
    """The data set without file meta and group lengths. ``bulk_base`` is the URI before ``/<tag>`` of its bulk data.

    Raises NestingError.
    """
    return _dataset(dataset, bulk_base, 0)


def _dataset(dataset: Dataset, bulk_base: str, depth: int) -> DicomJson:
    if depth > NESTING_LIMIT:
        raise NestingError
    with suppress(AttributeError, KeyError, TypeError, ValueError, NotImplementedError):
        correct_ambiguous_vr(dataset, True)  # where it cannot, both names stay and _AMBIGUOUS chooses
    result: DicomJson = {}
    for tag in sorted(dataset.keys()):
        if tag.element == 0 or tag.group == 2:
            continue
        name = f"{tag:08X}"
        element = _element(dataset, tag, f"{bulk_base}/{name.lower()}", depth)
        if element is not None:
            result[name] = element
    return result


def _element(dataset: Dataset, tag: int, bulk_uri: str, depth: int) -> DicomJson | None:
    try:
        element = dataset[tag]
        return _converted(element, bulk_uri, depth)
    except (NestingError, RecursionError):
        raise
    except Exception:  # noqa: BLE001  pydicom raises nearly anything for a value that breaks its VR
        return None


def _converted(element: DataElement, bulk_uri: str, depth: int) -> DicomJson:
    vr = _AMBIGUOUS.get(element.VR, element.VR)
    if element.tag == _CHARACTER_SET:
        return {"vr": "CS", "Value": ["ISO_IR 192"]}  # JSON is UTF-8, whatever the file was in (PS3.18 §F.2)
    if element.VR == "SQ":
        items = [_dataset(item, f"{bulk_uri}/{number}", depth + 1) for number, item in enumerate(element.value, 1)]
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    if is_bulk(element):
        return {"vr": vr, "BulkDataURI": bulk_uri}
    if element.VR in _BINARY:
        return {"vr": vr}
    values = [_value(vr, value) for value in _values(element)]
    if not any(value is not None for value in values):
        return {"vr": vr}
    return {"vr": vr, "Value": values}


def is_bulk(element: DataElement) -> bool:
    """Whether the value is left out of the metadata and has a BulkDataURI: binary values, and very long texts."""
    if element.VR in _BINARY or isinstance(element.value, bytes) or element.tag in _PIXEL_DATA:
        return bool(element.value)
    return element.VR in _LONG_TEXT and isinstance(element.value, str) and len(element.value) > INLINE_TEXT_CHARACTERS


def _values(element: DataElement) -> list[Any]:
    value = element.value
    if value is None:
        return []
    return list(value) if isinstance(value, MultiValue | list | tuple) else [value]


def _value(vr: str, value: Any) -> Any:  # noqa: ANN401  what pydicom made of it, and what JSON takes
    if value is None or value == "":
        return None
    if vr == "PN":
        return _person_name(value)
    if vr in _INTEGER:
        return int(value)
    if vr in _REAL:
        number = float(value)
        return number if math.isfinite(number) else str(number)
    if vr == "AT":
        return f"{int(value):08X}"
    text = str(value).strip("\x00")
    text = text.rstrip(" ") if vr in _LONG_TEXT else text.strip(" ")
    return text or None


def _person_name(value: PersonName) -> dict[str, str] | None:
    groups = {
        "Alphabetic": value.alphabetic,
        "Ideographic": value.ideographic,
        "Phonetic": value.phonetic,
    }
    return {name: text.strip(" \x00") for name, text in groups.items() if text.strip(" \x00")} or None
