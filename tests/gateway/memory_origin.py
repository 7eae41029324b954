"""An archive in memory that notes questions. It ignores every filter, as real ones do with what they do not know; with
``knows_dates`` every one but StudyDate.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from app.core.dicom.dicomweb import Level, Representation, Retrieve, Search
from app.core.dicom.identities import FoundIdentity, StudyIdentities
from app.core.dicom.matching import matches
from app.core.dicom.storing import InstanceName, Refused, Result
from app.core.dicom.storing import Stored as Accepted
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid, Subject
from app.pacs.date_windows import Pace
from app.pacs.origin import (
    DicomJson,
    InstanceContent,
    ListingTraits,
    Names,
    OriginAnswer,
    Stretch,
    StudySubjects,
    Walked,
)
from app.pacs.remote_listing import REMOTE_LISTING, RemoteListing

URL = "http://archive.internal:8042/dicom-web"
BOUNDARY = "archive-boundary"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True)
class Stored:
    """One instance. ``canary`` is in its attributes and its pixels."""

    subject: Subject
    study: StudyUid
    series: SeriesUid
    instance: InstanceUid
    canary: str
    date: str = "20260101"
    number: int = 1

    @property
    def url(self) -> str:
        return f"{URL}/studies/{self.study}/series/{self.series}/instances/{self.instance}"

    def metadata(self) -> DicomJson:
        row = self.row(Level.INSTANCE)
        row["00080090"] = {"vr": "PN"}
        row["00204000"] = {"vr": "LT", "Value": [self.canary]}
        row["7FE00010"] = {"vr": "OW", "BulkDataURI": f"{self.url}/bulk/7fe00010"}
        row["00400275"] = {
            "vr": "SQ",
            "Value": [{"00420011": {"vr": "OB", "BulkDataURI": f"{self.url}/bulk/00420011"}}],
        }
        return row

    def row(self, level: Level) -> DicomJson:
        row: DicomJson = {
            "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
            "00080020": {"vr": "DA", "Value": [self.date]} if self.date else {"vr": "DA"},
            "00080061": {"vr": "CS", "Value": ["OT"]},
            "00081190": {"vr": "UR", "Value": [f"{URL}/studies/{self.study}"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"Name^{self.canary}"}]},
            "0020000D": {"vr": "UI", "Value": [str(self.study)]},
            "00100020": {"vr": "LO", "Value": [self.subject.patient_id]} if self.subject.patient_id else {"vr": "LO"},
        }
        if self.subject.issuer:
            row["00100021"] = {"vr": "LO", "Value": [self.subject.issuer]}
        if level >= Level.SERIES:
            row["00080060"] = {"vr": "CS", "Value": ["OT"]}
            row["0020000E"] = {"vr": "UI", "Value": [str(self.series)]}
        if level >= Level.INSTANCE:
            row["00080016"] = {"vr": "UI", "Value": [SECONDARY_CAPTURE]}
            row["00080018"] = {"vr": "UI", "Value": [str(self.instance)]}
            row["00200013"] = {"vr": "IS", "Value": [self.number]}
        return row

    def part10(self) -> bytes:
        dataset = Dataset()
        dataset.SOPClassUID = SECONDARY_CAPTURE
        dataset.SOPInstanceUID = str(self.instance)
        dataset.Modality = "OT"
        dataset.PatientName = f"Name^{self.canary}"
        dataset.PatientID = self.subject.patient_id
        if self.subject.issuer:
            dataset.IssuerOfPatientID = self.subject.issuer
        dataset.StudyInstanceUID = str(self.study)
        dataset.SeriesInstanceUID = str(self.series)
        dataset.Rows = dataset.Columns = 8
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.PixelRepresentation = 0
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.PixelData = self.pixels()
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID(SECONDARY_CAPTURE)
        meta.MediaStorageSOPInstanceUID = UID(self.instance)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta = meta
        buffer = BytesIO()
        dcmwrite(buffer, dataset, enforce_file_format=True)
        return buffer.getvalue()

    def pixels(self) -> bytes:
        return self.canary.encode().ljust(64, b".")[:64]


def multipart(parts: list[tuple[str, str, bytes]]) -> bytes:
    """The archive's body: (media type, location, content) of each part."""
    lines = []
    for media_type, location, content in parts:
        lines.append(
            f"--{BOUNDARY}\r\nContent-Type: {media_type}\r\nContent-Length: {len(content)}\r\n"
            f"Content-Location: {location}\r\n\r\n".encode()
            + content
            + b"\r\n"
        )
    return b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()


@dataclass
class Body:
    """A body in pieces. ``before`` is awaited before each piece; ``error`` is raised where the end should be."""

    pieces: list[bytes]
    error: Exception | None = None
    before: Callable[[int], Any] | None = None
    closed: int = 0
    given: int = 0

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        if self.before is not None:
            waited = self.before(self.given)
            if waited is not None:
                await waited
        if self.given < len(self.pieces):
            self.given += 1
            return self.pieces[self.given - 1]
        if self.error is not None:
            raise self.error
        return b""

    async def aclose(self) -> None:
        self.closed += 1


