"""DICOM JSON data sets (PS3.18 §F) from the archive: read in bounds, judged by their own identity, and shown in part.

Whatever does not have the shape of §F.2 raises DatasetInvalidError, whose text says what and never holds a value.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import Any, Final, NoReturn

from app.core.dicom.attributes import (
    ATTRIBUTES,
    INSTANCE_UID,
    OF_EVERY_LEVEL,
    PATIENT_COUNTS,
    RETRIEVE_URL,
    SERIES_UID,
    STUDY_UID,
    Attribute,
    Presence,
)
from app.core.dicom.dicomweb import Level, Representation, Retrieve, Search
from app.core.dicom.dicomweb_grammar import parse
from app.core.dicom.links import linked, mapped_link, path_of
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid, Subject

# Tag → {"vr", "Value" | "BulkDataURI" | "InlineBinary"}.
DicomJson = dict[str, Any]

MAX_DEPTH: Final = 64

_PATIENT_ID: Final = "00100020"
_ISSUER: Final = "00100021"
_PADDING: Final = " \0"  # PS3.5 §6.2: spaces around a value are not significant, and some writers pad with NUL
_TAG: Final = re.compile(r"[0-9A-F]{8}").fullmatch
_BULK_NAMES: Final = frozenset({"BulkDataURI", "InlineBinary"})
# RetrieveURL, and the others that say where an archive keeps things: RetrieveURI, PixelDataProviderURL, StorageURL, and
# those of an inventory
_LINK_TAGS: Final = frozenset(
    {RETRIEVE_URL, "0040E010", "00287FE0", "00404073", "00080407", "00080408", "00080409", "0008040B"}
)
_UIDS: Final = {Level.STUDY: STUDY_UID, Level.SERIES: SERIES_UID, Level.INSTANCE: INSTANCE_UID}


class DatasetInvalidError(ValueError):
    """A data set of the archive that breaks PS3.18 §F or a bound, or is not what was asked for (upstream-invalid)."""


def read_datasets(body: bytes) -> list[DicomJson]:
    """The data sets of a JSON answer. The caller bounds the body's size; what is within is checked where it is used."""
    try:
        # As json.loads would, which makes a decoder for each call that is not plain.
        read = _decoded(body.decode(json.detect_encoding(body), "surrogatepass")) if body else []
    except (ValueError, RecursionError):
        raise DatasetInvalidError("not JSON") from None
    datasets = [read] if isinstance(read, dict) else read  # some archives send one data set without its list
    if not isinstance(datasets, list) or not all(isinstance(one, dict) for one in datasets):
        raise DatasetInvalidError("not a list of data sets")
    return datasets


def each_dataset(body: bytes) -> Iterator[DicomJson]:
    """The same one after the other, for a body so long that reading it in one go would take seconds."""
    try:
        yield from _each(body.decode(json.detect_encoding(body), "surrogatepass"))
    except (ValueError, RecursionError):
        raise DatasetInvalidError("not JSON") from None


def _each(text: str) -> Iterator[DicomJson]:
    """Raises ValueError."""
    at = _behind_space(text, 0)
    if text[at : at + 1] != "[":
        yield from read_datasets(text.encode("utf-8", "surrogatepass"))
        return
    at = _behind_space(text, at + 1)
    is_last = text[at : at + 1] == "]"
    while not is_last:
        dataset, at = _DECODER.raw_decode(text, at)
        if not isinstance(dataset, dict):
            raise DatasetInvalidError("not a list of data sets")
        yield dataset
        at = _behind_space(text, at)
        is_last = text[at : at + 1] == "]"
        if not is_last and text[at : at + 1] != ",":
            raise DatasetInvalidError("not JSON")
        at = at if is_last else _behind_space(text, at + 1)
    if _behind_space(text, at + 1) != len(text):
        raise DatasetInvalidError("not JSON")


