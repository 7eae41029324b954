"""The origin server as a folder of DICOM files."""

import asyncio
import sqlite3
import zlib
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from app.core.consent.study_date import only_date
from app.core.dicom.dicomweb import Level, Representation, Retrieve, Search
from app.core.dicom.storing import InstanceName, Result
from app.core.identifiers import StudyUid
from app.pacs.archive import index, passing_by, searching
from app.pacs.archive.bulkdata import bulk_value
from app.pacs.archive.files import IndexedFile
from app.pacs.archive.index import Refused, StoredInstance
from app.pacs.archive.indexing import IndexReport, Progress, bring_up_to_date
from app.pacs.archive.media import EXPLICIT_LE, OCTET_STREAM, Wanted, stored_type, wanted
from app.pacs.archive.pixels import NoFrames, decoded_frames, stored_frames
from app.pacs.archive.rendering import FORMATS, render
from app.pacs.archive.storing import FolderStore, remove_forgotten
from app.pacs.archive.streams import (
    FileSlice,
    Part,
    PiecesBody,
    StreamedBody,
    closing,
    multipart,
    multipart_type,
    new_boundary,
    part_head,
)
from app.pacs.archive.transcoding import in_explicit_little_endian
from app.pacs.archive.workers import Workers
from app.pacs.bodies import BytesBody
from app.pacs.origin import (
    DicomJson,
    InstanceContent,
    ListingTraits,
    Names,
    OriginAnswer,
    OriginInvalidError,
    OriginUnavailableError,
    Stretch,
    StudySubjects,
    Walked,
)

_T = TypeVar("_T")
_DICOM = "application/dicom"
_DICOM_JSON = "application/dicom+json"
_METADATA_BATCH = 32
# A patient asked for costs as much as some two rows gone through.
_LISTING = ListingTraits(
    whole=frozenset(Level), patients_at_once=searching.PATIENTS_AT_ONCE, rows_at_once=1_000, rows=2_000_000,
    questions=40,
)  # fmt: skip


