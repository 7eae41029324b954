"""Frames of a file: as stored, or decoded into native little-endian. Runs in a worker process."""

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ExplicitVRBigEndian

from app.pacs.archive.files import IndexedFile, opened
from app.pacs.archive.media import EXPLICIT_LE, native
from app.pacs.archive.reading import frame_bits, frame_count, open_dataset, transfer_syntax_of

# What decoded frames of one answer may take together, and what one may.
DECODED_LIMIT_BYTES = 512 * 1024 * 1024
_PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames in the order asked for. ``transfer_syntax`` is theirs."""

    transfer_syntax: str
    data: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class NoFrames:
    """Why there are none: 404 past the last, 406 where nothing here decodes them, 502 where the file is broken."""

    status: int


def stored_frames(indexed: IndexedFile, numbers: tuple[int, ...]) -> Frames | NoFrames:
    """Frames (counted from 1) as the file holds them; native ones in explicit little-endian."""
    try:
        with opened(indexed) as file:
            dataset = open_dataset(file, pixels=True)
        if not _have(dataset, numbers):
            return NoFrames(404)
        syntax = transfer_syntax_of(dataset)
        if native(syntax):
            return Frames(EXPLICIT_LE, _native_frames(dataset, numbers))
        return Frames(syntax, _fragments(dataset, numbers))
    except Exception:  # noqa: BLE001  whatever a parser makes of a broken file, it is the file that is broken
        return NoFrames(502)


def decoded_frames(indexed: IndexedFile, numbers: tuple[int, ...]) -> Frames | NoFrames:
    """Frames (counted from 1) in native explicit little-endian."""
    try:
        with opened(indexed) as file:
            dataset = open_dataset(file, pixels=True)
        if not _have(dataset, numbers):
            return NoFrames(404)
        if native(transfer_syntax_of(dataset)):
            return Frames(EXPLICIT_LE, _native_frames(dataset, numbers))
        if frame_bits(dataset) // 8 * len(numbers) > DECODED_LIMIT_BYTES:
            return NoFrames(406)
        return Frames(EXPLICIT_LE, tuple(_decoded(dataset, number) for number in numbers))
    except (NotImplementedError, RuntimeError):  # no decoder here takes this syntax, or this form of it
        return NoFrames(406)
    except Exception:  # noqa: BLE001  as above
        return NoFrames(502)


def decoded_array(dataset: FileDataset, number: int) -> tuple[np.ndarray, str]:
    """One frame as an array of rows by columns (by samples), and its photometric interpretation after decoding.

    Raises NotImplementedError or RuntimeError where no decoder takes it.
    """
    if frame_bits(dataset) // 8 > DECODED_LIMIT_BYTES:
        raise RuntimeError("the frame is too large")
    decoder = get_decoder(UID(transfer_syntax_of(dataset)))
    array, properties = decoder.as_array(dataset, index=number - 1, raw=False)
    return array, str(properties["photometric_interpretation"])


def _have(dataset: FileDataset, numbers: tuple[int, ...]) -> bool:
    return any(keyword in dataset for keyword in _PIXEL_KEYWORDS) and max(numbers) <= frame_count(dataset)


def _native_frames(dataset: FileDataset, numbers: tuple[int, ...]) -> tuple[bytes, ...]:
    keyword = next(keyword for keyword in _PIXEL_KEYWORDS if keyword in dataset)
    data = bytes(dataset[keyword].value)
    bits = frame_bits(dataset)
    if transfer_syntax_of(dataset) == ExplicitVRBigEndian and dataset[keyword].VR != "OB":
        data = swapped(data, max(2, int(dataset.BitsAllocated) // 8))
    return tuple(_cut(data, (number - 1) * bits, bits) for number in numbers)


def _cut(data: bytes, start_bit: int, bits: int) -> bytes:
    """Bits of packed data, beginning on a byte of their own: a frame of single-bit pixels may start amid a byte (PS3.5
    §8.1.1).
    """
    if (start_bit + bits + 7) // 8 > len(data):
        raise ValueError("the pixel data is shorter than it says")
    if start_bit % 8 == 0 and bits % 8 == 0:
        return data[start_bit // 8 : (start_bit + bits) // 8]
    spanned = np.frombuffer(data[start_bit // 8 : (start_bit + bits + 7) // 8], dtype=np.uint8)
    unpacked = np.unpackbits(spanned, bitorder="little")[start_bit % 8 :][:bits]
    return np.packbits(unpacked, bitorder="little").tobytes()


def swapped(data: bytes, word_bytes: int) -> bytes:
    """The same words in the other byte order."""
    if word_bytes == 1:
        return data
    whole = data[: len(data) // word_bytes * word_bytes]
    return np.frombuffer(whole, dtype=np.dtype(f"u{word_bytes}")).byteswap().tobytes()


def _fragments(dataset: FileDataset, numbers: tuple[int, ...]) -> tuple[bytes, ...]:
    """Encapsulated frames, each of one or several fragments (PS3.5 §A.4)."""
    extended = None
    if "ExtendedOffsetTable" in dataset:
        extended = dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    wanted, found = set(numbers), {}
    frames = generate_frames(dataset.PixelData, number_of_frames=frame_count(dataset), extended_offsets=extended)
    for number, frame in enumerate(frames, 1):
        if number in wanted:
            found[number] = frame
            if len(found) == len(wanted):
                break
    return tuple(found[number] for number in numbers)


def _decoded(dataset: FileDataset, number: int) -> bytes:
    """Colour comes out as RGB, whatever the compressed form was in, as from other archives."""
    array, _ = decoded_array(dataset, number)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
