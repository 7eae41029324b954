"""STOW-RS (PS3.18 §10.5): an upload taken apart as it comes in, and each instance stored by itself.

Of each instance: is it whole and sound, whose is it, may this caller store for that patient; then the record, synced;
then the archive. INVARIANT: not a byte of an instance reaches the archive before its record is on the disk.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.types import Receive

from app.core.dicom.dicomweb import Store
from app.core.dicom.multipart import BodyEnd, Event, MultipartInvalidError, MultipartReader, PartEnd, PartHead
from app.core.dicom.native_model import native_model
from app.core.dicom.storing import XML, Result, answer_type, is_dicom_part, response, status_of, upload_boundary
from app.core.http.problem import Problem, ProblemError, problem
from app.gateway.admission import Admission
from app.gateway.answering import Answer, ReaderGoneError
from app.gateway.filing import Filing, FilingOfOne
from app.gateway.ports import Wiring
from app.gateway.recording import Recorder
from app.gateway.resolution import Resolution
from app.gateway.upload import UploadedPart
from app.store.sessions import Session

# Given to the thread that reads and writes in one go: of memory, this and as much again for each upload.
_BATCH_BYTES = 512 * 1024
_RETRY_AFTER_S = 5

Headers = Sequence[tuple[bytes, bytes]]


class Storing:
    """Answers uploads. Belongs to one event loop."""

    def __init__(self, wiring: Wiring, admission: Admission, resolution: Resolution, recorder: Recorder) -> None:
        self._wiring = wiring
        self._admission = admission
        self._filing = Filing(wiring, admission, resolution, recorder)
        self._running = 0

    async def answer(self, session: Session, asked: Store, headers: Headers, receive: Receive, answer: Answer) -> None:
        """Answer to the end. Raises ProblemError, ReaderGoneError and what the ports raise.

        Whoever may not store is told so before a byte of the body is read, and whatever it would hold.
        """
        if not self._admission.may_store(session):
            raise ProblemError(problem("forbidden"))
        media_type = _sound(answer_type(asked, _values(headers, b"accept")))
        boundary = _sound(upload_boundary(_values(headers, b"content-type"), _values(headers, b"content-encoding")))
        if any(
            int(length) > self._wiring.limits.upload_request_bytes for length in _values(headers, b"content-length")
        ):
            raise ProblemError(problem("payload-too-large"))
        if self._running >= self._wiring.limits.uploads:
            raise ProblemError(problem("too-many-requests").with_header("Retry-After", str(_RETRY_AFTER_S)))
        self._running += 1
        try:
            upload = _Upload(self._wiring, asked, self._filing.begin(session, answer))
            results = await upload.received(MultipartReader(boundary), receive)
        finally:
            self._running -= 1
        body = _encoded(response(results, asked, self._wiring.public_url), media_type)
        await answer.whole(status_of(results), body, (b"content-type", media_type.encode()))


class _Upload:
    """One request's body, part by part."""

    def __init__(self, wiring: Wiring, asked: Store, filing: FilingOfOne) -> None:
        self._limits = wiring.limits
        self._folder = wiring.spool_folder
        self._asked = asked
        self._filing = filing
        self._results: list[Result] = []
        self._part: UploadedPart | None = None
        self._batch = bytearray()

    async def received(self, reader: MultipartReader, receive: Receive) -> list[Result]:
        """What became of every part, in order. Raises ProblemError, ReaderGoneError, and as FilingOfOne.file."""
        try:
            async for data in _body(receive, self._limits.upload_request_bytes):
                for event in reader.feed(data):
                    await self._take(event)
            reader.close()
        except MultipartInvalidError:
            raise ProblemError(problem("invalid-multipart")) from None
        finally:
            if self._part is not None:
                self._part.spool.close()
        return self._results

    async def _take(self, event: Event) -> None:
        part = self._part
        if isinstance(event, PartHead):
            _within(len(self._results) + 1, self._limits.upload_instances)
            self._part = UploadedPart(self._asked, self._folder, is_dicom=is_dicom_part(event))
        elif isinstance(event, BodyEnd):
            if not self._results:
                raise MultipartInvalidError("no part")
        elif part is not None:
            await (self._ended(part) if isinstance(event, PartEnd) else self._content(part, event))

    async def _content(self, part: UploadedPart, data: memoryview) -> None:
        self._batch += data
        _within(part.received_bytes + len(self._batch), self._limits.upload_instance_bytes)
        if len(self._batch) >= _BATCH_BYTES:
            await asyncio.to_thread(part.take, self._taken())

    async def _ended(self, part: UploadedPart) -> None:
        await asyncio.to_thread(part.end, self._taken())
        self._results.append(await self._filing.file(part))
        part.spool.close()
        self._part = None

    def _taken(self) -> bytes:
        batch, self._batch = bytes(self._batch), bytearray()
        return batch


def _within(number: int, limit: int) -> None:
    if number > limit:
        raise ProblemError(problem("payload-too-large"))


async def _body(receive: Receive, limit_bytes: int) -> AsyncIterator[bytes]:
    """The request's body as it comes. Raises ReaderGoneError where the client leaves, ProblemError past the limit."""
    size, more = 0, True
    while more:
        message: dict[str, Any] = dict(await receive())
        if message["type"] == "http.disconnect":
            raise ReaderGoneError
        data: bytes = message.get("body", b"")
        size += len(data)
        _within(size, limit_bytes)
        more = message.get("more_body", False)
        if data:
            yield data


def _sound(found: "str | bytes | Problem") -> Any:  # noqa: ANN401 - whichever was handed in
    if isinstance(found, Problem):
        raise ProblemError(found)
    return found


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for known, value in headers if known == name]


def _encoded(dataset: dict[str, Any], media_type: str) -> bytes:
    if media_type == XML:
        return "".join(native_model(dataset)).encode()
    return json.dumps(dataset, separators=(",", ":")).encode()
