"""What a DICOMweb request asks for, as a value (PS3.18 §8, §10)."""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

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
    THUMBNAIL = "thumbnail"
    THUMBNAIL_FRAMES = "thumbnail-frames"
    PIXELDATA = "pixeldata"
    BULKDATA = "bulkdata"  # one value, by its BulkDataURI
    ALL_BULKDATA = "all-bulkdata"


# What stands before the path of an element in a BulkDataURI: Orthanc writes the first, others the second. PS3.18
# §10.4.1.1.5 leaves the form to the origin server.
BULK_WORDS: Final = ("bulk", "bulkdata")


@dataclass(frozen=True, slots=True)
class Retrieve:
    """A WADO-RS retrieval. ``series`` and ``instance`` are None above their level.

    ``bulk_path`` holds the components of a BulkDataURI after ``bulk_word`` (tags in lower-case hex and 1-based item
    numbers), checked against a grammar; ``bulk_word`` is the one of BULK_WORDS that the archive writes. ``query`` holds
    the rendering parameters (viewport, window, quality …) that passed the grammar, already percent-decoded, in the
    order given; it is empty for what is not rendered. ``accept`` is the query parameter of that name (PS3.18 §8.3.3.1),
    for the negotiation.
    """

    representation: Representation
    study: StudyUid
    series: SeriesUid | None = None
    instance: InstanceUid | None = None
    frames: tuple[int, ...] = ()
    bulk_path: tuple[str, ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    accept: str | None = None
    bulk_word: str = "bulk"

    @property
    def level(self) -> Level:
        if self.instance is not None:
            return Level.INSTANCE
        return Level.STUDY if self.series is None else Level.SERIES


@dataclass(frozen=True, slots=True)
class Matching:
    """One matching key: the path of tags ("00400275", "00400009" for a dotted sequence, 8 upper-case hex digits each).

    The value is percent-decoded and fits the attribute's VR. Several values (a UID list, ModalitiesInStudy) are
    joined by commas. Empty is universal matching. ``empty``: the attribute must be missing or without a value
    (PS3.4 §C.2.2.2.7); the value then stands for nothing.
    """

    path: tuple[str, ...]
    value: str
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """A QIDO-RS search for the studies, series or instances below ``study`` and ``series`` (PS3.18 §10.6).

    ``include`` holds tag paths; ``include_all`` is ``includefield=all``. ``limit`` None means not given;
    ``limit_capped`` says that more was asked for than the limit that stands here. ``unsupported`` names the
    parameters asked for that only a Warning answers (fuzzymatching …). ``accept`` is the query parameter of that
    name, for the negotiation.
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
    limit_capped: bool = False
    unsupported: tuple[str, ...] = ()
    accept: str | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """A STOW-RS store transaction (PS3.18 §10.5). ``study`` is the one study that all of it belongs to, None for any.

    ``accept`` is the query parameter of that name, for the negotiation.
    """

    study: StudyUid | None = None
    accept: str | None = None