def _behind_space(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACE:
        at += 1
    return at


def _refuse_constant(_name: str) -> NoReturn:
    raise DatasetInvalidError("not a number")  # NaN and Infinity, which JSON does not have


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise DatasetInvalidError("not a number")  # 1e400, which would be written as Infinity
    return number


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
_decoded: Final = _DECODER.decode
_SPACE: Final = frozenset(" \t\n\r")


def identity(dataset: DicomJson) -> Subject:
    """Whose the data set is. The id is "" where it is missing, blank or multi-valued, or its issuer is multi-valued:
    nobody's, so that everyone is denied.
    """
    patient_id, issuer = _sole_text(dataset, _PATIENT_ID), _sole_text(dataset, _ISSUER)
    if patient_id is None or issuer is None:
        return Subject("", "")
    return Subject(patient_id, issuer)


def _sole_text(dataset: DicomJson, tag: str) -> str | None:
    """The one value without padding, "" where there is none; None for several values or what is no text."""
    element = dataset.get(tag)
    values = element.get("Value", []) if isinstance(element, dict) else []
    if not values or values == [None]:
        return ""
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], str) or "\\" in values[0]:
        return None
    return values[0].strip(_PADDING)


def check_uids(
    dataset: DicomJson, study: StudyUid, series: SeriesUid | None = None, instance: InstanceUid | None = None
) -> None:
    """Raises DatasetInvalidError unless the data set names just the study (and series, and instance) asked for."""
    for tag, asked in ((STUDY_UID, study), (SERIES_UID, series), (INSTANCE_UID, instance)):
        if asked is not None and _sole_text(dataset, tag) != asked:
            raise DatasetInvalidError("a data set that was not asked for")


# --- What a search shows ---------------------------------------------------------------------------------------------


def project(search: Search, dataset: DicomJson) -> DicomJson:
    """The data set with exactly what a conforming answer to the search carries (PS3.18 Tables 10.6.3-3 to 10.6.3-5).

    That is: the attributes of the levels shown, what matching keys and includefield name at the search's level or
    above, no bulk data, no counts over other studies, and RetrieveURL as a path below the mount point (see
    rewrite_links). In the order of tags.
    """
    return _projection(search)(dataset)


@lru_cache(maxsize=256)
def _projection(search: Search) -> Callable[[DicomJson], DicomJson]:
    shown = _levels_shown(search)
    always = frozenset(_UIDS[level] for level in Level if level <= search.level)
    named = frozenset(key.path[0] for key in search.matching) | {path[0] for path in search.include}
    empty = {
        tag: {"vr": attribute.vr}
        for tag, attribute in ATTRIBUTES.items()
        if attribute.presence is Presence.REQUIRED and attribute.level in shown
    }

    def keeps(tag: str, element: object) -> bool:
        if not isinstance(element, dict) or not _BULK_NAMES.isdisjoint(element) or tag in PATIENT_COUNTS:
            return False
        attribute = ATTRIBUTES.get(tag)
        if (attribute.level if attribute else Level.INSTANCE) > search.level or _is_private(tag):
            return False
        if attribute and attribute.presence is Presence.KNOWN and not element.get("Value"):
            return False
        return tag in always or tag in named or search.include_all or _is_shown(attribute, shown)

    def projected(dataset: DicomJson) -> DicomJson:
        kept = empty | {tag: element for tag, element in dataset.items() if keeps(tag, element)}
        kept.pop(RETRIEVE_URL, None)
        link = _own_path(search.level, dataset)
        if link is not None:
            kept[RETRIEVE_URL] = {"vr": "UR", "Value": [link]}
        return dict(sorted(kept.items()))

    return projected


def _levels_shown(search: Search) -> frozenset[Level]:
    """PS3.18 §10.6.3.3: a level's attributes come with its own rows, and with those below that its UID leaves open."""
    shown = {search.level}
    if search.study is None:
        shown.add(Level.STUDY)
    if search.series is None and search.level is Level.INSTANCE:
        shown.add(Level.SERIES)
    return frozenset(shown)


def _is_shown(attribute: Attribute | None, shown: frozenset[Level]) -> bool:
    if attribute is None or attribute.presence is Presence.ASKED:
        return False
    return attribute.level in shown or attribute.tag in OF_EVERY_LEVEL


def _is_private(tag: str) -> bool:
    return not _TAG(tag) or int(tag[3], 16) & 1 == 1


def _own_path(level: Level, dataset: DicomJson) -> str | None:
    uids = [_sole_text(dataset, _UIDS[above]) or "" for above in Level if above <= level]
    names = ("/studies/", "/series/", "/instances/")
    path = "".join(name + uid for name, uid in zip(names, uids, strict=False))
    target = parse("GET", path.encode("utf-8", "surrogatepass"), b"")
    is_own = isinstance(target, Retrieve) and target.representation is Representation.DICOM and target.level is level
    return path_of(target) if isinstance(target, Retrieve) and is_own else None


