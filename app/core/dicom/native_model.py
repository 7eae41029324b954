"""The Native DICOM Model: a data set of DICOM JSON as XML (PS3.19 Annex A.1).

What XML 1.0 cannot hold becomes U+FFFD; everything else of a text is escaped, so that no value can be markup.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from app.core.dicom.attributes import keyword_of
from app.core.dicom.dicomjson import DatasetInvalidError, DicomJson

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

# The value representations of PS3.5 §6.2.
_IS_VR: Final = re.compile("A[EST]|CS|D[AST]|F[DL]|IS|L[OT]|O[BDFLVW]|PN|S[HLQSTV]|TM|U[CILNRSTV]").fullmatch
# XML 1.0 §2.2: what no document may hold, not even as a reference.
_FORBIDDEN: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A parser reads a bare carriage return as a line feed, and in an attribute each of these as a space (§2.11, §3.3.3).
_SPECIAL: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*").fullmatch
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def native_model(dataset: DicomJson) -> Iterator[str]:
    """The document in pieces, its elements in the order of the data set, in UTF-8.

    The data set has been through ``rewrite_links``: its shape is that of PS3.18 §F.2, nested within bounds, and its
    links are ours. Raises DatasetInvalidError for a value representation, a value or binary data that is none.
    """
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">'
    yield from _elements(dataset)
    yield "</NativeDicomModel>"


def _elements(dataset: DicomJson) -> Iterator[str]:
    creators = _creators(dataset)
    for tag, element in dataset.items():
        if tag.endswith("0000"):
            continue  # §A.1.1: no group lengths
        vr = element["vr"]
        if not _IS_VR(vr):
            raise DatasetInvalidError("not a value representation")
        yield f'<DicomAttribute {_named(tag, creators)} vr="{vr}">'
        if "BulkDataURI" in element:
            yield f'<BulkData uri="{_escaped(element["BulkDataURI"])}"/>'
        elif "InlineBinary" in element:
            if not _BASE64(element["InlineBinary"]):
                raise DatasetInvalidError("not base64")
            yield f"<InlineBinary>{element['InlineBinary']}</InlineBinary>"
        elif vr == "SQ":
            for number, item in enumerate(element.get("Value") or (), 1):
                yield f'<Item number="{number}">'
                yield from _elements(item)
                yield "</Item>"
        else:
            write: Callable[[int, Any], str] = _person_name if vr == "PN" else _value
            yield from (write(number, value) for number, value in enumerate(element.get("Value") or (), 1))
        yield "</DicomAttribute>"


def _creators(dataset: DicomJson) -> dict[str, str]:
    """Who reserved each private block (PS3.5 §7.8.1), escaped, by group and block.

    Where one creator has two blocks of a group, as it must not, only the first counts: two elements would else bear one
    name.
    """
    creators: dict[str, str] = {}
    for tag, element in dataset.items():
        values = element.get("Value")
        if _is_creator(tag) and values and isinstance(values[0], str) and values[0]:
            creator = _escaped(values[0])
            if creator not in (other for block, other in creators.items() if block[:4] == tag[:4]):
                creators[tag[:4] + tag[6:]] = creator
    return creators


def _named(tag: str, creators: dict[str, str]) -> str:
    """The attributes that name an element: its tag, and its keyword or its private creator (Table A.1.5-2).

    With a creator the block number, which is only this data set's own choice, is left at 00; a block's first element
    keeps it, or it would read as a group length.
    """
    if not _is_private(tag):
        keyword = keyword_of(tag)
        return f'tag="{tag}"' + (f' keyword="{keyword}"' if keyword else "")
    creator = creators.get(tag[:6])
    if creator is None or tag[6:] == "00":
        return f'tag="{tag}"'
    return f'tag="{tag[:4]}00{tag[6:]}" privateCreator="{creator}"'


def _is_private(tag: str) -> bool:
    return int(tag[3], 16) & 1 == 1


def _is_creator(tag: str) -> bool:
    return _is_private(tag) and tag[4:6] == "00" and tag[6:] >= "10"


def _value(number: int, value: object) -> str:
    if isinstance(value, dict):
        raise DatasetInvalidError("not a value")
    # A number as JSON writes it; null is an empty value that keeps its place
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return f'<Value number="{number}">{_escaped(text)}</Value>'


def _person_name(number: int, value: object) -> str:
    if isinstance(value, str):  # some archives do not take the groups of a name apart (PS3.5 §6.2.1)
        value = dict(zip(_GROUPS, value.split("=", 2), strict=False))
    if not isinstance(value, dict | None):
        raise DatasetInvalidError("not a name")
    groups = ((group, (value or {}).get(group) or "") for group in _GROUPS)
    return f'<PersonName number="{number}">{"".join(_group(group, text) for group, text in groups)}</PersonName>'


def _group(group: str, text: str) -> str:
    """One group of a name, its components apart; what comes after the fifth stays with it."""
    named = zip(_COMPONENTS, text.split("^", len(_COMPONENTS) - 1), strict=False)
    inner = "".join(f"<{name}>{_escaped(part)}</{name}>" for name, part in named if part)
    return f"<{group}>{inner}</{group}>" if inner else ""


def _escaped(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text).translate(_SPECIAL)
