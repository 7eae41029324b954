"""Whether a whole file is built as it must be: told alike in any pieces, and in bounds."""

import random
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from app.core.dicom import part10_structure
from app.core.dicom.part10_encoding import Part10InvalidError
from app.core.dicom.part10_structure import Part10Structure

_META = b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
_START = bytes(128) + b"DICM" + _META
_IMPLICIT_START = _START.replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x12\x001.2.840.10008.1.2\0")
_ITEM, _ITEM_END, _SEQUENCE_END = (struct.pack("<HHL", 0xFFFE, tag, 0) for tag in (0xE000, 0xE00D, 0xE0DD))
_OPEN_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)


def _short(group: int, element: int, vr: bytes, value: bytes = b"") -> bytes:
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value


def _long(group: int, element: int, vr: bytes, value: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<HH2sHL", group, element, vr, 0, len(value) if length is None else length) + value


def _implicit(group: int, element: int, value: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<HHL", group, element, len(value) if length is None else length) + value


def _item(value: bytes) -> bytes:
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(value)) + value


def _nested(depth: int) -> bytes:
    inner = b""
    for _ in range(depth):
        inner = _long(0x0040, 0x0275, b"SQ", _item(inner))
    return inner


def _is_sound(data: bytes, step: int | None = None) -> bool:
    structure = Part10Structure()
    try:
        for at in range(0, len(data), step or len(data) or 1):
            structure.feed(data[at : at + (step or len(data))])
        structure.close()
    except Part10InvalidError:
        return False
    return True


SOUND: dict[str, bytes] = {
    "meta information of the length that it says": bytes(128) + b"DICM" + _short(2, 0, b"UL", b"\x1c\0\0\0") + _META
    + _short(8, 5, b"CS"),
    "nothing but meta information and one element": _START + _short(8, 5, b"CS"),
    "a value": _START + _long(0x7FE0, 0x10, b"OB", bytes(100)),
    "a sequence with a length": _START + _long(8, 0x1110, b"SQ", _item(_short(8, 5, b"CS", b"ab"))),
    "one without": _START + _long(8, 0x1110, b"SQ", _OPEN_ITEM + _short(8, 5, b"CS") + _ITEM_END + _SEQUENCE_END,
                                  0xFFFFFFFF),
    "an empty item": _START + _long(8, 0x1110, b"SQ", _item(b"")),
    "an empty sequence": _START + _long(8, 0x1110, b"SQ"),
    "fragments": _START + _long(0x7FE0, 0x10, b"OB", _ITEM + _item(b"abcd") + _SEQUENCE_END, 0xFFFFFFFF),
    "what is unknown and implicit inside": _START + _long(
        9, 0x1010, b"UN", _OPEN_ITEM + _implicit(8, 5, b"ab") + _ITEM_END + _SEQUENCE_END, 0xFFFFFFFF
    ),
    "as deep as it may be": _START + _nested(64),
    "an unknown sequence without length, in an implicit encoding": _IMPLICIT_START + _implicit(
        9, 0x1010, _OPEN_ITEM + _implicit(8, 5, b"ab") + _ITEM_END + _SEQUENCE_END, 0xFFFFFFFF
    ),
    "long values without VRs": _IMPLICIT_START + _implicit(8, 5) + _implicit(0x28, 2, bytes(0x4C55)),
    "out of order behind the identity": _START + _short(0x28, 0x10, b"US", b"ab") + _short(0x28, 2, b"US", b"ab"),
}  # fmt: skip
UNSOUND: dict[str, bytes] = {
    "nothing": b"",
    "no DICM": bytes(200),
    "no meta information": bytes(128) + b"DICM" + _short(8, 5, b"CS", b"ab") * 3,
    "meta information alone": _START,
    "a transfer syntax that is no text": _START.replace(b"1.2.840.10008.1.2.1\0", b"\xff" * 20) + _short(8, 5, b"CS"),
    "meta information without end": bytes(128) + b"DICM" + _short(2, 2, b"UI", bytes(60_000)) * 2,
    "a value cut short": _START + _long(0x7FE0, 0x10, b"OB", bytes(100))[:-1],
    "a head cut short": _START + _long(0x7FE0, 0x10, b"OB")[:-1],
    "an item past its sequence": _START + _long(8, 0x1110, b"SQ", _ITEM[:4] + b"\x20\0\0\0" + bytes(8)),
    "an element past its item": _START + _long(8, 0x1110, b"SQ", _item(_long(8, 6, b"UT", b"", 400))),
    "a sequence that is not ended": _START + _long(8, 0x1110, b"SQ", _OPEN_ITEM + _ITEM_END, 0xFFFFFFFF),
    "an end of an item with a length": _START + _long(8, 0x1110, b"SQ", _item(_ITEM_END)),
    "an end where nothing began": _START + _SEQUENCE_END,
    "an element among items": _START + _long(8, 0x1110, b"SQ", _short(8, 5, b"CS", b"ab"), 0xFFFFFFFF),
    "an end of a sequence with a length": _START + _long(8, 0x1110, b"SQ", _SEQUENCE_END),
    "a fragment without length": _START + _long(0x7FE0, 0x10, b"OB", _OPEN_ITEM + _SEQUENCE_END, 0xFFFFFFFF),
    "text without length": _START + _long(8, 0x1110, b"UT", b"", 0xFFFFFFFF),
    "no VR": _START + _short(8, 5, b"\0\0", b"ab"),
    "too deep": _START + _nested(65),
    "the patient again": _START + _short(0x20, 0xE, b"UI") + _short(0x10, 0x20, b"LO"),
    "the study again": _START + _short(0x20, 0xD, b"UI") * 2,
    "a patient of another VR": _START + _short(0x10, 0x20, b"SH", b"ab"),
    "text without length, in an implicit encoding": _IMPLICIT_START + _implicit(8, 0x1030, _SEQUENCE_END, 0xFFFFFFFF),
    "fragments in an implicit encoding": _IMPLICIT_START
    + _implicit(0x7FE0, 0x10, _ITEM + _item(b"abcd") + _SEQUENCE_END, 0xFFFFFFFF),
    "fragments elsewhere": _START + _long(9, 0x1010, b"OB", _ITEM + _item(b"abcd") + _SEQUENCE_END, 0xFFFFFFFF),
    "a known text that is unknown here": _START + _long(8, 0x1030, b"UN", _SEQUENCE_END, 0xFFFFFFFF),
    "an end with a value": _START + _long(8, 0x1110, b"SQ", _SEQUENCE_END[:4] + b"\2\0\0\0", 0xFFFFFFFF),
    "VRs where there are none": _IMPLICIT_START + _implicit(8, 5, bytes(0x4C55)),
    "VRs where there are none, in an item": _START
    + _long(9, 0x1010, b"UN", _OPEN_ITEM + _implicit(8, 5, bytes(0x4C55)) + _ITEM_END + _SEQUENCE_END, 0xFFFFFFFF),
    "meta information of another length": bytes(128)
    + b"DICM"
    + _short(2, 0, b"UL", b"\x1e\0\0\0")
    + _META
    + _short(8, 5, b"CS"),
    "meta information again": _START + _short(8, 5, b"CS") + _META,
}


@pytest.mark.parametrize("step", [None, 1, 5])
@pytest.mark.parametrize("case", [*SOUND, *UNSOUND])
def test_what_is_sound_and_what_is_not(case: str, step: int | None) -> None:
    data = SOUND.get(case, UNSOUND.get(case))
    assert data is not None
    assert _is_sound(data, step) == (case in SOUND)


def _written(syntax: UID, depth: int) -> bytes:
    dataset = Dataset()
    dataset.PatientID = "A"
    inner = dataset
    for _ in range(depth):
        inner.ContentSequence = [Dataset()]
        inner = inner.ContentSequence[0]
    inner.TextValue = "x"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID("1.2"), UID("1.3")
    dataset.file_meta = meta
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian])
def test_nesting_is_bounded_in_every_encoding(syntax: UID) -> None:
    assert _is_sound(_written(syntax, 64))
    assert not _is_sound(_written(syntax, 65))


