"""What a simulated dcm4chee-arc-light holds: rows and metadata in its layout, made with pydicom from the same files.

Recorded shapes: SpecificCharacterSet always ISO_IR 192, RetrieveAETitle and InstanceAvailability in every row, empty
attributes as a bare vr, private attributes in group 7777 with includefield=all, top-level pixel data linked by the URL
of its instance, other bulk data below ``/bulkdata`` with items counted from 0. A study belongs to its first patient, an
instance is stored once.
"""

import base64
import fnmatch
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from tests.support.dicom_files import read_quietly

Row = dict[str, Any]

_BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_BULK_BYTES = 64
_UNTYPED = frozenset({"AT"})
_LEVEL_TAGS = {
    "studies": (
        *("00080020", "00080030", "00080050", "00080090", "00100010", "00100020", "00100021", "00100030"),
        *("00100040", "0020000D", "00200010", "00081030", "00081190"),
    ),
    "series": ("00080060", "0008103E", "0020000E", "00200011", "00400244", "00400245", "00081190"),
    "instances": ("00080016", "00080018", "00200013", "00280010", "00280011", "00280100", "00280008", "00081190"),
}
_LEVELS = tuple(_LEVEL_TAGS)
_UID_TAGS = ("0020000D", "0020000E", "00080018")
_AVAILABLE = {
    "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
    "00080054": {"vr": "AE", "Value": ["DCM4CHEE"]},
    "00080056": {"vr": "CS", "Value": ["ONLINE"]},
}


@dataclass(frozen=True)
class Instance:
    """One stored file. ``subject``: PatientID with its issuer, as the archive keys patients."""

    path: Path
    study: str
    series: str
    uid: str
    subject: tuple[str, str]

    @property
    def below(self) -> str:
        """Its path below the service's root."""
        return f"/studies/{self.study}/series/{self.series}/instances/{self.uid}"

    @property
    def chain(self) -> tuple[str, str, str]:
        return self.study, self.series, self.uid

    @cached_property
    def dataset(self) -> Dataset:
        return read_quietly(self.path)

    @cached_property
    def attributes(self) -> Row:
        """Everything but bulk data, in DICOM JSON."""
        return _json_of(self.dataset, None)

    def metadata(self, root: str) -> Row:
        """With links to the bulk data. ``root``: the absolute URL that stands in them."""
        return _AVAILABLE | _json_of(self.dataset, root + self.below)

    def element(self, place: Sequence[str]) -> DataElement | None:
        """The element at tags and item numbers from 0."""
        dataset = self.dataset
        for tag, number in zip(place[:-1:2], place[1::2], strict=True):
            items = dataset[int(tag, 16)].value if int(tag, 16) in dataset else []
            if int(number) >= len(items):
                return None
            dataset = items[int(number)]
        return dataset.get(int(place[-1], 16))