def with_patient_counts(dataset: DicomJson, studies: int, series: int, instances: int) -> DicomJson:
    """The data set with the patient's counts (PS3.4 Table C.3-1), made from what the caller may see."""
    counts = zip(sorted(PATIENT_COUNTS), (studies, series, instances), strict=True)
    counted = dataset | {tag: {"vr": "IS", "Value": [count]} for tag, count in counts}
    return dict(sorted(counted.items()))


# --- Links -----------------------------------------------------------------------------------------------------------


def rewrite_links(dataset: DicomJson, public_url: str, base: str = "") -> DicomJson:
    """The data set with RetrieveURL, RetrieveURI and each BulkDataURI, at any depth, below ``public_url``; those that
    name nothing of ours are dropped. ``base`` is what relative ones start from (`links.linked`).

    PS3.18 leaves the form of a BulkDataURI to the archive: one that the grammar does not know becomes the link to the
    element by its place in its instance, which the adapter finds the archive's own link for.

    Checks the shape of every element on the way. Raises DatasetInvalidError for whatever is not of PS3.18 §F.2, or
    sequences nested deeper than MAX_DEPTH.
    """
    return _rewritten(dataset, _Linker(public_url, base, dataset), ())


@dataclass(frozen=True, slots=True)
class _Linker:
    public_url: str
    base: str
    instance: DicomJson

    def bulk(self, uri: object, place: tuple[str, ...]) -> str | None:
        """``place``: tags and item numbers on the way down to the element."""
        target = linked(uri, self.base) if isinstance(uri, str) else None
        if target is not None and target.representation is Representation.BULKDATA:
            return self.public_url + path_of(target)
        own = _own_path(Level.INSTANCE, self.instance)
        return self(uri) if own is None else f"{self.public_url}{own}/bulk/{'/'.join(place).lower()}"

    def __call__(self, value: object) -> str | None:
        return mapped_link(value, self.public_url, self.base) if isinstance(value, str) else None


def _rewritten(dataset: DicomJson, link: _Linker, above: tuple[str, ...]) -> DicomJson:
    if len(above) > 2 * MAX_DEPTH:
        raise DatasetInvalidError("sequences nested too deep")
    rewritten: DicomJson = {}
    for tag, element in dataset.items():
        if not _TAG(tag) or not isinstance(element, dict):
            raise DatasetInvalidError("not an element")
        values = element.get("Value")
        if element.get("vr") == "SQ":
            rewritten[tag] = {"vr": "SQ"} | _items(values, link, (*above, tag))
        elif "BulkDataURI" in element:
            rewritten[tag] = _bulk_element(element, link, (*above, tag))
        elif tag in _LINK_TAGS:
            links = [link(value) for value in values] if isinstance(values, list) else []
            if known := [one for one in links if one is not None]:
                rewritten[tag] = {"vr": "UR", "Value": known}
        else:
            _check_element(element, values)
            rewritten[tag] = element
    return rewritten


def _items(values: object, link: _Linker, place: tuple[str, ...]) -> DicomJson:
    if values is None:
        return {}
    if not isinstance(values, list):
        raise DatasetInvalidError("not a sequence")
    items = []
    for number, item in enumerate(values, 1):
        if item is not None and not isinstance(item, dict):
            raise DatasetInvalidError("not an item")
        items.append(_rewritten(item or {}, link, (*place, str(number))))
    return {"Value": items}


def _bulk_element(element: DicomJson, link: _Linker, place: tuple[str, ...]) -> DicomJson:
    vr = element.get("vr")
    if not isinstance(vr, str):
        raise DatasetInvalidError("not an element")
    uri = link.bulk(element["BulkDataURI"], place)
    return {"vr": vr} if uri is None else {"vr": vr, "BulkDataURI": uri}


_ELEMENT_NAMES: Final = frozenset({"vr", "Value", "InlineBinary"})
_PLAIN: Final = (str, int, float, type(None))


def _check_element(element: DicomJson, values: object) -> None:
    if not element.keys() <= _ELEMENT_NAMES or not isinstance(element.get("vr"), str):
        raise DatasetInvalidError("not an element")
    if not isinstance(element.get("InlineBinary", ""), str):
        raise DatasetInvalidError("not inline binary")
    if values is None:
        return
    if not isinstance(values, list):
        raise DatasetInvalidError("not a list of values")
    for value in values:
        if not isinstance(value, _PLAIN) and not _is_name(value):
            raise DatasetInvalidError("not a value")


def _is_name(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(group, str | None) for group in value.values())
