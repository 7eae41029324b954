"""The port to the origin server: the PACS that holds the images. Two adapters: remote DICOMweb, and the embedded
archive.

Both pass one conformance suite (tests/pacs/). An adapter answers what it is asked and decides nothing about who may see
it.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.core.dicom.dicomweb import Level, Retrieve, Search
from app.core.dicom.identities import Accepted, StudyIdentities
from app.core.dicom.storing import InstanceName, Result
from app.core.identifiers import StudyDate, StudyUid, Subject

# A DICOM JSON data set (PS3.18 §F): tag → {"vr", "Value" | "BulkDataURI" | "InlineBinary"}.
DicomJson = dict[str, Any]


class OriginUnavailableError(Exception):
    """The archive cannot be reached, or broke off before an answer began. Becomes 502."""


class OriginRefusedError(OriginUnavailableError):
    """The archive does not accept this gateway's credentials. Becomes 502 and an alarm: an operator must act."""


class OriginTimeoutError(OriginUnavailableError):
    """The archive did not answer in time. Becomes 504."""


class OriginInvalidError(Exception):
    """The archive's answer breaks its format or a bound, or names what was not asked for. Becomes 502 and an alarm."""


class OriginTooBroadError(Exception):
    """The question would take more rows of the archive than the adapter's bound allows. Becomes 413."""


class OriginBody(Protocol):
    """The body of an answer, read once. ``read`` gives the next bytes, b"" at a *proven* end of the body.

    ``read`` raises OriginUnavailableError, OriginTimeoutError or OriginInvalidError when the body breaks off: a body
    without its proof of completeness (length, last chunk, or closing multipart boundary) never ends quietly (P10).
    ``aclose`` may be called at any time, more than once, and lets go of the connection. Nothing is read ahead beyond a
    small fixed bound (P18).
    """

    async def read(self) -> bytes: ...
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class OriginAnswer:
    """status 200 or 206 with a body to stream, or 404 / 406 / 400 …, whose body is never passed on.

    ``validator`` changes whenever the bytes of the one part in the body may have changed; None where the archive cannot
    say.
    """

    status: int
    content_type: str
    content_length: int | None
    body: OriginBody
    validator: str | None = None


@dataclass(frozen=True, slots=True)
class StudySubjects:
    """Whose a study is, as far as the archive says: every distinct (PatientID, issuer) found on it.

    Empty: the archive holds no such study. More than one: mixed patients. ``patient_id`` is "" where it is missing,
    blank or multi-valued; the policy denies all three. ``date``: the study's date, None where it has no valid one, or
    several. ``odd``: where it is not one patient's, all that was found, by instance. ``instances``: how many.
    """

    subjects: frozenset[Subject]
    date: StudyDate | None = None
    odd: StudyIdentities | None = None
    instances: int = 0

    @property
    def accepted(self) -> Accepted | None:
        """What its files may say; None where there is no such study."""
        if not self.subjects:
            return None
        sole = next(iter(self.subjects))
        is_plain = self.odd is None and len(self.subjects) == 1 and sole.patient_id
        return Accepted(sole) if is_plain else Accepted(None, self.odd)


@dataclass(frozen=True, slots=True)
class Walked:
    """A piece of a walk through all studies. ``place``: where to go on, None at the end."""

    studies: Sequence[StudyUid]
    place: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A row in the one order of search results (app.core.dicom.search_order), not yet read.

    ``sole``: the archive itself vouches that the whole study is of this one patient.
    """

    rank: bytes
    study: StudyUid
    subject: Subject
    sole: bool
    read: Callable[[], DicomJson]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a listing, in order. ``after``: where the next one begins, None at the end of the listing.

    ``cost``: rows that the archive looked at or sent for it.
    """

    listed: Sequence[Listed]
    after: bytes | None
    cost: int


