"""Parts of a body by their place in it, and under what condition (RFC 9110 §13.1.5, §14)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# One range of bytes. Several are a list, which a server may answer with the whole (RFC 9110 §14.2); so it does here.
_ONE: Final = re.compile(rb"bytes[ \t]*=[ \t]*([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE).fullmatch


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from ``start`` up to, not with, ``end``."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start

    def content_range(self, length: int) -> bytes:
        """The value of Content-Range, of a body of that length."""
        return b"bytes %d-%d/%d" % (self.start, self.end - 1, length)


class UnsatisfiableError(ValueError):
    """A range that begins past the end: 416."""


def asked_span(ranges: Sequence[bytes], conditions: Sequence[bytes], length: int, etag: bytes | None) -> Span | None:
    """What is asked for of a body of ``length`` bytes; None: the whole.

    ``ranges`` and ``conditions`` are the values of all Range and If-Range headers. A malformed or unknown range, and
    one under a condition that the body's strong ``etag`` does not meet, ask for the whole. Raises UnsatisfiableError.
    """
    asked = _ONE(ranges[0].strip()) if len(ranges) == 1 else None
    if asked is None or (conditions and [condition.strip() for condition in conditions] != [etag]):
        return None
    first, last = asked.groups()
    if not first and not last:
        return None
    if not first:  # the last so many bytes
        start, end = max(0, length - int(last)), length
    else:
        start, end = int(first), min(length, int(last) + 1) if last else length
        if last and int(last) < start:
            return None
    if start >= length:
        raise UnsatisfiableError
    return Span(start, end)
