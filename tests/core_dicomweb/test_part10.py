"""The identity in a file's first bytes: pydicom's answer, however cut into pieces, or a refusal, always in bounds."""

import itertools
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from struct import pack
from typing import Any, Final

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from app.core.dicom.part10 import MAX_LOOKED_AT_BYTES, Part10Identity, Part10Scanner
from app.core.dicom.part10_encoding import MAX_DEPTH, Part10InvalidError
from app.core.identifiers import Subject
from tests.support.needs import CORPUS

BUNDLED: Final = Path(pydicom.__file__).parent / "data"
ENCODINGS: Final = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
]


def _scan(pieces: Sequence[bytes], limit: int = MAX_LOOKED_AT_BYTES) -> Part10Identity:
    scanner = Part10Scanner(limit)
    for piece in pieces:
        if found := scanner.feed(piece):
            return found
    return scanner.close()


def _scan_or_none(pieces: Sequence[bytes], limit: int = MAX_LOOKED_AT_BYTES) -> Part10Identity | None:
    try:
        return _scan(pieces, limit)
    except Part10InvalidError:
        return None


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _file(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("1.2.3.4")
    written = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = FileDataset(written, dataset, file_meta=meta, preamble=b"\0" * 128)
        pydicom.dcmwrite(written, whole, enforce_file_format=True)
    return written.getvalue()


def _dataset(**values: Any) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = pydicom.uid.CTImageStorage
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.StudyInstanceUID = "1.2"
    dataset.SeriesInstanceUID = "1.2.3"
    dataset.PatientID = "MRN1"
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def _values(value: Any) -> tuple[str, ...]:
    if value in (None, ""):
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _by_pydicom(data: bytes) -> tuple[Any, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
        names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        return (
            *(str(dataset.get(name, "")) for name in names),
            _values(dataset.get("PatientID")),
            _values(dataset.get("IssuerOfPatientID")),
            str(dataset.file_meta.TransferSyntaxUID),
        )


def _ours(found: Part10Identity) -> tuple[Any, ...]:
    return (found.study, found.series, found.instance, found.patient_ids, found.issuers, found.transfer_syntax)


# Of the bundled files, those that break the format; pydicom reads or refuses them as it can.
MALFORMED: Final = {
    "winter.dcm": "a palette, its elements out of order",
    "SC_rgb_jpeg.dcm": "implicit data under an explicit transfer syntax",
    "meta_missing_tsyntax.dcm": "no transfer syntax",
    "nested_priv_SQ.dcm": "elements out of order",
    "rtstruct.dcm": "no file meta information",
    "ExplVR_LitEndNoMeta.dcm": "no file meta information",
    "ExplVR_BigEndNoMeta.dcm": "no file meta information",
    "no_meta.dcm": "no file meta information",
}


def _bundled() -> Iterator[Path]:
    return (path for path in sorted(BUNDLED.rglob("*")) if path.suffix in {".dcm", ""} and path.is_file())


def _check_like_pydicom(path: Path) -> None:
    data = path.read_bytes()
    found = _scan_or_none([data])
    if found is None:
        assert path.name.removeprefix("test_files__") in MALFORMED or not _is_dicom(data), path.name
    else:
        assert _ours(found) == _by_pydicom(data), path.name
    head = data[:20_000]
    assert _scan_or_none(_pieces(head, 7)) == _scan_or_none([head]), path.name


def _is_dicom(data: bytes) -> bool:
    return data[128:132] == b"DICM"


def test_each_bundled_file_is_told_as_pydicom_tells_it() -> None:
    paths = list(_bundled())
    assert len(paths) > 100
    for path in paths:
        _check_like_pydicom(path)


@pytest.mark.corpus
def test_each_sample_file_is_told_as_pydicom_tells_it() -> None:
    paths = [path for path in sorted(CORPUS.rglob("*")) if path.is_file()]
    assert len(paths) > 200
    for path in paths:
        _check_like_pydicom(path)


TEXTS: Final = [
    ("MRN1", "", None, ("MRN1",), ()),
    ("患者-1014", "病院", "ISO_IR 192", ("患者-1014",), ("病院",)),
    ("Ü-7", "", "ISO_IR 100", ("Ü-7",), ()),
    ("김-1", "", ["", "ISO 2022 IR 149"], ("김-1",), ()),
    ("a,b*?/%", "I", None, ("a,b*?/%",), ("I",)),
    ("  pad ded  ", "", None, ("pad ded",), ()),
    ("   ", "", None, (), ()),
    ("", "", None, (), ()),
    (["A", "B"], "", None, ("A", "B"), ()),
    ("A", ["X", "Y"], None, ("A",), ("X", "Y")),
]


@pytest.mark.parametrize("syntax", ENCODINGS)
@pytest.mark.parametrize(("patient_id", "issuer", "character_set", "patient_ids", "issuers"), TEXTS)
def test_patient_ids_are_told_in_every_encoding(
    syntax: str,
    patient_id: Any,
    issuer: Any,
    character_set: Any,
    patient_ids: tuple[str, ...],
    issuers: tuple[str, ...],
) -> None:
    dataset = _dataset(PatientID=patient_id, IssuerOfPatientID=issuer)
    if character_set is not None:
        dataset.SpecificCharacterSet = character_set
    found = _scan([_file(dataset, syntax)])
    assert _ours(found) == ("1.2", "1.2.3", "1.2.3.4", patient_ids, issuers, syntax)
    is_sole = len(patient_ids) < 2 and len(issuers) < 2
    expected = Subject("".join(patient_ids), "".join(issuers)) if is_sole else Subject("", "")
    assert found.subject == expected


def test_text_that_cannot_be_told_is_refused() -> None:
    data = _file(_dataset(SpecificCharacterSet="ISO_IR 100", PatientID="Ü-7"))
    with pytest.raises(Part10InvalidError):
        _scan([data.replace(b"ISO_IR 100", b"ISO_IR 999")])
    with pytest.raises(Part10InvalidError):
        _scan([EXPLICIT + INSTANCE.replace(b"4", b"\xff") + REST])


def _nested(depth: int, *, defined: bool) -> Dataset:
    inner = Dataset()
    inner.PatientID = "OTHER"
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedStudySequence = DicomSequence([inner, Dataset()])
        outer["ReferencedStudySequence"].is_undefined_length = not defined
        inner.is_undefined_length_sequence_item = not defined
        inner = outer
    return inner


@pytest.mark.parametrize("syntax", ENCODINGS)
@pytest.mark.parametrize("defined", [True, False])
def test_what_a_sequence_holds_is_not_the_files_own(syntax: str, *, defined: bool) -> None:
    dataset = _dataset()
    dataset.update(_nested(3, defined=defined))
    data = _file(dataset, syntax)
    assert _scan([data]).patient_ids == ("MRN1",)
    assert _scan(_pieces(data, 1)) == _scan([data])


def test_sequences_nest_to_a_bound() -> None:
    for depth, is_fine in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False)):
        dataset = _dataset()
        dataset.update(_nested(depth, defined=False))
        assert (_scan_or_none([_file(dataset)]) is not None) == is_fine