@dataclass(frozen=True, slots=True)
class Names:
    """A piece of a listing of studies by names alone: study, subject, and whether that is the archive's word for the
    whole study (see Listed.sole).

    ``after`` and ``cost`` as in Stretch, but that another piece may be empty.
    """

    listed: Sequence[tuple[StudyUid, Subject, bool]]
    after: bytes
    cost: int


@dataclass(frozen=True, slots=True)
class ListingTraits:
    """What listing costs here: how many PatientIDs and how many rows one question of its own takes.

    ``whole``: the levels that can be listed without naming patients. ``rows``: the most rows to go through for one
    answer, and ``questions`` the most questions.
    """

    whole: frozenset[Level]
    patients_at_once: int
    rows_at_once: int
    rows: int
    questions: int


class InstanceContent(Protocol):
    """The bytes of one DICOM file, as often as they are asked for; ``pieces`` begins at the first. Raises OSError."""

    @property
    def length(self) -> int: ...
    def pieces(self) -> AsyncGenerator[bytes]: ...


class Origin(Protocol):
    """An origin server."""

    @property
    def listing(self) -> ListingTraits:
        """What ``in_order`` costs."""
        ...

    async def in_order(
        self, search: Search, after: bytes | None, patient_ids: Sequence[str] | None, rows: int
    ) -> Stretch:
        """The next piece of what matches, in order: just what matches, paging left aside, each row once.

        ``after`` None begins; else it is what the last piece gave. ``patient_ids``: rows of these patients alone
        (others may come as well), in one piece. ``rows``: how many are wanted now, as a hint to the piece's size. A
        study in which the archive knows several patients has a row for each. Raises OriginTooBroadError past the
        adapter's bounds, or at a level that it cannot list whole.
        """
        ...

    async def names_in_order(self, search: Search, after: bytes | None, rows: int) -> Names | None:
        """What ``in_order`` would give of everybody next, ``rows`` of them at the most, for passing them by.

        None: they cannot be told without reading the rows, or there are none.
        """
        ...

    async def search(self, search: Search) -> list[DicomJson]:
        """The matching data sets, complete for ``limit``/``offset`` as given, else all of them, bounded by the
        adapter's limit.

        What is returned may be a superset of what matches (archives ignore filters): the gateway filters again. Each
        data set carries the UIDs down to its level, PatientID (0010,0020), IssuerOfPatientID (0010,0021) where present,
        every attribute that ``search.matching`` and ``search.include`` name and the archive has, and the level's
        required attributes.
        """
        ...

    async def subjects_of(self, study: StudyUid) -> StudySubjects:
        """Every patient identity on the study, asked afresh."""
        ...

    async def walk(self, place: str, rows: int) -> Walked:
        """Some of all studies, ``rows`` at the most, in an order of the archive's own. ``place`` "" begins.

        An archive elsewhere that changes meanwhile may make a walk leave some out.
        """
        ...

    async def study_count(self) -> int | None:
        """How many studies there are; None where only a walk can tell."""
        ...

    async def retrieve(self, retrieve: Retrieve, accept: str) -> OriginAnswer:
        """Open the answer to a retrieval. ``accept`` is the one media type (with parameters) that the gateway has
        negotiated.

        Asked are DICOM files and metadata at any level, and of one instance frames, one value of its bulk data, and
        the picture of it or of one frame. All else that PS3.18 §10.4 has the gateway makes of these: a thumbnail, or
        the pixel data of a study, is never asked for (ValueError).
        """
        ...

    async def store(self, name: InstanceName, content: InstanceContent) -> Result:
        """Store one instance: held, searched and retrieved from now on, or not at all.

        The caller has seen that no other patient has its UIDs. Raises OriginUnavailableError, OriginTimeoutError or
        OriginInvalidError where nobody can say what became of it.
        """
        ...

    async def check(self) -> None:
        """Raise OriginUnavailableError unless the archive answers now (for readiness)."""
        ...

    async def aclose(self) -> None: ...