@dataclass
class Holdings:
    """Everything stored, in the order of storing."""

    instances: list[Instance] = field(default_factory=list)

    def store(self, path: Path) -> bool:
        """Take a file in; False where the archive refuses it (another patient's study, an instance it has)."""
        dataset = read_quietly(path)
        uids = [str(dataset.get(name) or "") for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
        if not all(uids):
            return False
        found = dataset.get("PatientID", "")
        patient_id = str(found or "").strip() if isinstance(found, str) else "\\".join(found)
        new = Instance(
            path, uids[0], uids[1], uids[2], (patient_id, str(dataset.get("IssuerOfPatientID", "") or "").strip())
        )
        if any(one.uid == new.uid or (one.study == new.study and one.subject != new.subject) for one in self.instances):
            return False
        self.instances.append(new)
        return True

    def below(self, *uids: str) -> list[Instance]:
        """The instances of a study, of a series, or the one instance."""
        return [one for one in self.instances if one.chain[: len(uids)] == uids]

    def rows(self, level: str, scope: Sequence[str], root: str) -> list[Row]:
        """Every row of a level below the scope with everything known of it, before matching."""
        depth = _LEVELS.index(level) + 1
        groups: dict[tuple[str, ...], list[Instance]] = {}
        for one in self.below(*scope):
            groups.setdefault(one.chain[:depth], []).append(one)
        return [self._row(depth, members, root) for members in groups.values()]

    def _row(self, depth: int, members: list[Instance], root: str) -> Row:
        first = members[0]
        study = self.below(first.study)
        names = zip(_LEVELS, first.chain[:depth], strict=False)
        row = first.attributes | _AVAILABLE
        row["00081190"] = {"vr": "UR", "Value": [root + "".join(f"/{name}/{uid}" for name, uid in names)]}
        row["00080061"] = {"vr": "CS", "Value": sorted({str(one.dataset.get("Modality", "")) for one in study})}
        row["00201206"] = {"vr": "IS", "Value": [len({one.series for one in study})]}
        row["00201208"] = {"vr": "IS", "Value": [len(study)]}
        row["00201209"] = {"vr": "IS", "Value": [len(self.below(first.study, first.series))]}
        row["77770010"] = {"vr": "LO", "Value": ["DCM4CHEE Archive 5"]}
        row["77771010"] = {"vr": "DT", "Value": ["20240229101112.345"]}
        return row


def shown(row: Row, level: str, depth_given: int, keys: Iterable[str], *, include_all: bool) -> Row:
    """What a search of a level answers with: the level's own attributes and those of the levels not in its path."""
    if include_all:
        return dict(sorted(row.items()))
    levels = _LEVELS[min(depth_given, _LEVELS.index(level)) : _LEVELS.index(level) + 1]
    tags = {tag for one in levels for tag in _LEVEL_TAGS[one]} | set(keys) | set(_AVAILABLE)
    tags |= set(_UID_TAGS[: _LEVELS.index(level) + 1])
    if level == "studies":
        tags |= {"00080061", "00201206", "00201208"}
    if level == "series":
        tags |= {"00201209"}
    return {tag: row.get(tag, {"vr": "LO"}) for tag in sorted(tags) if tag in row or tag in _LEVEL_TAGS[level]}


def matches(row: Row, tag: str, value: str) -> bool:
    """PS3.4 §C.2.2.2, as far as a database column goes; an attribute that is not one matches everything."""
    element = row.get(tag, {})
    held = [_text(one) for one in element.get("Value", [])] or [""]
    if not value:
        return True
    if tag in _UID_TAGS:
        return bool(set(value.replace("\\", ",").split(",")) & set(held))
    if tag in ("00080020", "00100030"):
        first, dash, last = value.partition("-")
        return any(
            one and (first <= one if first else True) and one <= (last or "9" if dash else first) for one in held
        )
    if tag in ("00080060", "00080061"):
        return bool(set(value.split(",")) & set(held))
    if tag in ("00100010", "00100020", "00080050"):
        pattern = value.replace("[", "[[]").casefold()
        return any(fnmatch.fnmatchcase(one.casefold(), pattern) for one in held)
    return True


def _text(value: object) -> str:
    return str(value.get("Alphabetic", "")) if isinstance(value, dict) else str(value if value is not None else "")


def _json_of(dataset: Dataset, link: str | None, above: str = "") -> Row:
    """DICOM JSON. ``link`` None leaves bulk data out; else it is the URL of the instance."""
    found: Row = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # test files are odd on purpose
        for tag in sorted(dataset.keys()):
            key = f"{int(tag):08X}"
            if key == "00080005":
                continue
            try:
                found[key] = _element(dataset[tag], key, link, above)
            except (ValueError, TypeError, NotImplementedError, AttributeError, OverflowError):
                found[key] = {"vr": "UN"}  # a value that cannot be read
    return found if above else found | ({"00080005": _AVAILABLE["00080005"]} if link is not None else {})


def _element(element: DataElement, key: str, link: str | None, above: str) -> Row:
    vr = str(element.VR)
    if vr == "SQ":
        items = [_json_of(item, link, f"{above}/{key}/{number}") for number, item in enumerate(element.value)]
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    data = element.value if isinstance(element.value, bytes) else b""
    if vr in _BULK_VRS and len(data) > _BULK_BYTES:
        if link is None:
            return {"vr": vr}
        own_pixels = key == "7FE00010" and not above
        return {"vr": vr, "BulkDataURI": link if own_pixels else f"{link}/bulkdata{above}/{key}"}
    if vr in _BULK_VRS:
        return {"vr": vr, "InlineBinary": base64.b64encode(data).decode()} if data else {"vr": vr}
    made: Row = element.to_json_dict(None, 1 << 40)
    return made
