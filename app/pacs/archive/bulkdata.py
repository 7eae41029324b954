"""One binary value of a file, by the path that the metadata gave for it. Runs in a worker process."""

from collections.abc import Sequence

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from app.pacs.archive.dicom_json import is_bulk
from app.pacs.archive.files import IndexedFile, opened
from app.pacs.archive.media import native
from app.pacs.archive.pixels import swapped
from app.pacs.archive.reading import frame_count, open_dataset, transfer_syntax_of
from app.pacs.archive.transcoding import WORD_BYTES

_PIXEL_GROUP = "7FE0"


def bulk_value(indexed: IndexedFile, bulk_path: tuple[str, ...]) -> list[bytes] | int:
    """The value in little-endian; encapsulated pixel data frame by frame. A status instead: 404, or 502 for a broken
    file.

    ``bulk_path``: a tag, or a sequence's tag, an item's number from 1, and so on down to a tag.
    """
    try:
        with opened(indexed) as file:
            dataset = open_dataset(file, pixels=bulk_path[-1].upper().startswith(_PIXEL_GROUP))
        found = _walk(dataset, bulk_path)
        if found is None:
            return 404
        if not native(transfer_syntax_of(dataset)) and found.tag == 0x7FE00010 and len(bulk_path) == 1:
            return [bytes(frame) for frame in generate_frames(found.value, number_of_frames=frame_count(dataset))]
        data = found.value if isinstance(found.value, bytes) else str(found.value).encode("utf-8")
        little = dataset.original_encoding[1]
        return [data if little else swapped(data, WORD_BYTES.get(found.VR, 1))]
    except Exception:  # noqa: BLE001  whatever a parser makes of a broken file, it is the file that is broken
        return 502


def _walk(dataset: Dataset, bulk_path: Sequence[str]) -> DataElement | None:
    """The element at the end of the path, if it is one that goes by BulkDataURI."""
    level: Dataset = dataset
    for at in range(0, len(bulk_path) - 1, 2):
        tag, number = int(bulk_path[at], 16), int(bulk_path[at + 1])
        if tag not in level or level[tag].VR != "SQ" or not 1 <= number <= len(level[tag].value):
            return None
        level = level[tag].value[number - 1]
    tag = int(bulk_path[-1], 16)
    return level[tag] if tag in level and is_bulk(level[tag]) else None
