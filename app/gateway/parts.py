"""The archive's body on its way out: its envelope made ours, and every DICOM file in it told whose it is first.

Nothing of a file is passed on before its own identity has been read and found to be what was asked for: a file of
another patient would show a name in its first bytes.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.dicom.identities import Accepted
from app.core.dicom.multipart import (
    MultipartInvalidError,
    MultipartReader,
    PartEnd,
    PartHead,
    boundary_of,
)
from app.core.dicom.negotiation import Chosen
from app.core.dicom.part10 import Part10Identity, Part10Scanner
from app.core.dicom.part10_encoding import Part10InvalidError
from app.core.dicom.part_writing import PartWriter, content_type_of, length_of
from app.gateway.ports import Alarm, Wiring
from app.pacs.origin import OriginAnswer, OriginBody, OriginInvalidError

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/jp2"})
BOUNDARY_BYTES = 12


@dataclass(frozen=True, slots=True)
class Passing:
    """What to answer with.

    ``length`` None: not known before the end. ``in_ranges``: whether some of its bytes may be asked for; then
    ``validator`` tells one version of them from another, where the archive has one.
    """

    content_type: str
    length: int | None
    body: OriginBody
    in_ranges: bool = False
    validator: str | None = None


class FileCheck:
    """Judges the files of one answer by what was asked for."""

    def __init__(self, asked: Retrieve, accepted: Accepted, wiring: Wiring) -> None:
        self._asked = asked
        self._accepted = accepted
        self._wiring = wiring
        self._scanner: Part10Scanner | None = None
        self._held: list[bytes] = []

    def begin(self, before: bytes) -> None:
        """A file begins; ``before`` is what stands before it in the answer."""
        self._scanner = Part10Scanner()
        self._held = [before] if before else []

    def feed(self, data: memoryview) -> Iterator[bytes | memoryview]:
        """What may be passed on now. Raises OriginInvalidError, Part10InvalidError."""
        if self._scanner is None:
            yield data
            return
        self._held.append(bytes(data))
        identity = self._scanner.feed(data)
        if identity is not None:
            yield from self._known(identity)

    def end(self) -> Iterator[bytes | memoryview]:
        """The file has ended."""
        if self._scanner is not None:
            yield from self._known(self._scanner.close())

    def _known(self, identity: Part10Identity) -> Iterator[bytes]:
        asked = self._asked
        if not self._accepted.takes_file(identity):
            self._wiring.alarm(Alarm.WRONG_PATIENT)
            raise OriginInvalidError("a file of another patient")
        named = (identity.study, identity.series, identity.instance)
        if any(uid is not None and uid != name for uid, name in zip(_uids(asked), named, strict=True)):
            self._wiring.alarm(Alarm.WRONG_RESOURCE)
            raise OriginInvalidError("a file that was not asked for")
        self._scanner = None
        held, self._held = self._held, []
        yield from held


def _uids(asked: Retrieve) -> tuple[str | None, str | None, str | None]:
    return asked.study, asked.series, asked.instance


class PartsBody:
    """The answer's body, written anew from the archive's multipart body as it comes in. An OriginBody."""

    def __init__(
        self,
        source: OriginBody,
        boundary: bytes,
        writer: PartWriter | None,
        check: FileCheck | None = None,
        located: Sequence[Retrieve] | Retrieve | None = None,
        *,
        closing: bool = True,
    ) -> None:
        """``writer`` None: the one part without its envelope. ``check`` None: what the parts hold is no DICOM file.

        ``located``: what each part is, in order, so that more or fewer are an error; or what all of them are of; None
        where that is not known.
        ``closing`` False leaves the envelope open for more.
        """
        self._source = source
        self._reader = MultipartReader(boundary)
        self._writer = writer
        self._check = check
        self._whole = located if isinstance(located, Retrieve) else None
        self._located = deque(located) if isinstance(located, Sequence) else None
        self._closing = closing
        self.first: PartHead | None = None
        self.length: int | None = None  # of the one part without its envelope, where the archive says so
        self._left: int | None = None
        self._ready: list[bytes | memoryview] = []

    async def open(self) -> PartHead:
        """Read up to the head of the first part. Raises OriginInvalidError where there is none."""
        while self.first is None:
            await self._take()
        return self.first

    async def read(self) -> bytes:
        """See OriginBody."""
        while not self._ready:
            if not await self._take():
                return b""
        ready, self._ready = self._ready, []
        return bytes(ready[0]) if len(ready) == 1 else b"".join(ready)

    async def aclose(self) -> None:
        """See OriginBody."""
        await self._source.aclose()

    async def _take(self) -> bool:
        """Take the archive's next bytes; False at the proven end of its body."""
        data = await self._source.read()
        try:
            if not data:
                self._reader.close()
                return False
            self._ready.extend(self._written(data))
        except MultipartInvalidError:
            raise OriginInvalidError("a malformed multipart body") from None
        except Part10InvalidError:
            raise OriginInvalidError("a file that is not DICOM") from None
        return True

    def _written(self, data: bytes) -> Iterator[bytes | memoryview]:
        for event in self._reader.feed(data):
            if isinstance(event, memoryview):
                self._count(event)
                yield from self._check.feed(event) if self._check else (event,)
            elif isinstance(event, PartHead):
                yield from self._begun(event)
            elif isinstance(event, PartEnd):
                if self._left:
                    raise MultipartInvalidError("a part shorter than it says")
                yield from self._check.end() if self._check else ()
            elif self.first is None:  # the end of the body
                raise MultipartInvalidError("no part")
            elif self._located:
                raise MultipartInvalidError("too few parts")
            elif self._writer is not None and self._closing:
                yield self._writer.end()

    def _count(self, data: memoryview) -> None:
        """A part without its envelope is announced with the length that the archive gave, and must keep to it."""
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise MultipartInvalidError("a part longer than it says")

    def _begun(self, part: PartHead) -> Iterator[bytes]:
        if self.first is None:
            self.first = part
        elif self._writer is None:
            raise MultipartInvalidError("more than one part")
        if self._located is not None and not self._located:
            raise MultipartInvalidError("too many parts")
        located = self._located.popleft() if self._located else self._whole
        before = b""
        if self._writer is not None:
            before = self._writer.head(part, located)
        else:
            self.length = self._left = length_of(part)
        if self._check is not None:
            self._check.begin(before)
        elif before:
            yield before


