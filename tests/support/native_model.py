"""A reader of the Native DICOM Model, from PS3.19 §A.1.6 alone: it holds a document to every rule of the schema, and
gives the data set back as DICOM JSON.
"""

import re
import xml.etree.ElementTree as ET
from typing import Any

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
NUMBER_VRS = ["DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"]
_VRS = {
    "AE",
    "AS",
    "AT",
    "CS",
    "DA",
    "DT",
    "LO",
    "LT",
    "OB",
    "OD",
    "OF",
    "OL",
    "OV",
    "OW",
    "PN",
    "SH",
    "SQ",
    "ST",
    "TM",
}
_VRS |= {"UC", "UI", "UN", "UR", "UT", *NUMBER_VRS}
_COMPONENTS = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"]


def read(document: bytes) -> dict[str, Any]:
    """The data set. Private elements come back under the block of their creator."""
    assert document.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    root = ET.fromstring(document)
    assert root.tag == f"{{{NAMESPACE}}}NativeDicomModel"
    assert root.attrib == {_SPACE: "preserve"}
    return _dataset(root)


def _dataset(parent: ET.Element) -> dict[str, Any]:
    assert not (parent.text or "").strip()
    elements = [_attribute(child) for child in parent]
    blocks: dict[tuple[str, str], str] = {}
    for tag, creator, element in elements:
        if creator is None and int(tag[:4], 16) % 2 == 1 and "0010" <= tag[4:] <= "00FF" and element.get("Value"):
            blocks.setdefault((tag[:4], str(element["Value"][0])), tag[6:])
    read: dict[str, Any] = {}
    for tag, creator, element in elements:
        whole = tag if creator is None else tag[:4] + blocks[(tag[:4], creator)] + tag[6:]
        assert whole not in read
        read[whole] = element
    return read


def _attribute(child: ET.Element) -> tuple[str, str | None, dict[str, Any]]:
    assert child.tag == f"{{{NAMESPACE}}}DicomAttribute"
    assert not (child.tail or "").strip()
    assert child.attrib.keys() <= {"tag", "vr", "keyword", "privateCreator"}
    tag, vr, creator = child.attrib["tag"], child.attrib["vr"], child.get("privateCreator")
    assert re.fullmatch("[0-9A-F]{8}", tag)
    assert not tag.endswith("0000"), "no group lengths"
    assert vr in _VRS
    if creator is not None:
        assert int(tag[:4], 16) % 2 == 1
        assert tag[4:6] == "00", "the block is the creator's to say"
        assert "keyword" not in child.attrib
    return tag, creator, _element(child, vr)


def _element(attribute: ET.Element, vr: str) -> dict[str, Any]:
    """BulkData | Value+ | Item+ | PersonName+ | InlineBinary, or nothing."""
    assert not (attribute.text or "").strip()
    kinds = {child.tag.removeprefix(f"{{{NAMESPACE}}}") for child in attribute}
    if not kinds:
        return {"vr": vr}
    (kind,) = kinds
    if kind == "BulkData":
        (bulk,) = attribute
        assert bulk.attrib.keys() == {"uri"}
        assert len(bulk) == 0
        assert not bulk.text
        return {"vr": vr, "BulkDataURI": bulk.attrib["uri"]}
    if kind == "InlineBinary":
        (inline,) = attribute
        assert inline.attrib == {}
        assert len(inline) == 0
        return {"vr": vr, "InlineBinary": inline.text or ""}
    assert kind == {"SQ": "Item", "PN": "PersonName"}.get(vr, "Value")
    for number, child in enumerate(attribute, 1):
        assert child.attrib == {"number": str(number)}
    if kind == "Item":
        return {"vr": vr, "Value": [_dataset(item) for item in attribute]}
    if kind == "PersonName":
        return {"vr": vr, "Value": [_name(name) for name in attribute]}
    assert all(len(value) == 0 for value in attribute)
    return {"vr": vr, "Value": [_value(value.text or "", vr) for value in attribute]}


def _value(text: str, vr: str) -> Any:
    if not text:
        return None
    if vr in NUMBER_VRS:
        try:
            return float(text)
        except ValueError:
            return text  # what is no number comes as it is
    return text


def _name(name: ET.Element) -> dict[str, str] | None:
    groups = {}
    order = []
    for group in name:
        kind = group.tag.removeprefix(f"{{{NAMESPACE}}}")
        order.append(kind)
        parts = {part.tag.removeprefix(f"{{{NAMESPACE}}}"): part.text or "" for part in group}
        assert len(parts) == len(group)
        assert list(parts) == [one for one in _COMPONENTS if one in parts], "components in order"
        groups[kind] = "^".join(parts.get(one, "") for one in _COMPONENTS).rstrip("^")
    assert order == [one for one in ("Alphabetic", "Ideographic", "Phonetic") if one in order], "groups in order"
    return groups or None


def as_read(dataset: dict[str, Any]) -> dict[str, Any]:
    """What must come back: the data set, less what means nothing (§A.1.1, PS3.5 §6.2.1, PS3.18 §F.2.5)."""
    return {tag: _element_as_read(element) for tag, element in dataset.items() if not tag.endswith("0000")}


def _element_as_read(element: dict[str, Any]) -> dict[str, Any]:
    vr, values = element["vr"], element.get("Value")
    if "BulkDataURI" in element or "InlineBinary" in element:
        return element
    if not values:
        return {"vr": vr}
    if vr == "SQ":
        return {"vr": vr, "Value": [as_read(item or {}) for item in values]}
    return {"vr": vr, "Value": [_value_as_read(vr, value) for value in values]}


def _value_as_read(vr: str, value: Any) -> Any:
    if value is None or value == "":
        return None
    if vr == "PN":
        if isinstance(value, str):
            value = dict(zip(("Alphabetic", "Ideographic", "Phonetic"), value.split("=", 2), strict=False))
        groups = {group: _plain(text).rstrip("^") for group, text in value.items() if text and text.strip("^")}
        return groups or None
    if vr in NUMBER_VRS:
        try:
            return float(value)
        except ValueError:
            pass
    return _plain(value)


def _plain(text: str) -> str:
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)
