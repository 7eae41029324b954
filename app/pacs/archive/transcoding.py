"""A file in explicit little-endian, for those who asked for no other transfer syntax (PS3.18 §8.7.3.5.2).

Runs in a worker process.
"""

import io

import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRLittleEndian

from app.pacs.archive.files import IndexedFile, opened
from app.pacs.archive.media import native
from app.pacs.archive.pixels import DECODED_LIMIT_BYTES, swapped
from app.pacs.archive.reading import frame_bits, frame_count, open_dataset, transfer_syntax_of
from app.pacs.origin import OriginInvalidError, OriginUnavailableError

WORD_BYTES = {"OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2}


def in_explicit_little_endian(indexed: IndexedFile) -> bytes | None:
    """The whole file, its pixels decoded. None where nothing here can: then it goes as it is stored.

    Raises OriginInvalidError or OriginUnavailableError when the file is not the one that was indexed.
    """
    try:
        with opened(indexed) as file:
            dataset = open_dataset(file, pixels=True)
        _convert(dataset)
        output = io.BytesIO()
        # dcmwrite and not save_as, which refuses to turn the byte order: _convert has done what it cannot
        pydicom.dcmwrite(output, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
        return output.getvalue()
    except (OriginInvalidError, OriginUnavailableError):
        raise
    except Exception:  # noqa: BLE001  whatever a codec or a writer makes of the file, it can still go as it is
        return None


def _convert(dataset: FileDataset) -> None:
    if not native(transfer_syntax_of(dataset)):
        if frame_bits(dataset) // 8 * frame_count(dataset) > DECODED_LIMIT_BYTES:
            raise ValueError("the decoded image is too large")
        dataset.decompress(generate_instance_uid=False)
    elif not dataset.original_encoding[1]:
        _swap(dataset)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _swap(dataset: Dataset) -> None:
    """Words that pydicom keeps as bytes in the order of the file; numbers it reads and writes by itself."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _swap(item)
        elif element.VR in WORD_BYTES and isinstance(element.value, bytes):
            word_bytes = WORD_BYTES[element.VR]
            if element.tag == 0x7FE00010:
                word_bytes = max(word_bytes, int(dataset.BitsAllocated) // 8)
            element.value = swapped(element.value, word_bytes)
