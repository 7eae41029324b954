"""Where one HTTP/1.1 message ends and whether it may be let in: pure checks over bytes (RFC 9110, RFC 9112).

Stricter than the RFC wherever leniency has carried smuggled requests: what two parsers could read in two ways is
refused. So are chunk extensions, trailers, an absolute target and an empty line before a request, which no DICOMweb
user agent sends.
"""

import re
from dataclasses import dataclass

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# RFC 9112 §3, §5: method SP origin-form SP version, then field lines without whitespace before the colon; obs-fold,
# bare CR and LF, NUL and other control characters match nothing here. Possessive, so that no input makes it go back.
_HEAD = re.compile(
    rb"[A-Z]{1,20}+ (?:/[\x21\x22\x24-\x7e]*+|\*) HTTP/1\.([01])\r\n(?:"
    + _TOKEN
    + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n"
)
# The field lines that frame the message, in any case of letters.
_FRAMING = re.compile(rb"\r\n(host|content-length|transfer-encoding|upgrade):[ \t]*+([^\r]*)(?=\r)", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r]*(?=\r)", re.IGNORECASE)
_HOST = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+,;=-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_LOOSE_LINE = re.compile(rb"(?<!\r)\n|\r(?![\n]|\Z)|\x00")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_CHUNK_LINE_BYTES = 10


class FramingError(Exception):
    """The message is refused. ``name`` is the problem's name: ``invalid-framing`` or ``headers-too-large``."""

    def __init__(self, name: str = "invalid-framing") -> None:
        super().__init__(name)
        self.name = name


@dataclass(slots=True)
class LengthBody:
    """A body of a declared length. ``take`` says how many of the bytes at hand belong to it."""

    remaining: int

    def take(self, data: bytes) -> int:
        taken = min(self.remaining, len(data))
        self.remaining -= taken
        return taken

    @property
    def complete(self) -> bool:
        return self.remaining == 0


class ChunkedBody:
    """Follows a chunked body (RFC 9112 §7.1) so that its end is known here and not only to the parser behind."""

    __slots__ = ("_line", "_remaining", "_tail", "complete")

    def __init__(self) -> None:
        self._line = b""  # a size line that has not arrived whole
        self._remaining = 0  # bytes of chunk data still to come
        self._tail = b""  # what must come next, byte for byte: the CRLF after chunk data, or after the last chunk
        self.complete = False

    def take(self, data: bytes) -> int:
        """How many of the bytes at hand belong to this body. Raises FramingError."""
        at = 0
        end = len(data)
        while at < end and not self.complete:
            if self._remaining:
                step = min(self._remaining, end - at)
                self._remaining -= step
                at += step
                if not self._remaining:
                    self._tail = b"\r\n"
            elif self._tail:
                if data[at] != self._tail[0]:
                    raise FramingError
                self._tail = self._tail[1:]
                at += 1
                self.complete = not self._tail and self._line == b"last"
            else:
                at = self._size_line(data, at)
        return at

    def _size_line(self, data: bytes, at: int) -> int:
        wanted = _CHUNK_LINE_BYTES - len(self._line)
        line = self._line + data[at : at + wanted]
        found = _CHUNK_SIZE.match(line)
        if found is None:
            if len(line) >= _CHUNK_LINE_BYTES or re.fullmatch(rb"[0-9A-Fa-f]{0,8}\r?", line) is None or line == b"\r":
                raise FramingError
            self._line = line
            return len(data)
        at += found.end() - len(self._line)
        self._remaining = int(found[1], 16)
        self._line = b""
        if not self._remaining:
            self._line, self._tail = b"last", b"\r\n"
        return at


@dataclass(frozen=True, slots=True)
class Head:
    """A checked message head: the bytes for the parser, and the body that follows (None: there is none)."""

    raw: bytes
    body: LengthBody | ChunkedBody | None


def check_head(head: bytes, max_bytes: int, max_fields: int) -> Head:
    """Check one whole head, from the method to the empty line. Raises FramingError.

    An Upgrade field is taken out: this server speaks HTTP/1.1 only (RFC 9110 §7.8 lets a server ignore it).
    """
    if len(head) > max_bytes:
        raise FramingError("headers-too-large")
    found = _HEAD.fullmatch(head)
    if found is None:
        raise FramingError
    if head.count(b"\r\n") - 2 > max_fields:
        raise FramingError("headers-too-large")
    fields: dict[bytes, bytes] = {}
    for field in _FRAMING.finditer(head):
        name = field[1].lower()
        if name in fields:  # equal twins too: which of them the next parser takes is nobody's to guess
            raise FramingError
        fields[name] = field[2].rstrip(b" \t")
    if _HOST.fullmatch(fields.get(b"host", b"")) is None:
        raise FramingError
    if b"upgrade" in fields:
        head = _UPGRADE.sub(b"", head)
    if len(fields) == 1:
        return Head(head, None)
    return Head(head, _body_of(fields, found[1]))


def _body_of(fields: dict[bytes, bytes], minor_version: bytes) -> LengthBody | ChunkedBody | None:
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if coding is not None:
        if length is not None or coding.lower() != b"chunked" or minor_version == b"0":
            raise FramingError
        return ChunkedBody()
    if length is None:
        return None
    if _LENGTH.fullmatch(length) is None:
        raise FramingError
    return LengthBody(int(length)) if int(length) else None


def check_partial_head(part: bytes, max_bytes: int) -> None:
    """Refuse a head that cannot become a good one any more, without waiting for its end. Raises FramingError."""
    if len(part) > max_bytes:
        raise FramingError("headers-too-large")
    if _LOOSE_LINE.search(part) is not None or part[:2] == b"\r\n":
        raise FramingError
