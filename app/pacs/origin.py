"""The port to the origin server: the PACS that holds the images. Two adapters: remote DICOMweb, and the embedded
archive.

Both pass one conformance suite (tests/pacs/). An adapter answers what it is asked and decides nothing about who may see
it.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from app.core.dicomweb import Retrieve, Search
from app.core.identifiers import StudyUid, Subject

# A DICOM JSON data set (PS3.18 §F): tag → {"vr", "Value" | "BulkDataURI" | "InlineBinary"}.
DicomJson = dict[str, Any]


class OriginUnavailableError(Exception):
    """The archive cannot be reached, or broke off before an answer began. Becomes 502."""


class OriginTimeoutError(OriginUnavailableError):
    """The archive did not answer in time. Becomes 504."""


class OriginInvalidError(Exception):
    """The archive's answer breaks its format or a bound, or names what was not asked for. Becomes 502 and an alarm."""


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
    """status 200 or 206 with a body to stream, or 404 / 406 / 400 …, whose body is never passed on."""

    status: int
    content_type: str
    content_length: int | None
    body: OriginBody


@dataclass(frozen=True, slots=True)
class StudySubjects:
    """Whose a study is, as far as the archive says: every distinct (PatientID, issuer) found on it.

    Empty: the archive holds no such study. More than one: mixed patients. ``patient_id`` is "" where it is missing,
    blank or multi-valued; the policy denies all three.
    """

    subjects: frozenset[Subject]


class Origin(Protocol):
    """An origin server."""

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

    async def retrieve(self, retrieve: Retrieve, accept: str) -> OriginAnswer:
        """Open the answer to a retrieval. ``accept`` is the one media type (with parameters) that the gateway has
        negotiated.
        """
        ...

    async def check(self) -> None:
        """Raise OriginUnavailableError unless the archive answers now (for readiness)."""
        ...

    async def aclose(self) -> None: ...
