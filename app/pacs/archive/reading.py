"""Reading one DICOM file within bounds. Runs in a worker process: a file can be hostile.

What comes back names no value of the file but identifiers; reasons are words of ours.
"""

import io
import json
import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from app.core.dicom.dicomweb import Level
from app.core.dicom.identities import FoundIdentity
from app.pacs.archive.dicom_json import NestingError, to_json
from app.pacs.identity import UID_TAGS, uid_of
from app.pacs.origin import OriginInvalidError

# How much of a file is ever read into memory, and how far a deflated one may grow.
READ_LIMIT_BYTES = 256 * 1024 * 1024
METADATA_LIMIT_BYTES = 32 * 1024 * 1024
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PREFIX_OFFSET = 128
_LONG_LENGTH_VRS = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN"})


@dataclass(frozen=True, slots=True)
class PixelPlace:
    """Where native little-endian pixel data stands in the file, for frames to be sent from the disk as they are."""

    offset: int
    frame_bytes: int


@dataclass(frozen=True, slots=True)
class ReadInstance:
    """What the index keeps of a file. ``metadata`` is DICOM JSON, compressed with zlib; ``pixels`` only where frames
    lie ready.
    """

    study: str
    series: str
    instance: str
    identity: FoundIdentity
    sop_class: str
    modality: str
    transfer_syntax: str
    frames: int
    pixels: PixelPlace | None
    metadata: bytes


@dataclass(frozen=True, slots=True)
class NotRead:
    """Why a file is not in the archive. ``dicom`` is False for a file of another kind."""

    reason: str
    dicom: bool


class TooMuchError(ValueError):
    """A file that would take more memory than it may."""


_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (OSError, "the file cannot be read"),
    ((TooMuchError, MemoryError), "the file would take too much memory"),
    ((NestingError, RecursionError), "sequences are nested too deep"),
    (OriginInvalidError, "a UID is missing"),
)


class _Bounded(io.RawIOBase):
    """A file of which only so much can be read; skipping over parts of it is free."""

    def __init__(self, file: BinaryIO, limit_bytes: int) -> None:
        self._file = file
        self._left = limit_bytes

    def read(self, size: int | None = -1) -> bytes:
        data = self._file.read(self._left + 1 if size is None or size < 0 else min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise TooMuchError
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def link_base(study: str, series: str, instance: str) -> str:
    """The path of an instance below the service's root."""
    return f"/studies/{study}/series/{series}/instances/{instance}"


def read_instance(path: Path) -> ReadInstance | NotRead:
    """Everything that the index keeps of a file, or why it is left out. Raises nothing that a file can cause."""
    try:
        return _read(path)
    except Exception as error:  # noqa: BLE001  one bad file never stops an index, whatever a parser makes of it
        reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "not readable as DICOM")
        return NotRead(reason, dicom=not isinstance(error, OSError))


def _read(path: Path) -> ReadInstance | NotRead:
    with path.open("rb") as file:
        if file.read(_PREFIX_OFFSET + 4)[_PREFIX_OFFSET:] != b"DICM":
            return NotRead("no DICM prefix", dicom=False)
        dataset = open_dataset(file, pixels=False)
        found = _pixel_element(dataset, file)
    if "DirectoryRecordSequence" in dataset:
        return NotRead("a DICOMDIR", dicom=False)
    named = to_json(_only(dataset, UID_TAGS.values()), "")
    study, series, instance = (uid_of(named, level) for level in Level)
    bulk_base = link_base(study, series, instance) + "/bulk"
    metadata = to_json(dataset, bulk_base)
    if found is not None and found.name not in metadata:
        metadata[found.name] = {"vr": found.vr, "BulkDataURI": f"{bulk_base}/{found.name.lower()}"}
    encoded = json.dumps(metadata, allow_nan=False, separators=(",", ":")).encode("ascii")
    if len(encoded) > METADATA_LIMIT_BYTES:
        raise TooMuchError
    return ReadInstance(
        study=study,
        series=series,
        instance=instance,
        identity=FoundIdentity.of_dataset(metadata),
        sop_class=str(dataset.get("SOPClassUID", "") or ""),
        modality=str(dataset.get("Modality", "") or ""),
        transfer_syntax=transfer_syntax_of(dataset),
        frames=frame_count(dataset) if found is not None or "PixelData" in dataset else 0,
        pixels=None if found is None else _place(dataset, found, path.stat().st_size),
        metadata=zlib.compress(encoded, 1),
    )


def _only(dataset: Dataset, tags: Iterable[str]) -> Dataset:
    chosen = Dataset()
    for tag in tags:
        if int(tag, 16) in dataset:
            chosen.add(dataset[int(tag, 16)])
    return chosen


