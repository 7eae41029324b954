"""One HTTP/1.1 connection to the archive: an event-driven protocol that streams one answer at a time with
back-pressure.

The head goes through httptools. A body with a length or one that ends with the connection then bypasses the parser: the
bytes the socket gave are the bytes the reader gets, uncopied. Chunked bodies stay in the parser.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import cast

import httptools

from app.core.dicom.multipart import boundary_of
from app.pacs.completeness import ClosingBoundary
from app.pacs.http_sending import BodySender
from app.pacs.origin import OriginInvalidError, OriginTimeoutError, OriginUnavailableError
from app.pacs.tls import broken_by, flaw_in_words

# Past this many unread body bytes the socket is left alone until the reader comes back (P18). A single read of the
# event loop (at most 256 KiB) may overshoot it once.
HELD_BODY_BYTES = 64 * 1024
HEAD_LIMIT_BYTES = 32 * 1024
HEAD_LIMIT_FIELDS = 100
# Response header fields that anything here looks at; the rest is dropped as it arrives.
_WANTED_FIELDS = frozenset((b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"warning"))


class BrokenBeforeAnswerError(OriginUnavailableError):
    """The connection broke before a single byte of the answer: an idempotent request may be tried again."""


class HttpAnswer:
    """An answer whose head has arrived; its body streams in behind it (an OriginBody)."""

    __slots__ = (
        "_chunks",
        "_connection",
        "_done",
        "_error",
        "_held_bytes",
        "_waiter",
        "content_length",
        "content_type",
        "status",
        "warned",
    )

    def __init__(self, connection: "HttpConnection", status: int) -> None:
        self.status = status
        self.content_type = b""
        self.content_length: int | None = None
        self.warned = False
        self._connection: HttpConnection | None = connection
        self._chunks: deque[bytes] = deque()
        self._held_bytes = 0
        self._done = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """The next bytes; b"" once the body is proven whole. Raises as OriginBody says."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._done:
                return b""
            if self._connection is None:
                raise OriginUnavailableError("the body was closed")
            self._connection.resume()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._chunks.popleft()
        self._held_bytes -= len(data)
        if not self._chunks and self._connection is not None:
            self._connection.resume()
        return data

    async def aclose(self) -> None:
        """Let go. A connection whose answer was not read to its end is closed, not reused."""
        connection, self._connection = self._connection, None
        self._chunks.clear()
        self._held_bytes = 0
        if connection is not None and not self._done:
            connection.abort()

    @property
    def complete(self) -> bool:
        """Whether the whole body has arrived (it may still wait to be read)."""
        return self._done

    @property
    def held_bytes(self) -> int:
        """How many bytes of the body have arrived and wait to be read."""
        return self._held_bytes

    def feed(self, data: bytes) -> bool:
        """Take body bytes from the connection; True when the reader has fallen behind."""
        if self._connection is None:
            return False
        self._chunks.append(data)
        self._held_bytes += len(data)
        self._wake()
        return self._held_bytes >= HELD_BODY_BYTES

    def finish(self) -> None:
        """The body is proven whole; the connection is no longer this answer's."""
        self._done = True
        self._connection = None
        self._wake()

    def fail(self, error: Exception) -> None:
        """The body broke off: what has arrived can still be read, then ``read`` raises."""
        if not self._done:
            self._error = error
            self._connection = None
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class HttpConnection(BodySender):
    """A pooled connection. ``released`` is called when an answer has ended and the connection can carry another,
    ``lost`` when it is gone.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        released: Callable[["HttpConnection"], None],
        lost: Callable[["HttpConnection"], None],
    ) -> None:
        super().__init__(loop)
        self._released = released
        self._lost = lost
        self._parser: httptools.HttpResponseParser | None = None
        self._head_waiter: asyncio.Future[HttpAnswer] | None = None
        self._answer: HttpAnswer | None = None
        self._unparsed_bytes = 0  # fed to the parser since it last gave body bytes
        self._fields: list[tuple[bytes, bytes]] = []
        self._field_count = 0
        self._remaining_bytes = -1  # of a body with a length, once the parser is bypassed
        self._until_close = False
        self._closing_boundary: ClosingBoundary | None = None
        self._keep_alive = False
        self._paused = False
        self._got_bytes = False
        self.idle_since = 0.0
        self.reused = False

    # What the pool calls

    @property
    def usable(self) -> bool:
        """Whether another request may be sent on it, as far as is known here."""
        return self._transport is not None and not self._transport.is_closing() and self._head_waiter is None

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited or streaming, and not held up by its reader: then silence is the archive's."""
        return (self._head_waiter is not None or self._answer is not None) and not self._paused

    @property
    def awaits_head(self) -> bool:
        """Whether the request is out and its answer's head is not yet in."""
        return self._head_waiter is not None

    def send(self, request: bytes) -> "asyncio.Future[HttpAnswer]":
        """Send one request; the future holds the answer once its head is there."""
        transport = self._transport
        waiter: asyncio.Future[HttpAnswer] = self._loop.create_future()
        if transport is None or transport.is_closing():
            waiter.set_exception(BrokenBeforeAnswerError("the connection to the archive was closed"))
            return waiter
        self._parser = httptools.HttpResponseParser(self)
        self._head_waiter = waiter
        self._unparsed_bytes = self._field_count = 0
        self._fields = []
        self._got_bytes = self._until_close = self._keep_alive = False
        self._remaining_bytes = -1
        self._closing_boundary = None
        self.last_activity = self._loop.time()
        transport.write(request)
        return waiter

    async def exchange(self, request: bytes, pieces: AsyncGenerator[bytes]) -> HttpAnswer:
        """Send a request with its body; the answer once its head is there."""
        self.sending = True
        await self.send_body(pieces, answered := self.send(request))
        return await answered

    def resume(self) -> None:
        """The reader has caught up."""
        if self._paused and self._transport is not None:
            self._paused = False
            self.last_activity = self._loop.time()
            self._transport.resume_reading()

    def timed_out(self) -> None:
        """The archive was silent for too long."""
        self._fail(OriginTimeoutError("the archive was silent for too long"))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, which does not inherit

    def data_received(self, data: bytes) -> None:
        self.last_activity = self._loop.time()
        self._got_bytes = True
        answer = self._answer
        if answer is not None and self._remaining_bytes >= 0:
            self._take_counted(answer, data)
        elif answer is not None and self._until_close:
            if self._closing_boundary is not None:
                self._closing_boundary.feed(data)
            self._give(answer, data)
        elif self._parser is None:
            self.abort()  # bytes that no request asked for
        else:
            self._parse(self._parser, data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.resume_writing()
        answer = self._answer
        ended = self._until_close and exc is None
        if answer is not None and ended and self._closing_boundary is not None and self._closing_boundary.seen:
            self._answer = None
            answer.finish()
        if exc is not None and self._head_waiter is not None and flaw_in_words(exc)[0]:
            # TLS 1.3 tells only after the handshake that it wants another client certificate.
            self._fail(broken_by(exc, "the archive ended the connection"))
        self._fail_waiting()
        self._parser = None
        self._lost(self)

    # httptools

    def on_message_begin(self) -> None:
        if self._parser is None:
            self.abort()  # a second answer to one request: what comes next on this connection is not to be trusted

    def on_header(self, name: bytes, value: bytes) -> None:
        self._field_count += 1
        if self._field_count > HEAD_LIMIT_FIELDS:
            raise OriginInvalidError("too many header fields")
        lowered = name.lower()
        if lowered in _WANTED_FIELDS:
            self._fields.append((lowered, value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if parser is None:
            return
        status = parser.get_status_code()
        if status < 200:
            self._fields = []
            if status == 101:
                raise OriginInvalidError("the archive changed the protocol")
            return
        if self._head_waiter is None:
            raise OriginInvalidError("an answer that nothing asked for")
        answer = HttpAnswer(self, status)
        chunked = self._read_fields(answer)
        self._keep_alive = parser.should_keep_alive()
        if not chunked and answer.content_length is None and status not in (204, 304):
            self._until_close = True
            boundary = boundary_of(answer.content_type)
            self._closing_boundary = ClosingBoundary(boundary) if boundary is not None else None
        self._answer = answer

    def on_body(self, data: bytes) -> None:
        self._unparsed_bytes = 0
        answer = self._answer
        if answer is not None:
            if self._closing_boundary is not None:
                self._closing_boundary.feed(data)
            self._give(answer, data)

    def on_message_complete(self) -> None:
        parser, answer = self._parser, self._answer
        if parser is None or parser.get_status_code() < 200 or answer is None or self._until_close:
            return  # an interim answer, or an end by closing, which connection_lost judges
        self._complete(answer)

    # Inside

    def _read_fields(self, answer: HttpAnswer) -> bool:
        """Put what the head says into the answer; True for a chunked body."""
        framing: list[bytes] = []
        for name, value in self._fields:
            if name == b"content-type":
                answer.content_type = value
            elif name == b"warning":
                answer.warned = True
            elif name != b"content-encoding":
                framing.append(value.lower())
            elif value.lower() != b"identity":
                raise OriginInvalidError("a content coding that was not asked for")
        if len(framing) > 1:
            raise OriginInvalidError("the framing is ambiguous")
        if not framing or framing[0] == b"chunked":
            return bool(framing)
        if not framing[0].isdigit() or len(framing[0]) > 18:
            raise OriginInvalidError("the length is not a number, or the transfer coding is unknown")
        answer.content_length = int(framing[0])
        return False

    def _parse(self, parser: httptools.HttpResponseParser, data: bytes) -> None:
        self._unparsed_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._fail(
                cause if isinstance(cause, OriginInvalidError) else OriginInvalidError("the answer is malformed")
            )
            return
        except httptools.HttpParserError:
            self._fail(OriginInvalidError("the answer is malformed"))
            return
        answer, waiter = self._answer, self._head_waiter
        if self._unparsed_bytes > HEAD_LIMIT_BYTES:
            self._fail(OriginInvalidError("the head, a chunk's head or the trailer of the answer is too large"))
        elif answer is not None:
            if waiter is not None:
                self._start_body(answer, waiter)
            if answer.complete:
                self._answer = None

    def _start_body(self, answer: HttpAnswer, waiter: "asyncio.Future[HttpAnswer]") -> None:
        """The head is whole: hand the answer over, and from here on count the body instead of parsing it."""
        self._head_waiter = None
        if answer.content_length is not None and not answer.complete:
            self._remaining_bytes = answer.content_length - answer.held_bytes
        if not waiter.done():
            waiter.set_result(answer)

    def _take_counted(self, answer: HttpAnswer, data: bytes) -> None:
        surplus = len(data) - self._remaining_bytes
        if surplus > 0:
            data = data[: self._remaining_bytes]
            self._keep_alive = False
        self._remaining_bytes -= len(data)
        self._give(answer, data)
        if self._remaining_bytes == 0:
            self._complete(answer)
            self._answer = None

    def _give(self, answer: HttpAnswer, data: bytes) -> None:
        if answer.feed(data) and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _complete(self, answer: HttpAnswer) -> None:
        """The body is proven whole: part from it, and offer the connection for the next request or close it."""
        self._remaining_bytes = -1
        self._parser = None
        if self._paused:
            self.resume()
        answer.finish()
        reusable = self._keep_alive and not self.sending
        if reusable and self._transport is not None and not self._transport.is_closing():
            self.idle_since = self.last_activity
            self._loop.call_soon(self._released, self)
        else:
            self.abort()

    def _fail(self, error: Exception) -> None:
        answer, waiter = self._answer, self._head_waiter
        self._answer = self._head_waiter = None
        if answer is not None:
            answer.fail(error)
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        self.abort()

    def _fail_waiting(self) -> None:
        if self._head_waiter is not None and not self._got_bytes:
            self._fail(BrokenBeforeAnswerError("the archive closed the connection"))
        elif self._head_waiter is not None or self._answer is not None:
            self._fail(OriginUnavailableError("the archive's answer broke off"))
