"""The embedded archive against a real PACS over the same files. What differs on purpose is written down here, and
nowhere else.
"""

import json
import math
from typing import Any

import numpy as np
import pytest

from app.core.dicom.dicomweb import Representation
from app.pacs.origin import OriginUnavailableError
from tests.pacs.asking import DICOM_JSON, FRAMES_AS_STORED, FRAMES_DECODED, each, fetched, parts_of, retrieval
from tests.pacs.conftest import Served
from tests.support.dicom_files import read_quietly
from tests.support.differential import Held

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.orthanc]

# Elements that are not compared:
# (0008,0005): Orthanc says in what character set the file was, the archive in what the answer is.
# (FFFC,FFFC): padding at the end of the file, behind what the archive reads.
# (7FE0,0010): Orthanc leaves it out where it is encapsulated; the archive gives it a BulkDataURI. Its bytes are
# compared elsewhere.
_NOT_COMPARED = frozenset({"00080005", "7FE00010", "FFFCFFFC"})
# VRs that Orthanc 1.10 does not know, writes inline with less precision, or knows less of in private elements.
_VRS_NOT_COMPARED = frozenset({"OD", "OF", "OL", "OV", "SV", "UN", "UV"})
# A backslash is text in these (PS3.5 §6.2); Orthanc parts their values at it.
_ONE_VALUE = frozenset({"LT", "ST", "UT"})
# Character sets in which Orthanc 1.10 decodes wrongly: ISO_IR 13 turns backslashes into yen signs.
_MISREAD = ("ISO_IR 13", "ISO 2022 IR 13")
_LOSSY = frozenset(
    {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"}
)
# Its header and its code stream contradict each other, and each decoder believes another.
_CONTRADICTORY = "J2K_pixelrep_mismatch.dcm"
# Two decoders of a lossy form may differ by this much of 255.
_LOSSY_STEP = 6


def _both(archive: Served, orthanc: Served) -> list[Held]:
    """Instances that both hold and that belong to one patient only."""
    owners: dict[tuple[str, str, str], set[str]] = {}
    for file in archive.collection.files:
        owners.setdefault((file.study, file.series, file.instance), set()).add(file.subject.patient_id)
    taken = {file.path for file in orthanc.collection.files}
    return [
        file
        for file in archive.collection.served
        if file.path in taken and len(owners[file.study, file.series, file.instance]) == 1
    ]


def _differences(ours: dict[str, Any], theirs: dict[str, Any], path: str = "") -> set[str]:
    found = set()
    for tag in (ours.keys() | theirs.keys()) - _NOT_COMPARED:
        mine, other = ours.get(tag, {"vr": ""}), theirs.get(tag, {"vr": ""})
        if {mine["vr"], other["vr"]} & _VRS_NOT_COMPARED:
            continue
        if "SQ" in (mine["vr"], other["vr"]):
            items, others = ([item for item in element.get("Value", []) if item] for element in (mine, other))
            if len(items) != len(others):
                found.add(f"{path}{tag}")
            for number, (item, its) in enumerate(zip(items, others, strict=False), 1):
                found |= _differences(item, its, f"{path}{tag}/{number}/")
        elif _said(mine) != _said(other):
            found.add(f"{path}{tag}")
    return found


def _said(element: dict[str, Any]) -> Any:
    """A value in a form in which both write it alike."""
    if "BulkDataURI" in element:
        return element["BulkDataURI"].rpartition("/studies/")[2]
    values = [_plain(value) for value in element.get("Value", [])]
    if element["vr"] in _ONE_VALUE:
        return "\\".join(value or "" for value in values)
    return [] if values in ([None], [""]) else values


def _plain(value: Any) -> Any:
    if isinstance(value, int | float):
        # Five digits; what no longer is a normal single-precision number, Orthanc writes as zero
        return 0.0 if abs(value) < 1e-20 else float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: text.strip() for name, text in value.items() if text.strip()} or None
    return value.strip() if isinstance(value, str) else value


def _misread(file: Held) -> bool:
    named = read_quietly(file.path).get("SpecificCharacterSet", "")
    return any(one in _MISREAD for one in ([named] if isinstance(named, str) else named))


async def test_metadata_says_the_same(archive_origin, orthanc_origin):
    async def differences(file: Held) -> set[str]:
        target = retrieval(Representation.METADATA, file.study, file.series, file.instance)
        ours, theirs = [
            json.loads((await fetched(served.origin, target, DICOM_JSON))[2])[0]
            for served in (archive_origin, orthanc_origin)
        ]
        assert len(ours) > 5
        return _differences(ours, theirs)

    files = [file for file in _both(archive_origin, orthanc_origin) if not _misread(file)]
    found = dict(zip((file.path.name for file in files), await each(files, differences), strict=True))
    assert {name: tags for name, tags in found.items() if tags} == {}


async def _frame(served: Served, file: Held, accept: str) -> tuple[str, bytes] | int:
    target = retrieval(Representation.FRAMES, file.study, file.series, file.instance, frames=(1,))
    try:
        status, content_type, body = await fetched(served.origin, target, accept)
    except OriginUnavailableError:
        return 502  # Orthanc answers 500 for instances without pixels, and for some that it cannot decode
    return parts_of(content_type, body)[0] if status == 200 else status


async def test_frames_as_stored_are_the_same_bytes(archive_origin, orthanc_origin):
    async def pair(file: Held) -> tuple[Any, Any]:
        return (
            await _frame(archive_origin, file, FRAMES_AS_STORED),
            await _frame(orthanc_origin, file, FRAMES_AS_STORED),
        )

    files = _both(archive_origin, orthanc_origin)
    compared = 0
    for file, (ours, theirs) in zip(files, await each(files, pair), strict=True):
        if isinstance(ours, tuple) and isinstance(theirs, tuple):
            assert ours[1] == theirs[1], file.path.name
            compared += 1
        else:
            assert not isinstance(theirs, tuple), f"only Orthanc has frames of {file.path.name}"
    assert compared > len(files) // 2


async def test_decoded_frames_are_the_same_pixels(archive_origin, orthanc_origin):
    async def pair(file: Held) -> tuple[Any, Any]:
        return await _frame(archive_origin, file, FRAMES_DECODED), await _frame(orthanc_origin, file, FRAMES_DECODED)

    files = [file for file in _both(archive_origin, orthanc_origin) if not file.path.name.endswith(_CONTRADICTORY)]
    compared = 0
    for file, (ours, theirs) in zip(files, await each(files, pair), strict=True):
        if isinstance(ours, tuple) and isinstance(theirs, tuple):
            assert "transfer-syntax=1.2.840.10008.1.2.1" in ours[0]
            assert _alike(file, ours[1], theirs[1]), file.path.name
            compared += 1
    assert compared > len(files) // 2


def _alike(file: Held, ours: bytes, theirs: bytes) -> bool:
    dataset = read_quietly(file.path)
    if dataset.file_meta.TransferSyntaxUID not in _LOSSY:
        return ours == theirs
    word = np.dtype(
        f"<i{max(1, dataset.BitsAllocated // 8)}" if dataset.PixelRepresentation else f"<u{dataset.BitsAllocated // 8}"
    )
    if len(ours) != len(theirs):
        return False
    step = np.abs(np.frombuffer(ours, word).astype(int) - np.frombuffer(theirs, word).astype(int)).max()
    return bool(step <= math.ceil(_LOSSY_STEP * 2 ** (dataset.BitsStored - 8)))
