"""Part of a body for those who ask for a range of it, and what tells them that it is still the same body."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from app.core.http.byte_range import Span, UnsatisfiableError, asked_span
from app.core.http.problem import ProblemError, problem
from app.gateway.parts import Passing
from app.pacs.bodies import BytesBody
from app.pacs.origin import OriginBody

_ETAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a request's headers say of ranges: the values of all Range, If-Range and If-None-Match headers."""

    ranges: tuple[bytes, ...] = ()
    if_range: tuple[bytes, ...] = ()
    if_none_match: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, method: str, headers: Iterable[tuple[bytes, bytes]]) -> "Conditions":
        """Of a request. A Range means something to GET alone (RFC 9110 §14.2)."""
        found: dict[bytes, list[bytes]] = {b"range": [], b"if-range": [], b"if-none-match": []}
        for name, value in headers:
            if name in found:
                found[name].append(value)
        ranges, if_range, if_none_match = (tuple(values) for values in found.values())
        return cls(ranges if method == "GET" else (), if_range, if_none_match)

    def knows(self, etag: bytes) -> bool:
        """Whether the client says that it has the body of this tag (RFC 9110 §13.1.2)."""
        tags = [tag.strip().removeprefix(b"W/") for value in self.if_none_match for tag in value.split(b",")]
        return etag in tags or b"*" in tags


NO_CONDITIONS = Conditions()


def etag_of(validator: str, *words: str) -> bytes:
    """A strong tag made from the archive's validator and from what was asked for. It shows nothing of either."""
    hashed = sha256("\n".join((validator, *words)).encode("utf-8", "surrogatepass"))
    return b'"' + hashed.hexdigest()[: 2 * _ETAG_BYTES].encode("ascii") + b'"'


@dataclass(frozen=True, slots=True)
class Sent:
    """What goes out: the answer's head, and what follows it. ``length`` None: not known before the end."""

    status: int
    length: int | None
    headers: tuple[tuple[bytes, bytes], ...]
    body: OriginBody


def sent_of(passed: Passing, path: str, conditions: Conditions) -> Sent:
    """The whole, the part asked for, or that nothing has changed. ``path``: of the resource, for its tag.

    Raises ProblemError 416 with the length in Content-Range.
    """
    content_type = (b"content-type", passed.content_type.encode("latin-1"))
    length, etag = passed.length, None
    if not passed.in_ranges or length is None:
        return Sent(200, length, (content_type, (b"accept-ranges", b"none")), passed.body)
    headers = [(b"accept-ranges", b"bytes")]
    if passed.validator is not None:
        etag = etag_of(passed.validator, path, passed.content_type)
        headers.append((b"etag", etag))
        if conditions.knows(etag):
            return Sent(304, None, tuple(headers), BytesBody())
    try:
        span = asked_span(conditions.ranges, conditions.if_range, length, etag)
    except UnsatisfiableError:
        raise ProblemError(problem("range-not-satisfiable").with_header("Content-Range", f"bytes */{length}")) from None
    if span is None:
        return Sent(200, length, (content_type, *headers), passed.body)
    headers.append((b"content-range", span.content_range(length)))
    return Sent(206, span.length, (content_type, *headers), SpanBody(passed.body, span))


class SpanBody:
    """Some bytes of another body, which is read from its beginning: what comes before is let go. An OriginBody.

    The bytes are all there once they have come, so that the rest of the body needs no proof.
    """

    def __init__(self, source: OriginBody, span: Span) -> None:
        self._source = source
        self._skip = span.start
        self._left = span.length

    async def read(self) -> bytes:
        """See OriginBody."""
        while self._left:
            data = await self._source.read()
            if not data:
                return b""
            kept = data[self._skip : self._skip + self._left]
            self._skip = max(0, self._skip - len(data))
            self._left -= len(kept)
            if kept:
                return kept
        return b""

    async def aclose(self) -> None:
        """See OriginBody."""
        await self._source.aclose()
