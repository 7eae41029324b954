"""What a DICOMweb request asks for, as a value (PS3.18 §8, §10)."""

from dataclasses import dataclass
from enum import Enum, IntEnum

from app.core.identifiers import InstanceUid, SeriesUid, StudyUid


class Level(IntEnum):
    """The level of a resource, or of what a search lists."""

    STUDY = 1
    SERIES = 2
    INSTANCE = 3


class Representation(Enum):
    """What of a resource is asked for (PS3.18 §10.4.1)."""

    DICOM = "dicom"
    METADATA = "metadata"
    FRAMES = "frames"
    RENDERED = "rendered"
    RENDERED_FRAMES = "rendered-frames"
    BULKDATA = "bulkdata"


@dataclass(frozen=True, slots=True)
class Retrieve:
    """A WADO-RS retrieval. ``series`` and ``instance`` are None above their level.

    ``bulk_path`` holds the components after ``bulk`` of an Orthanc-style BulkDataURI (tags and 1-based item numbers), checked
    against a grammar. ``query`` holds the rendering parameters (viewport, window, quality …) that passed the grammar,
    already percent-decoded, in the order given.
    """

    representation: Representation
    study: StudyUid
    series: SeriesUid | None = None
    instance: InstanceUid | None = None
    frames: tuple[int, ...] = ()
    bulk_path: tuple[str, ...] = ()
    query: tuple[tuple[str, str], ...] = ()

    @property
    def level(self) -> Level:
        if self.instance is not None:
            return Level.INSTANCE
        return Level.STUDY if self.series is None else Level.SERIES


@dataclass(frozen=True, slots=True)
class Matching:
    """One matching key: the path of tags ("00400275", "00080060" for a dotted sequence), each 8 upper-case hex digits, and its raw value."""

    path: tuple[str, ...]
    value: str


@dataclass(frozen=True, slots=True)
class Search:
    """A QIDO-RS search for the studies, series or instances below ``study`` and ``series`` (PS3.18 §10.6).

    ``include`` holds tag paths; ``include_all`` is ``includefield=all``. ``limit`` None means not given.
    """

    level: Level
    study: StudyUid | None = None
    series: SeriesUid | None = None
    matching: tuple[Matching, ...] = ()
    include: tuple[tuple[str, ...], ...] = ()
    include_all: bool = False
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False