async def passing(asked: Retrieve, chosen: Chosen, accepted: Accepted, opened: OriginAnswer, wiring: Wiring) -> Passing:
    """How the archive's answer is passed on. Raises OriginInvalidError and what reading the body raises."""
    if asked.representation in {Representation.RENDERED, Representation.RENDERED_FRAMES}:
        return Passing(image_type_of(opened), opened.content_length, opened.body)
    boundary = envelope_of(opened)
    check = FileCheck(asked, accepted, wiring) if asked.representation is Representation.DICOM else None
    located = located_parts(asked)
    if chosen.multipart:
        writer = new_writer(asked, chosen, wiring)
        return Passing(writer.content_type, None, PartsBody(opened.body, boundary, writer, check, located))
    body = PartsBody(opened.body, boundary, None, check, located)
    media_type, syntax = content_type_of(await body.open(), chosen.media_type)
    content_type = f"{media_type}; transfer-syntax={syntax}" if syntax else media_type
    return Passing(content_type, body.length, body, in_ranges=body.length is not None, validator=opened.validator)


def new_writer(asked: Retrieve, chosen: Chosen, wiring: Wiring) -> PartWriter:
    """What writes the envelope of one answer."""
    return PartWriter(wiring.random_bytes(BOUNDARY_BYTES).hex(), chosen.media_type, wiring.public_url, asked)


def image_type_of(opened: OriginAnswer) -> str:
    """The media type of a picture. Raises OriginInvalidError for anything that is none."""
    media_type = opened.content_type.partition(";")[0].strip().lower()
    if media_type not in _IMAGES:
        raise OriginInvalidError("a rendering that is no image")
    return media_type


def envelope_of(opened: OriginAnswer) -> bytes:
    """The boundary of a multipart answer. Raises OriginInvalidError for any other."""
    boundary = boundary_of(opened.content_type.encode("latin-1", "replace"))
    if boundary is None:
        raise OriginInvalidError("an answer that is not multipart")
    return boundary


def located_parts(asked: Retrieve) -> list[Retrieve] | Retrieve | None:
    """What the parts of the archive's answer are: each frame asked for is one; bulk data may come in several. None:
    each says so itself.
    """
    match asked.representation:
        case Representation.FRAMES:
            return [replace(asked, frames=(frame,), accept=None) for frame in asked.frames]
        case Representation.BULKDATA:
            return asked
        case _:
            return None
