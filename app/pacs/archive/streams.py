"""Bodies of the archive: multipart/related from files and from memory, with their length known beforehand."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from app.pacs.archive.files import IndexedFile, descriptor_of
from app.pacs.origin import OriginInvalidError, OriginUnavailableError

CHUNK_BYTES = 256 * 1024
_NO_WAIT = getattr(os, "RWF_NOWAIT", None)


@dataclass(frozen=True, slots=True)
class FileSlice:
    """Some bytes of a file, which must still be the file that was indexed."""

    file: IndexedFile
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart body."""

    content_type: str
    data: bytes | FileSlice

    @property
    def length(self) -> int:
        return len(self.data) if isinstance(self.data, bytes) else self.data.length


class PiecesBody:
    """A body made of pieces in memory and in files, one after the other. At most one chunk is held."""

    def __init__(self, pieces: Sequence[bytes | FileSlice]) -> None:
        self._pieces = list(reversed(pieces))
        self._file: int | None = None
        self._offset = 0
        self._left = 0

    async def read(self) -> bytes:
        """The next bytes. Raises OriginInvalidError when a file is not the one indexed, OriginUnavailableError when it
        cannot be read.
        """
        while True:
            if self._file is not None:
                return await self._from_file(self._file)
            if not self._pieces:
                return b""
            piece = self._pieces.pop()
            if not isinstance(piece, bytes):
                self._file = await asyncio.to_thread(descriptor_of, piece.file)
                self._offset, self._left = piece.offset, piece.length
                if self._left == 0:
                    self._close()
            elif piece:
                return piece

    async def aclose(self) -> None:
        self._pieces.clear()
        self._close()

    async def _from_file(self, file: int) -> bytes:
        size = min(CHUNK_BYTES, self._left)
        data = _cached(file, size, self._offset)
        if data is None:
            try:
                data = await asyncio.to_thread(os.pread, file, size, self._offset)
            except OSError:
                raise OriginUnavailableError("a file of the archive cannot be read") from None
        if not data:
            raise OriginInvalidError("a file of the archive is shorter than it was")
        self._offset += len(data)
        self._left -= len(data)
        if self._left == 0:
            self._close()
        return data

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _cached(file: int, size: int, offset: int) -> bytes | None:
    """The bytes if the system has them in memory, else None: then a thread waits for the disk, not the event loop."""
    if _NO_WAIT is None:
        return None
    buffer = bytearray(size)
    try:
        count = os.preadv(file, [buffer], offset, _NO_WAIT)
    except OSError:  # EAGAIN: not in memory; EOPNOTSUPP: a file system that cannot say
        return None
    return bytes(memoryview(buffer)[:count]) if count else None


class StreamedBody:
    """A body from an asynchronous iterator; its end is the iterator's own."""

    def __init__(self, source: AsyncGenerator[bytes]) -> None:
        self._source: AsyncGenerator[bytes] | None = source

    async def read(self) -> bytes:
        if self._source is None:
            return b""
        async for data in self._source:
            if data:
                return data
        return b""

    async def aclose(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            await source.aclose()


def part_head(boundary: str, part: Part, *, first: bool) -> bytes:
    """What stands before a part's content."""
    before = "" if first else "\r\n"
    return (
        f"{before}--{boundary}\r\nContent-Type: {part.content_type}\r\nContent-Length: {part.length}\r\n\r\n"
    ).encode("ascii")


def closing(boundary: str) -> bytes:
    """What stands after the last part."""
    return f"\r\n--{boundary}--\r\n".encode("ascii")


def multipart_type(kind: str, boundary: str) -> str:
    """The Content-Type of a multipart/related message (RFC 2387). ``kind`` is the root part's media type."""
    return f'multipart/related; type="{kind}"; boundary={boundary}'


def new_boundary() -> str:
    """A boundary that no content holds: 128 bits of chance."""
    return secrets.token_hex(16)


def multipart(parts: Sequence[Part], kind: str) -> tuple[str, int, PiecesBody]:
    """(content type, length in bytes, body) of a multipart/related message (RFC 2387). ``kind`` is the root part's
    media type.
    """
    boundary = new_boundary()
    pieces: list[bytes | FileSlice] = []
    for part in parts:
        pieces += [part_head(boundary, part, first=not pieces), part.data]
    pieces.append(closing(boundary))
    length = sum(piece.length if isinstance(piece, FileSlice) else len(piece) for piece in pieces)
    return multipart_type(kind, boundary), length, PiecesBody(pieces)
