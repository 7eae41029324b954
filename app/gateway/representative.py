"""The instances of a study or series that can be shown, and the one that stands for all of them.

PS3.18 §10.4.1.1.4 leaves the choice to the origin server. Here it is the middle one, in the order of series and
instance UIDs, which is the same at every archive.
"""

from dataclasses import dataclass

from app.core.dicom.dicomjson import DicomJson, check_uids
from app.core.dicom.dicomweb import Level, Matching, Retrieve, Search
from app.core.dicom.identities import Accepted
from app.core.identifiers import InstanceUid, SeriesUid
from app.gateway.ports import Alarm, Wiring
from app.gateway.resolution import text_of
from app.pacs.origin import OriginInvalidError

_SERIES_UID = "0020000E"
_INSTANCE_UID = "00080018"
_ROWS = "00280010"
_NUMBER_OF_FRAMES = "00280008"


@dataclass(frozen=True, slots=True, order=True)
class Shown:
    """An instance with pixels, and how many frames of them."""

    series: SeriesUid
    instance: InstanceUid
    frames: int


async def instances_with_pixels(asked: Retrieve, accepted: Accepted, wiring: Wiring) -> list[Shown] | None:
    """Those of the resource asked for, in order; None where the archive has no instance of it at all.

    Raises OriginInvalidError for a row of another patient, DatasetInvalidError for one of another resource, and what
    the origin raises.
    """
    matching = () if asked.instance is None else (Matching((_INSTANCE_UID,), str(asked.instance)),)
    include = ((_ROWS,), (_NUMBER_OF_FRAMES,))
    search = Search(Level.INSTANCE, study=asked.study, series=asked.series, matching=matching, include=include)
    found: set[Shown] = set()
    rows = [row for row in await wiring.origin.search(search) if asked.instance in (None, text_of(row, _INSTANCE_UID))]
    for row in rows:
        check_uids(row, asked.study, asked.series)
        if not accepted.takes_dataset(row):
            wiring.alarm(Alarm.WRONG_PATIENT)
            raise OriginInvalidError("a row of another patient")
        series, instance = text_of(row, _SERIES_UID), text_of(row, _INSTANCE_UID)
        if series is None or instance is None:
            raise OriginInvalidError("a row without its UIDs")
        if _number(row, _ROWS):
            found.add(Shown(SeriesUid(series), InstanceUid(instance), _number(row, _NUMBER_OF_FRAMES) or 1))
    return sorted(found) if rows else None


def middle(shown: list[Shown]) -> Shown | None:
    """The one that stands for all, None where there is none."""
    return shown[len(shown) // 2] if shown else None


def _number(row: DicomJson, tag: str) -> int:
    """The element's one whole number, however the archive writes it; 0 for anything else."""
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], int | str):
        return 0
    text = str(values[0]).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