def open_dataset(file: BinaryIO, *, pixels: bool) -> FileDataset:
    """Parse a file within bounds. Without ``pixels`` it stops before the pixel data, with the file positioned there.

    A deflated file is always read whole, since nothing in it has a place of its own. Raises TooMuchError and what
    pydicom raises.
    """
    file.seek(_PREFIX_OFFSET + 4)
    bounded = cast("BinaryIO", _Bounded(file, READ_LIMIT_BYTES))  # what pydicom needs of one: read, seek and tell
    meta = read_dataset(bounded, is_implicit_VR=False, is_little_endian=True, stop_when=_after_meta)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        return _inflated(file, meta)
    file.seek(0)
    return pydicom.dcmread(bounded, stop_before_pixels=not pixels)


def _after_meta(tag: int, _vr: str | None, _length: int) -> bool:
    return tag >> 16 != 2


def _inflated(file: BinaryIO, meta: Dataset) -> FileDataset:
    length = meta.get("FileMetaInformationGroupLength")
    if not isinstance(length, int):
        raise InvalidDicomError("a deflated file without the length of its meta information")
    file.seek(_PREFIX_OFFSET + 4 + 12 + length)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    data = inflater.decompress(file.read(READ_LIMIT_BYTES), READ_LIMIT_BYTES)
    if inflater.unconsumed_tail:
        raise TooMuchError
    dataset = read_dataset(io.BytesIO(data), is_implicit_VR=False, is_little_endian=True)
    file.seek(0, os.SEEK_END)
    return FileDataset(file, dataset, file_meta=FileMetaDataset(meta), is_implicit_VR=False, is_little_endian=True)


def transfer_syntax_of(dataset: FileDataset) -> str:
    """The file's transfer syntax; what its encoding looks like where the meta information does not say."""
    named = dataset.file_meta.get("TransferSyntaxUID")
    if named:
        return str(named)
    implicit, little = dataset.original_encoding
    if implicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if little else ExplicitVRBigEndian)


def frame_count(dataset: Dataset) -> int:
    """NumberOfFrames, 1 where it is absent or senseless (PS3.3 §C.7.6.6)."""
    try:
        return max(1, int(dataset.get("NumberOfFrames") or 1))
    except (TypeError, ValueError):
        return 1


def frame_bits(dataset: Dataset) -> int:
    """How many bits a native frame takes (PS3.5 §8). Raises ValueError where the image does not say."""
    sizes = [dataset.get(keyword) for keyword in ("Rows", "Columns", "BitsAllocated")]
    samples = dataset.get("SamplesPerPixel", 1)
    if not all(isinstance(size, int) and size > 0 for size in (*sizes, samples)):
        raise ValueError("the image does not say how large it is")
    bits = int(samples)
    for size in sizes:
        bits *= int(size or 0)
    return bits // 3 * 2 if dataset.get("PhotometricInterpretation") == "YBR_FULL_422" else bits


@dataclass(frozen=True, slots=True)
class _PixelElement:
    """``length`` None: encapsulated in fragments."""

    name: str
    vr: str
    offset: int
    length: int | None


def _pixel_element(dataset: FileDataset, file: BinaryIO) -> _PixelElement | None:
    """The element that parsing stopped at, None for a file without pixels."""
    implicit, little = dataset.original_encoding
    start = file.tell()
    head = file.read(12)
    if len(head) < 8:
        return None
    order = "<" if little else ">"
    group, element = struct.unpack(order + "HH", head[:4])
    tag = group << 16 | element
    if tag not in PIXEL_TAGS:
        return None
    if implicit:
        vr, header_bytes = "OW", 8
    else:
        vr, header_bytes = head[4:6].decode("latin-1"), 12 if head[4:6] in _LONG_LENGTH_VRS else 8
        if header_bytes == 8 or len(head) < 12:
            return None
    length = struct.unpack(order + "I", head[header_bytes - 4 : header_bytes])[0]
    if length == 0:
        return None
    return _PixelElement(f"{tag:08X}", vr, start + header_bytes, None if length == _UNDEFINED_LENGTH else length)


def _place(dataset: FileDataset, found: _PixelElement, file_bytes: int) -> PixelPlace | None:
    """Where frames lie ready to be sent: native, little-endian, each starting on a byte, all of them there."""
    if found.length is None or transfer_syntax_of(dataset) not in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        return None
    try:
        bits = frame_bits(dataset)
    except ValueError:
        return None
    size = bits // 8
    whole = size * frame_count(dataset) <= found.length and found.offset + found.length <= file_bytes
    return PixelPlace(found.offset, size) if bits % 8 == 0 and whole else None