class ArchiveOrigin:
    """An Origin over ``folder``, which only ``store`` writes to. ``index_path``: a SQLite file elsewhere."""

    def __init__(self, folder: Path, index_path: Path, workers: Workers | None = None) -> None:
        self._folder = folder
        self._index = index_path
        self._workers = workers or Workers()
        self._indexing = asyncio.Lock()
        self._store = FolderStore(folder, index_path, self._workers, self._indexing)

    async def reindex(self, progress: Progress | None = None) -> IndexReport:
        """Take in what is new or changed in the folder. Raises OriginUnavailableError when the folder or the index
        cannot be used.
        """
        async with self._indexing:
            try:
                await asyncio.to_thread(remove_forgotten, self._folder)
                return await bring_up_to_date(self._folder, self._index, self._workers, progress)
            except (OSError, sqlite3.Error) as error:
                raise OriginUnavailableError(f"the archive cannot be indexed ({type(error).__name__})") from None

    async def refused(self) -> list[Refused]:
        """The DICOM files that could not be taken in, and why."""
        return await self._ask(index.refused, self._index)

    async def search(self, search: Search) -> list[DicomJson]:
        """See Origin."""
        return await self._ask(searching.find, self._index, search)

    @property
    def listing(self) -> ListingTraits:
        """See Origin."""
        return _LISTING

    async def in_order(
        self, search: Search, after: bytes | None, patient_ids: Sequence[str] | None, rows: int
    ) -> Stretch:
        """See Origin."""
        return await self._ask(searching.stretch, self._index, search, after, patient_ids, rows)

    async def names_in_order(self, search: Search, after: bytes | None, rows: int) -> Names | None:
        """See Origin."""
        return await self._ask(passing_by.names, self._index, search, after, rows)

    async def subjects_of(self, study: StudyUid) -> StudySubjects:
        """See Origin."""
        found = await self._ask(index.identities_in, self._index, study)
        rows = await self._ask(searching.find, self._index, Search(Level.STUDY, study=study)) if found else []
        odd = None
        if len(found) > 1 or not all(one.names_somebody for one in found):
            odd = await self._ask(index.instances_by_identity, self._index, study)
            if odd.instances.keys() != found.keys():
                raise OriginUnavailableError("the archive changed while it was read")
        return StudySubjects(frozenset(one.subject for one in found), only_date(rows), odd, sum(found.values()))

    async def walk(self, place: str, rows: int) -> Walked:
        """See Origin. Its place is a StudyInstanceUID, so that nothing is left out."""
        found = await self._ask(index.studies_after, self._index, place, rows)
        return Walked([StudyUid(study) for study in found], found[-1] if len(found) == rows else None)

    async def study_count(self) -> int | None:
        """See Origin."""
        return await self._ask(index.study_count, self._index)

    async def retrieve(self, retrieve: Retrieve, accept: str) -> OriginAnswer:
        """See Origin."""
        found = await self._ask(index.instances_of, self._index, retrieve.study, retrieve.series, retrieve.instance)
        if not found:
            return _refusal(404)
        want = wanted(accept)
        match retrieve.representation:
            case Representation.DICOM:
                answer = self._dicom(found, want)
            case Representation.METADATA:
                answer = self._metadata(found, want)
            case Representation.FRAMES:
                answer = await self._frames(found[0], retrieve, want)
            case Representation.BULKDATA:
                answer = await self._bulk_data(found[0], retrieve, want)
            case Representation.RENDERED | Representation.RENDERED_FRAMES:
                answer = await self._rendered(found[0], retrieve, want)
            case _:
                raise ValueError("not asked of an archive")
        return answer

    async def store(self, name: InstanceName, content: InstanceContent) -> Result:
        """See Origin."""
        return await self._store.store(name, content)

    async def check(self) -> None:
        """See Origin."""
        await self._ask(index.counts, self._index)
        if not await asyncio.to_thread(self._folder.is_dir):
            raise OriginUnavailableError("the archive's folder is not there")

    async def aclose(self) -> None:
        """End the workers."""
        await self._workers.aclose()

    async def _ask(self, question: Callable[..., _T], *arguments: object) -> _T:
        try:
            return await asyncio.to_thread(question, *arguments)
        except sqlite3.Error as error:
            raise OriginUnavailableError(f"the archive's index cannot be read ({type(error).__name__})") from None

    def _dicom(self, found: list[StoredInstance], want: Wanted) -> OriginAnswer:
        if want.kind not in (_DICOM, "*/*"):
            return _refusal(406)
        # PS3.18 §8.7.3.5.2: who names no transfer syntax gets explicit little-endian
        syntax = want.syntax or EXPLICIT_LE
        if syntax == "*" or all(instance.transfer_syntax == syntax for instance in found):
            parts = [Part(_DICOM, self._whole(instance)) for instance in found]
            return _parts(parts, _DICOM, want, _validator(found[0], "as stored") if len(found) == 1 else None)
        if syntax != EXPLICIT_LE or not want.multipart:
            return _refusal(406)
        boundary = new_boundary()
        body = StreamedBody(self._transcoded(found, boundary))
        return OriginAnswer(200, multipart_type(_DICOM, boundary), None, body)

    async def _transcoded(self, found: list[StoredInstance], boundary: str) -> AsyncGenerator[bytes]:
        """Each instance in explicit little-endian; one that nothing here decodes as it is stored, saying so."""
        for number, instance in enumerate(found):
            data: bytes | FileSlice | None = self._whole(instance)
            label = _DICOM
            if instance.transfer_syntax != EXPLICIT_LE:
                data = await self._workers.run(in_explicit_little_endian, self._file(instance))
            if data is None:
                data, label = self._whole(instance), f"{_DICOM}; transfer-syntax={instance.transfer_syntax}"
            part = Part(label, data)
            yield part_head(boundary, part, first=number == 0)
            content = PiecesBody([part.data])
            try:
                while piece := await content.read():
                    yield piece
            finally:
                await content.aclose()
        yield closing(boundary)

    def _metadata(self, found: list[StoredInstance], want: Wanted) -> OriginAnswer:
        if want.multipart and want.kind != "*/*":
            return _refusal(406)
        if want.kind not in (_DICOM_JSON, "application/json", "*/*"):
            return _refusal(406)
        return OriginAnswer(200, _DICOM_JSON, None, StreamedBody(self._metadata_of(found)))

    async def _metadata_of(self, found: list[StoredInstance]) -> AsyncGenerator[bytes]:
        names = [instance.stamp.path for instance in found]
        opening = b"["
        for start in range(0, len(names), _METADATA_BATCH):
            batch = names[start : start + _METADATA_BATCH]
            stored = await self._ask(index.metadata_of, self._index, batch)
            if len(stored) != len(batch):
                raise OriginUnavailableError("the archive changed while it was read")
            for dataset in stored:
                yield opening + zlib.decompress(dataset)
                opening = b","
        yield b"]"

    async def _frames(self, instance: StoredInstance, retrieve: Retrieve, want: Wanted) -> OriginAnswer:
        if not retrieve.frames or max(retrieve.frames) > instance.frames:
            return _refusal(404)
        file = self._file(instance)
        decoded = want.kind == OCTET_STREAM and want.syntax in (None, EXPLICIT_LE)
        if instance.pixels is not None and (decoded or want.syntax == "*"):
            place = instance.pixels
            offsets = [place.offset + (number - 1) * place.frame_bytes for number in retrieve.frames]
            slices = [FileSlice(file, offset, place.frame_bytes) for offset in offsets]
            return _framed(EXPLICIT_LE, slices, want, _validator(instance, "frames"))
        found = await self._workers.run(decoded_frames if decoded else stored_frames, file, retrieve.frames)
        if isinstance(found, NoFrames):
            return _refusal(found.status)
        if not decoded and want.syntax not in ("*", found.transfer_syntax):
            default = want.syntax is None and want.kind == stored_type(found.transfer_syntax)
            if not default:
                return _refusal(406)
        return _framed(found.transfer_syntax, found.data, want, _validator(instance, "frames"))

    async def _rendered(self, instance: StoredInstance, retrieve: Retrieve, want: Wanted) -> OriginAnswer:
        frames = retrieve.frames or (1,)
        if want.kind not in FORMATS or len(frames) != 1:
            return _refusal(406)
        frame = frames[0]
        picture = await self._workers.run(render, self._file(instance), frame, want.kind, retrieve.query)
        if isinstance(picture, NoFrames):
            return _refusal(picture.status)
        return OriginAnswer(200, want.kind, len(picture.data), BytesBody(picture.data))

    async def _bulk_data(self, instance: StoredInstance, retrieve: Retrieve, want: Wanted) -> OriginAnswer:
        if want.kind not in (OCTET_STREAM, "*/*"):
            return _refusal(406)
        found = await self._workers.run(bulk_value, self._file(instance), retrieve.bulk_path)
        if isinstance(found, int):
            return _refusal(found)
        parts = [Part(OCTET_STREAM, data) for data in found]
        return _parts(parts, OCTET_STREAM, want, _validator(instance, "bulk data"))

    def _whole(self, instance: StoredInstance) -> FileSlice:
        return FileSlice(self._file(instance), 0, instance.stamp.size)

    def _file(self, instance: StoredInstance) -> IndexedFile:
        return IndexedFile(self._folder / instance.stamp.path, instance.stamp)


def _validator(instance: StoredInstance, made: str) -> str:
    """Changes with the file, which is served only while it is the one that was indexed."""
    stamp = instance.stamp
    return f"{made} {stamp.mtime_ns} {stamp.size} {stamp.path}"


def _framed(
    transfer_syntax: str, frames: Sequence[bytes | FileSlice], want: Wanted, validator: str | None
) -> OriginAnswer:
    kind = stored_type(transfer_syntax)
    labelled = f"{kind}; transfer-syntax={transfer_syntax}"
    return _parts([Part(labelled, frame) for frame in frames], kind, want, validator)


def _parts(parts: Sequence[Part], kind: str, want: Wanted, validator: str | None) -> OriginAnswer:
    if want.multipart:
        return OriginAnswer(200, *multipart(parts, kind), validator)
    if len(parts) != 1:
        return _refusal(406)
    return OriginAnswer(200, parts[0].content_type, parts[0].length, PiecesBody([parts[0].data]), validator)


def _refusal(status: int) -> OriginAnswer:
    if status == 502:
        raise OriginInvalidError("a file of the archive is broken")
    return OriginAnswer(status, "", None, BytesBody())