def test_absent_uids_are_empty() -> None:
    dataset = Dataset()
    dataset.PatientID = "A"
    found = _scan([_file(dataset)])
    assert (found.study, found.series, found.instance, found.subject) == ("", "", "", Subject("A", ""))


# --- Files made by hand: what pydicom would not write ---

META: Final = b"\0" * 128 + b"DICM"


def _short(tag: int, vr: bytes, value: bytes) -> bytes:
    return pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def _long(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    return pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, len(value) if length is None else length) + value


def _raw(tag: int, value: bytes, length: int | None = None) -> bytes:
    return pack("<HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


UNDEFINED: Final = 0xFFFFFFFF
EXPLICIT: Final = META + _short(0x00020010, b"UI", b"1.2.840.10008.1.2.1\0")
IMPLICIT: Final = META + _short(0x00020010, b"UI", b"1.2.840.10008.1.2\0")
DEFLATED: Final = META + _short(0x00020010, b"UI", b"1.2.840.10008.1.2.1.99")
INSTANCE: Final = _short(0x00080018, b"UI", b"1.2.3.4\0")
REST: Final = (
    _short(0x00100020, b"LO", b"MRN1") + _short(0x0020000D, b"UI", b"1.2\0") + _short(0x0020000E, b"UI", b"1.2.3\0")
)
SEQUENCE: Final = 0x00081110
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


FINE: Final[dict[str, bytes]] = {
    "plain": EXPLICIT + INSTANCE + REST,
    "no value of a long form in the way": EXPLICIT + INSTANCE + _long(0x00090001, b"OB", b"\1" * 5000) + REST,
    "unknown without length is implicit": EXPLICIT
    + INSTANCE
    + _long(
        0x00091001,
        b"UN",
        _raw(ITEM, _raw(0x00100020, b"X\0"), UNDEFINED) + _raw(ITEM_END, b"") + _raw(SEQUENCE_END, b""),
        UNDEFINED,
    )
    + REST,
    "fragments": EXPLICIT
    + INSTANCE
    + _long(0x00091001, b"OB", _raw(ITEM, b"") + _raw(ITEM, b"\xff" * 90) + _raw(SEQUENCE_END, b""), UNDEFINED)
    + REST,
    "an item with a length": EXPLICIT
    + INSTANCE
    + _long(SEQUENCE, b"SQ", _raw(ITEM, b"\xff" * 7) + _raw(SEQUENCE_END, b""), UNDEFINED)
    + REST,
    "a private syntax is explicit": EXPLICIT.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.113619.5.2\0\0")
    + INSTANCE
    + REST,
    "deflated": DEFLATED + _deflate(INSTANCE + REST),
    "the rest is not looked at": EXPLICIT + INSTANCE + REST + b"\xff" * 100,
}


@pytest.mark.parametrize("name", FINE)
def test_a_file_in_order_is_told_in_pieces_of_any_size(name: str) -> None:
    expected = ("1.2", "1.2.3", "1.2.3.4", ("MRN1",), ())
    for size in (1, 2, 3, 11, 4096, 100_000):
        assert _ours(_scan(_pieces(FINE[name], size)))[:5] == expected


BROKEN: Final[dict[str, bytes]] = {
    "nothing": b"",
    "a preamble alone": b"\0" * 128,
    "no prefix": b"\0" * 128 + b"DICX" + REST,
    "meta information alone": META,
    "no transfer syntax": META + _short(0x00020012, b"UI", b"1.2\0") + INSTANCE + REST,
    "a short head": EXPLICIT + INSTANCE + b"\x10\0\x20\0",
    "a short long head": EXPLICIT + INSTANCE + _long(0x00090001, b"OB", b"")[:10],
    "a value past the end": EXPLICIT + INSTANCE + REST[:-3],
    "a length past the end": EXPLICIT + INSTANCE + _long(0x00090001, b"OB", b"", 1 << 19) + REST,
    "a second patient id": EXPLICIT + INSTANCE + _short(0x00100020, b"LO", b"OTHER ") + REST,
    "an element out of order": EXPLICIT + INSTANCE + _short(0x00080016, b"UI", b"1.2\0") + REST,
    "meta information late": EXPLICIT + INSTANCE + _short(0x00020012, b"UI", b"1.2\0") + REST,
    "no value representation": EXPLICIT + INSTANCE + _short(0x00080020, b"\0\0", b"20200101") + REST,
    "a long patient id": EXPLICIT + INSTANCE + _short(0x00100020, b"LO", b"A" * 5000) + REST,
    "a delimiter at the top": EXPLICIT + INSTANCE + _raw(ITEM, b"") + REST,
    "a string without length": EXPLICIT + INSTANCE + _long(0x00090001, b"UT", b"", UNDEFINED) + REST,
    "an element between items": EXPLICIT
    + INSTANCE
    + _long(SEQUENCE, b"SQ", _short(0x00100020, b"LO", b"XX"), UNDEFINED)
    + REST,
    "an item's end between items": EXPLICIT + INSTANCE + _long(SEQUENCE, b"SQ", _raw(ITEM_END, b""), UNDEFINED) + REST,
    "an item in an item": EXPLICIT
    + INSTANCE
    + _long(SEQUENCE, b"SQ", _raw(ITEM, _raw(ITEM, b""), UNDEFINED), UNDEFINED)
    + REST,
    "a sequence that does not end": EXPLICIT + INSTANCE + _long(SEQUENCE, b"SQ", b"", UNDEFINED),
    "not deflated": DEFLATED + b"\xff" * 100,
    "deflated and cut short": DEFLATED + _deflate(INSTANCE)[:-1],
    "implicit, a length past the end": IMPLICIT + _raw(0x00080018, b"1.2\0", 1000),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_breaks_the_format_is_refused_in_pieces_of_any_size(name: str) -> None:
    for size in (1, 5, 4096, 100_000):
        assert _scan_or_none(_pieces(BROKEN[name], size)) is None


def test_no_more_is_looked_at_than_the_bound() -> None:
    padding = _long(0x00090001, b"OB", b"\0" * 10_000)
    data = EXPLICIT + INSTANCE + padding + REST
    assert _scan([data], limit=20_000).study == "1.2"
    with pytest.raises(Part10InvalidError):
        _scan([data], limit=9_000)
    with pytest.raises(Part10InvalidError):
        _scan([EXPLICIT, *itertools.repeat(_long(0x00090001, b"OB", b"\0" * 1000), 9)], limit=900)


def test_a_bomb_is_not_inflated() -> None:
    data = DEFLATED + _deflate(INSTANCE + _long(0x00090001, b"OB", b"\0" * 300_000_000) + REST)
    assert len(data) < 400_000
    scanner = Part10Scanner()
    with pytest.raises(Part10InvalidError):
        scanner.feed(data)
    assert scanner._looked_at <= MAX_LOOKED_AT_BYTES + 1


_ELEMENTS: Final = st.lists(
    st.sampled_from(
        [
            INSTANCE,
            REST,
            _raw(ITEM, b"", UNDEFINED),
            _raw(ITEM, b"abc"),
            _raw(ITEM_END, b""),
            _raw(SEQUENCE_END, b""),
            _long(SEQUENCE, b"SQ", b"", UNDEFINED),
            _long(0x00091001, b"UN", b"", UNDEFINED),
            _long(0x00091002, b"OB", b"x" * 9),
            _short(0x00080020, b"DA", b"20200101"),
            b"\x08",
        ]
    )
    | st.binary(max_size=12),
    max_size=12,
).map(b"".join)


@given(
    head=st.sampled_from([EXPLICIT, IMPLICIT, DEFLATED, META]),
    body=_ELEMENTS,
    size=st.integers(1, 40),
    packed=st.booleans(),
)
def test_any_bytes_are_told_or_refused_alike_in_any_pieces(
    head: bytes, body: bytes, size: int, *, packed: bool
) -> None:
    data = head + (_deflate(body) if packed else body)
    assert _scan_or_none(_pieces(data, size)) == _scan_or_none([data])


@given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000), to=st.integers(0, 255))
def test_a_damaged_file_never_shows_another_identity_than_pydicom_reads(cut: int, flip: int, to: int) -> None:
    whole = bytearray(FINE["unknown without length is implicit"])
    whole[flip % len(whole)] = to
    data = bytes(whole[: max(1, cut % (2 * len(whole)))])
    found = _scan_or_none([data])
    if found is not None:
        _agrees(found, data, _by_pydicom)


def _agrees(found: Part10Identity, data: bytes, read: Callable[[bytes], tuple[Any, ...]]) -> None:
    try:
        theirs = read(data)
    except Exception:  # noqa: BLE001 - whatever pydicom makes of damage, it did not read another identity
        return
    assert found.subject.patient_id in {"", *theirs[3]}


def test_nothing_follows_what_the_bound_cut_off() -> None:
    packer = zlib.compressobj(0, wbits=-zlib.MAX_WBITS)
    body = INSTANCE + _short(0x00100020, b"LO", b"A" * 4000) + REST
    deflated = packer.compress(body) + packer.flush()
    assert _scan_or_none([DEFLATED + deflated[:1000], deflated[1000:]], limit=2000) is None