@dataclass
class MemoryOrigin:
    """An Origin. ``calls`` lists what was asked; ``answer_with`` replaces the answer to the next retrievals."""

    stored: list[Stored]
    calls: list[str] = field(default_factory=list)
    answer_with: Callable[[Retrieve, OriginAnswer], OriginAnswer] | None = None
    fail_with: Exception | None = None
    bodies: list[Any] = field(default_factory=list)
    piece_bytes: int = 100
    received: list[bytes] = field(default_factory=list)
    store_with: Callable[[InstanceName], Result | None] | None = None
    listing: ListingTraits = REMOTE_LISTING
    pace: Pace = field(default_factory=Pace)
    knows_dates: bool = False

    async def in_order(
        self, search: Search, after: bytes | None, patient_ids: Sequence[str] | None, rows: int
    ) -> Stretch:
        return await RemoteListing(self.search, traits=self.listing, pace=self.pace).stretch(search, after, patient_ids)

    async def names_in_order(self, search: Search, after: bytes | None, rows: int) -> Names | None:
        del search, after, rows
        return None

    async def search(self, search: Search) -> list[DicomJson]:
        self.calls.append(f"search {search.level.name} {search.study} {search.series}")
        await self._may_fail()
        rows: dict[tuple[Any, ...], DicomJson] = {}
        for one in self.stored:
            if search.study is not None and one.study != search.study:
                continue
            if search.series is not None and one.series != search.series:
                continue
            key = (one.subject, one.study, one.series, one.instance)[: 1 + search.level]
            rows.setdefault(key, one.row(search.level))
        if self.knows_dates:
            dates = [key for key in search.matching if key.path == ("00080020",)]
            rows = {key: row for key, row in rows.items() if matches(dates, row)}
        if search.level is Level.STUDY:
            for (subject, study), row in rows.items():
                files = [one for one in self.stored if (one.subject, one.study) == (subject, study)]
                row["00201206"] = {"vr": "IS", "Value": [len({one.series for one in files})]}
                row["00201208"] = {"vr": "IS", "Value": [len(files)]}
                row["00201200"] = {"vr": "IS", "Value": [99]}
        return list(rows.values())

    async def subjects_of(self, study: StudyUid) -> StudySubjects:
        self.calls.append(f"subjects {study}")
        await self._may_fail()
        found: dict[FoundIdentity, set[str]] = {}
        for one in self.stored:
            if one.study == study:
                found.setdefault(FoundIdentity.of_subject(one.subject), set()).add(one.instance)
        is_plain = len(found) == 1 and all(one.names_somebody for one in found)
        odd = None if is_plain or not found else StudyIdentities({one: frozenset(at) for one, at in found.items()})
        count = sum(map(len, found.values()))
        return StudySubjects(frozenset(one.subject for one in found), None, odd, count)

    async def walk(self, place: str, rows: int) -> Walked:
        self.calls.append(f"walk {place}")
        await self._may_fail()
        behind = sorted({one.study for one in self.stored if one.study > place})[:rows]
        return Walked(behind, behind[-1] if len(behind) == rows else None)

    async def study_count(self) -> int | None:
        return len({one.study for one in self.stored})

    async def retrieve(self, retrieve: Retrieve, accept: str) -> OriginAnswer:
        self.calls.append(f"retrieve {retrieve.representation.value}")
        await self._may_fail()
        answer = self._answer(retrieve, accept)
        if self.answer_with is not None:
            answer = self.answer_with(retrieve, answer)
        self.bodies.append(answer.body)
        return answer

    async def store(self, name: InstanceName, content: InstanceContent) -> Result:
        """Keeps what it is sent; ``store_with`` may refuse or raise before, or after what it was told to let in."""
        self.calls.append(f"store {name.instance}")
        await self._may_fail()
        file = b"".join([piece async for piece in content.pieces()])
        assert len(file) == content.length
        self.received.append(file)
        answer = None if self.store_with is None else self.store_with(name)
        if isinstance(answer, Refused):
            return answer
        dataset = dcmread(BytesIO(file))
        canary = str(dataset.PatientName).removeprefix("Name^")
        subject = Subject(dataset.PatientID, dataset.get("IssuerOfPatientID", ""))
        self.stored.append(Stored(subject, name.study, name.series, name.instance, canary))
        return answer or Accepted(name)

    async def check(self) -> None:
        await self._may_fail()

    async def aclose(self) -> None:
        return

    async def _may_fail(self) -> None:
        await asyncio.sleep(0)
        if self.fail_with is not None:
            raise self.fail_with

    def found(self, retrieve: Retrieve) -> list[Stored]:
        return [
            one
            for one in self.stored
            if one.study == retrieve.study
            and retrieve.series in {None, one.series}
            and retrieve.instance in {None, one.instance}
        ]

    def _answer(self, retrieve: Retrieve, accept: str) -> OriginAnswer:
        found = self.found(retrieve)
        if not found or any(frame > 1 for frame in retrieve.frames):
            return OriginAnswer(404, "", None, Body([]))
        match retrieve.representation:
            case Representation.METADATA:
                body = json.dumps([one.metadata() for one in found]).encode()
                return self.whole("application/dicom+json", body)
            case Representation.RENDERED | Representation.RENDERED_FRAMES:
                return self.whole(accept, b"\xff\xd8\xff" + found[0].pixels())
            case Representation.DICOM:
                parts = [("application/dicom", one.url, one.part10()) for one in found]
                return self.enveloped("application/dicom", parts)
            case _:
                parts = [("application/octet-stream", found[0].url + "/frames/1", found[0].pixels())]
                return self.enveloped("application/octet-stream", parts)

    def enveloped(self, media_type: str, parts: list[tuple[str, str, bytes]]) -> OriginAnswer:
        content_type = f'multipart/related; type="{media_type}"; boundary={BOUNDARY}'
        return OriginAnswer(200, content_type, None, self.in_pieces(multipart(parts)))

    def whole(self, content_type: str, body: bytes) -> OriginAnswer:
        return OriginAnswer(200, content_type, len(body), self.in_pieces(body))

    def in_pieces(self, body: bytes) -> Body:
        step = self.piece_bytes
        return Body([body[at : at + step] for at in range(0, len(body), step)])
