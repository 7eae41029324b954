"""Files made so that two parsers read two patients: none comes in, and the archive itself takes none of them."""

import struct
import warnings
import zlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.core.dicom.dicomweb import Store
from app.core.dicom.part10 import Part10Scanner
from app.core.dicom.storing import FailureReason, InstanceName, Refused, Stored
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid
from app.gateway.upload import UploadedPart
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.archive.reading import ReadInstance, read_instance
from app.pacs.archive.workers import Workers

_CLASS, _STUDY, _SERIES, _INSTANCE = "1.2.840.10008.5.1.4.1.1.7", "2.25.9", "2.25.9.1", "2.25.9.1.1"
NAME = InstanceName(_CLASS, StudyUid(_STUDY), SeriesUid(_SERIES), InstanceUid(_INSTANCE))
IMPLICIT, EXPLICIT, DEFLATED = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.1.99"
_IDENTITY = ((8, 0x16, b"UI", _CLASS), (8, 0x18, b"UI", _INSTANCE), (0x10, 0x20, b"LO", ""), (0x20, 0xD, b"UI", _STUDY),
             (0x20, 0xE, b"UI", _SERIES))  # fmt: skip


def _padded(text: str | bytes) -> bytes:
    value = text if isinstance(text, bytes) else text.encode()
    return value + b"\0" * (len(value) % 2)


def _explicit(patient: str, vr: bytes | None = None) -> bytes:
    found = b""
    for group, element, own, text in _IDENTITY:
        value = _padded(text or patient)
        if not text and vr:
            found += struct.pack("<HH2sHL", group, element, vr, 0, len(value)) + value
        else:
            found += struct.pack("<HH2sH", group, element, own, len(value)) + value
    return found


def _implicit(patient: str) -> bytes:
    values = ((group, element, _padded(text or patient)) for group, element, _, text in _IDENTITY)
    return b"".join(struct.pack("<HHL", group, element, len(value)) + value for group, element, value in values)


def _file(syntax: bytes, dataset: bytes, *, longer: int = 0) -> bytes:
    """``longer``: than it is, the meta information is said to be."""
    named = struct.pack("<HH2sH", 2, 0x10, b"UI", len(_padded(syntax))) + _padded(syntax)
    size = struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(named) + longer)
    return bytes(128) + b"DICM" + size + named + dataset


def _deflated(data: bytes) -> bytes:
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeezed.compress(data) + squeezed.flush()


def _two_streams() -> bytes:
    first = _deflated(_explicit("ANNA"))
    return _file(DEFLATED, first + _deflated(_explicit("BERT")), longer=len(first))


def _two_encodings() -> bytes:
    """Without VRs, the first element hides all that is there with VRs; with them, the last hides the rest."""
    hidden = _implicit("ANNA")
    shown = _explicit("BERT")
    head = struct.pack("<HH2sH", 8, 1, b"UL", 0)
    behind = int.from_bytes(head[4:], "little") - len(shown) - 12
    last = struct.pack("<HH2sHL", 0x21, 0x1010, b"OB", 0, behind + len(hidden))
    return _file(IMPLICIT, head + shown + last + bytes(behind) + hidden)


READ_AS_BERT = {"two deflated data sets": _two_streams(), "two encodings": _two_encodings()}
REFUSED = READ_AS_BERT | {
    "a PatientID of no VR": _file(EXPLICIT, _explicit("ANNA", b"UN")),
    "longer meta information": _file(EXPLICIT, _explicit("ANNA"), longer=20),
    "shorter meta information": _file(EXPLICIT, _explicit("ANNA"), longer=-8),
    "a syntax of a vendor's": _file(b"1.2.840.113619.5.2", _explicit("ANNA")),
    "a syntax that was DICOM's": _file(b"1.2.840.10008.1.20", _explicit("ANNA")),
    "a syntax with a space before it": _file(b" 1.2.840.10008.1.2.1", _explicit("ANNA")),
    "an undeflated one that would be deflated": _file(b"1.2.840.10008.1.2.4.95", _explicit("ANNA")),
}


class Content:
    """A file in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def length(self) -> int:
        return len(self._data)

    async def pieces(self) -> AsyncGenerator[bytes]:
        yield self._data


def _uploaded(data: bytes) -> FailureReason | None:
    part = UploadedPart(Store(), None, is_dicom=True)
    part.end(data)
    part.spool.close()
    return part.flaw


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_be_read_in_two_ways_does_not_come_in(case: str) -> None:
    syntax_is_at_fault = "syntax" in case
    expected = FailureReason.UNKNOWN_SYNTAX if syntax_is_at_fault else FailureReason.NOT_UNDERSTOOD
    assert _uploaded(REFUSED[case]) == expected


@pytest.mark.parametrize(
    "data",
    [
        _file(EXPLICIT, _explicit("ANNA")),
        _file(IMPLICIT, _implicit("ANNA")),
        _file(DEFLATED, _deflated(_explicit("ANNA"))),
        _file(b"1.2.840.10008.1.2.4.205", _deflated(_explicit("ANNA"))),
    ],
)
def test_the_same_without_the_forgery_does(data: bytes) -> None:
    assert _uploaded(data) is None


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("case", READ_AS_BERT)
async def test_an_archive_that_reads_another_patient_stores_nothing(case: str, tmp_path: Path) -> None:
    data = READ_AS_BERT[case]
    told = Part10Scanner().feed(data)
    assert told is not None
    assert told.subject.patient_id == "ANNA"
    path = tmp_path / "forged"
    path.write_bytes(data)
    with warnings.catch_warnings(action="ignore"):
        found = read_instance(path)
    assert isinstance(found, ReadInstance)
    assert found.identity.subject.patient_id == "BERT"  # else this test shows nothing

    folder = tmp_path / "folder"
    folder.mkdir()
    origin = ArchiveOrigin(folder, tmp_path / "index.sqlite", Workers(1))
    try:
        await origin.reindex()
        assert await origin.store(NAME, Content(data)) == Refused(NAME, FailureReason.NOT_UNDERSTOOD)
        assert not (await origin.subjects_of(NAME.study)).subjects
        assert not list(folder.rglob("*"))
        assert await origin.store(NAME, Content(_file(EXPLICIT, _explicit("ANNA")))) == Stored(NAME)
    finally:
        await origin.aclose()