def test_elements_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part10_structure, "MAX_ELEMENTS", 100)
    assert _is_sound(_START + b"".join(_short(0x30, number, b"CS") for number in range(100)))
    assert not _is_sound(_START + b"".join(_short(0x30, number, b"CS") for number in range(101)))


@pytest.mark.parametrize("step", [None, 1, 100])
def test_what_is_deflated_is_bounded_and_whole(monkeypatch: pytest.MonkeyPatch, step: int | None) -> None:
    monkeypatch.setattr(part10_structure, "MAX_INFLATED_BYTES", 3_000_000)
    start = _START.replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99")

    def deflated(size: int) -> bytes:
        squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
        return start + squeezed.compress(_long(0x7FE0, 0x10, b"OB", bytes(size))) + squeezed.flush()

    assert _is_sound(deflated(2_900_000), step)
    assert _is_sound(deflated(2_900_000) + b"\0", step)
    assert _is_sound(deflated(100) + bytes(16), step)  # some writers add a checksum
    assert not _is_sound(deflated(100) + bytes(17), step)
    assert not _is_sound(deflated(3_100_000), step)
    assert not _is_sound(deflated(100)[:-3], step)
    assert not _is_sound(start + b"\xff" * 50, step)


def test_files_that_libraries_write_are_sound(run_size: Callable[[int, int], int], rng: random.Random) -> None:
    """Those that come with pydicom, but for the broken ones, which are known by name."""
    broken = {
        "SC_rgb_jpeg.dcm", "test_files__SC_rgb_jpeg.dcm", "rtplan_truncated.dcm", "MR_truncated.dcm",
        "meta_missing_tsyntax.dcm", "rtstruct.dcm", "no_meta.dcm", "no_meta_group_length.dcm", "winter.dcm",
        "rtdose_rle.dcm", "rtdose_rle_1frame.dcm",  # their PatientID is "UN"
    }  # fmt: skip
    folder = Path(pydicom.__file__).parent / "data"
    seen = 0
    for path in sorted(folder.rglob("*.dcm")):
        data = path.read_bytes()
        if data[128:132] != b"DICM":
            continue
        seen += 1
        step = rng.randint(1, 9) if len(data) < run_size(20_000, 1 << 40) else rng.randint(500, 9_000)
        assert _is_sound(data) == _is_sound(data, step)
        assert _is_sound(data) or path.name in broken, path.name
    assert seen > 60


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_are_told_alike_in_any_pieces(tail: bytes, step: int) -> None:
    assert _is_sound(_START + tail) == _is_sound(_START + tail, step)
