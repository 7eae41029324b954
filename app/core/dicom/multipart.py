"""multipart/related bodies (RFC 2046 §5.1, PS3.18 §8.6.1.2), read as they come and written anew around the same bytes.

Reading is strict: the closing delimiter is the only proof that a body is whole, and a line that starts like a delimiter
and is none is refused rather than guessed at, so that no reader behind sees other parts than those judged here.
"""

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

MAX_HEADER_BYTES: Final = 8192
_MAX_PREAMBLE_BYTES: Final = 8192
_MAX_EPILOGUE_BYTES: Final = 1024


class MultipartInvalidError(ValueError):
    """A body that is not well-formed multipart, or not whole (upstream-invalid). Its text holds nothing of the body."""


@dataclass(frozen=True, slots=True)
class PartHead:
    """A part begins. ``headers`` have their names in lower case and their values without surrounding blanks."""

    headers: tuple[tuple[bytes, bytes], ...]

    def value(self, name: bytes) -> bytes | None:
        """The value of the header, None when it is absent. Raises MultipartInvalidError when it is there twice."""
        values = [value for known, value in self.headers if known == name]
        if len(values) > 1:
            raise MultipartInvalidError("a header twice")
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is whole."""


@dataclass(frozen=True, slots=True)
class BodyEnd:
    """The closing delimiter has been read: the body is whole."""


# A memoryview is a piece of the current part's content; it looks into the bytes that were fed.
Event = PartHead | memoryview | PartEnd | BodyEnd

# RFC 2046 §5.1.1: 1 to 70 characters, the last one not a space.
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
_BOUNDARY_PARAMETER: Final = re.compile(rb';[ \t]*boundary=(?:"([^"\\\r\n]*)"|([^\s;"]+))', re.IGNORECASE)
_HEADER: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00\r\n]*)").fullmatch


def boundary_of(content_type: bytes) -> bytes | None:
    """The boundary that a multipart/related Content-Type names, None for any other type or a malformed boundary."""
    head, _, _ = content_type.partition(b";")
    if head.strip().lower() != b"multipart/related":
        return None
    found = _BOUNDARY_PARAMETER.findall(content_type)
    if len(found) != 1:
        return None
    boundary = b"".join(found[0])
    return boundary if _BOUNDARY(boundary) else None


class _State(Enum):
    PREAMBLE = auto()
    DELIMITER = auto()  # right behind a delimiter: "--", or the line's end and then the part's headers
    CONTENT = auto()
    EPILOGUE = auto()


class MultipartReader:
    """Takes a body apart in pieces of any size. Feed it, and close it at the end."""

    __slots__ = ("_delimiter", "_held", "_seen", "_state")

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._state = _State.PREAMBLE
        self._held = b"\r\n"  # a body may begin with its first delimiter, as if a line had ended before it
        self._seen = 0  # bytes of preamble or epilogue so far

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that the next bytes bring. To be run to its end before the next call.

        Raises MultipartInvalidError; the reader is of no use after that.
        """
        at = 0
        if self._held:
            data, self._held = self._held + data, b""
        while at < len(data):
            if self._state is _State.CONTENT:
                at = yield from self._content(data, at)
            elif self._state is _State.DELIMITER:
                at = yield from self._after_delimiter(data, at)
            elif self._state is _State.PREAMBLE:
                at = self._preamble(data, at)
            else:
                self._seen += len(data) - at
                if self._seen > _MAX_EPILOGUE_BYTES:
                    raise MultipartInvalidError("a long epilogue")
                at = len(data)

    def close(self) -> None:
        """Raises MultipartInvalidError unless the closing delimiter has been read."""
        if self._state is not _State.EPILOGUE:
            raise MultipartInvalidError("a body without its closing delimiter")

    def _content(self, data: bytes, at: int) -> Generator[Event, None, int]:
        found = data.find(self._delimiter, at)
        end = self._hold(data, at) if found < 0 else found
        if end > at:
            yield memoryview(data)[at:end]
        if found < 0:
            return len(data)
        self._state = _State.DELIMITER
        yield PartEnd()
        return found + len(self._delimiter)

    def _preamble(self, data: bytes, at: int) -> int:
        found = data.find(self._delimiter, at)
        end = self._hold(data, at) if found < 0 else found
        self._seen += end - at
        if self._seen > _MAX_PREAMBLE_BYTES:
            raise MultipartInvalidError("a long preamble")
        if found < 0:
            return len(data)
        self._seen = 0
        self._state = _State.DELIMITER
        return found + len(self._delimiter)

    def _hold(self, data: bytes, at: int) -> int:
        """Keep what may be the beginning of a delimiter for the next bytes, and say where it starts."""
        start = data.find(b"\r", max(at, len(data) - len(self._delimiter) + 1))
        while start >= 0:
            if self._delimiter.startswith(data[start:]):
                self._held = data[start:]
                return start
            start = data.find(b"\r", start + 1)
        return len(data)

    def _after_delimiter(self, data: bytes, at: int) -> Generator[Event, None, int]:
        if data.startswith(b"--", at):
            self._state = _State.EPILOGUE
            yield BodyEnd()
            return at + 2
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            if len(data) - at > MAX_HEADER_BYTES:
                raise MultipartInvalidError("long part headers")
            self._held = data[at:]
            return len(data)
        self._state = _State.CONTENT
        yield _part_head(data[at:end])
        return end + 4


def _part_head(block: bytes) -> PartHead:
    """From what stands between the delimiter and the empty line: the delimiter's own line end, then a header a line."""
    if len(block) > MAX_HEADER_BYTES:
        raise MultipartInvalidError("long part headers")
    padding, *lines = block.split(b"\r\n")
    if padding.strip(b" \t"):
        raise MultipartInvalidError("a line that starts like a delimiter and is none")
    headers = []
    for line in lines:
        header = _HEADER(line)
        if header is None:
            raise MultipartInvalidError("a malformed part header")
        headers.append((header[1].lower(), header[2].rstrip(b" \t")))
    return PartHead(tuple(headers))
