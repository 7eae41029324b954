"""The HTTP/1.1 client of the data path: pooled connections to one fixed origin server, and nothing else it could reach.

Redirects are not followed, no proxy is asked, no cookie is kept. Request targets are built by the caller from parsed
resources; they hold identifiers of patients' images, so they never go into a log or an exception.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from app.pacs.bodies import discard
from app.pacs.credentials import TokenFile
from app.pacs.http_connection import BrokenBeforeAnswerError, HttpAnswer, HttpConnection
from app.pacs.origin import OriginTimeoutError, OriginUnavailableError
from app.pacs.tls import TlsFiles, TlsIdentity, broken_by

_TARGET = re.compile(rb"/[!-~]*")
_FIELD_VALUE = re.compile(rb"[ -~]+")
_REFUSAL_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Times in seconds. ``idle_s`` must be shorter than the server's keep-alive (Orthanc: 1 s)."""

    connect_s: float = 5.0
    first_byte_s: float = 60.0
    silence_s: float = 30.0
    idle_s: float = 0.7
    connections: int = 96


@dataclass(frozen=True, slots=True)
class HttpOrigin:
    """Where the archive is, and how this gateway shows who it is. ``authorization`` is the header's whole value, or the
    file of a token that is renewed.
    """

    url: str
    authorization: str | TokenFile | None = field(default=None, repr=False)

    def parts(self) -> tuple[bool, str, int, bytes]:
        """(TLS, host, port, path prefix without a trailing slash). Raises ValueError for anything but a plain http(s)
        address.
        """
        split = urlsplit(self.url)
        if split.scheme not in ("http", "https") or not split.hostname or split.query or split.fragment:
            raise ValueError("the archive's address must be http(s)://host[:port]/path")
        if split.username is not None or split.password is not None:
            raise ValueError("the archive's credentials do not belong in its address")
        prefix = split.path.rstrip("/").encode("ascii")
        if prefix and not _TARGET.fullmatch(prefix):
            raise ValueError("the archive's path holds characters that cannot be sent")
        tls = split.scheme == "https"
        return tls, split.hostname, split.port or (443 if tls else 80), prefix


@dataclass(frozen=True, slots=True)
class RequestBody:
    """What a POST carries. ``pieces`` begins anew each time it is called."""

    content_type: bytes
    length: int
    pieces: Callable[[], AsyncGenerator[bytes]]


class HttpClient:
    """Sends GET and POST requests to the origin over a pool of connections. Belongs to the event loop that uses it."""

    def __init__(self, origin: HttpOrigin, limits: HttpLimits | None = None, tls: TlsIdentity | None = None) -> None:
        """``tls`` None trusts what the system trusts, where the address is https."""
        secure, self._host, self._port, prefix = origin.parts()
        self._tls = (tls or TlsIdentity(TlsFiles())) if secure else None
        self._limits = limits or HttpLimits()
        self._idle: list[HttpConnection] = []
        self._open: set[HttpConnection] = set()
        self._opening = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False
        self._prefix = prefix
        self._token_file = origin.authorization if isinstance(origin.authorization, TokenFile) else None
        fixed = None if isinstance(origin.authorization, TokenFile) else origin.authorization
        self._after = self._fixed_head(fixed)

    def _fixed_head(self, authorization: str | None) -> bytes:
        name = f"[{self._host}]" if ":" in self._host else self._host
        host = name if self._port == (443 if self._tls is not None else 80) else f"{name}:{self._port}"
        lines = [" HTTP/1.1", f"Host: {host}", "User-Agent: consentry", "Accept-Encoding: identity"]
        if authorization is not None:
            if not _FIELD_VALUE.fullmatch(authorization.encode("ascii")):
                raise ValueError("the archive's credentials hold characters that cannot be sent")
            lines.append(f"Authorization: {authorization}")
        return ("\r\n".join(lines) + "\r\nAccept: ").encode("ascii")

    async def get(self, target: bytes, accept: bytes) -> HttpAnswer:
        """Open the answer to ``GET prefix + target``. The caller reads the body to its end or closes it.

        Raises OriginUnavailableError, OriginTimeoutError or OriginInvalidError; ValueError for a target or media type
        that is not plain ASCII. A pooled connection that the server has closed meanwhile costs one more try, on a
        connection of its own; an answer of 401 one more where the token in its file is a new one.
        """
        if not _TARGET.fullmatch(target) or not _FIELD_VALUE.fullmatch(accept):
            raise ValueError("not a request target")
        return await self._shown(b"".join((b"GET ", self._prefix, target, self._after, accept)), None)

    async def post(self, target: bytes, accept: bytes, body: RequestBody) -> HttpAnswer:
        """The same for ``POST prefix + target``. What is sent may be sent twice, and so must mean the same twice.

        Raises what reading the body raises, too.
        """
        if not _TARGET.fullmatch(target) or not _FIELD_VALUE.fullmatch(accept + body.content_type):
            raise ValueError("not a request target")
        head = (b"POST ", self._prefix, target, self._after, accept, b"\r\nContent-Type: ", body.content_type)
        return await self._shown(b"".join((*head, b"\r\nContent-Length: %d" % body.length)), body)

    async def _shown(self, request: bytes, body: RequestBody | None) -> HttpAnswer:
        """The answer to a request without the end of its head, with the token where that comes from a file."""
        if self._token_file is None:
            return await self._asked(request + b"\r\n\r\n", body)
        answer = await self._asked(self._with_token(request, self._token_file), body)
        if answer.status != 401 or not self._token_file.look():
            return answer
        await discard(answer, _REFUSAL_BODY_BYTES)
        return await self._asked(self._with_token(request, self._token_file), body)

    def _with_token(self, request: bytes, token_file: TokenFile) -> bytes:
        return b"".join((request, b"\r\nAuthorization: ", token_file.header.encode("ascii"), b"\r\n\r\n"))

    async def _asked(self, request: bytes, body: RequestBody | None) -> HttpAnswer:
        connection = await self._take(fresh=False)
        try:
            return await self._exchange(connection, request, body)
        except BrokenBeforeAnswerError:
            if not connection.reused:
                raise
        return await self._exchange(await self._take(fresh=True), request, body)

    async def aclose(self) -> None:
        """Close every connection; answers still streaming break off."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        for connection in tuple(self._open):
            connection.abort()
        for waiter in self._queue:
            if not waiter.done():
                waiter.set_result(None)
        await asyncio.sleep(0)

    async def _exchange(self, connection: HttpConnection, request: bytes, body: RequestBody | None) -> HttpAnswer:
        try:
            if body is not None:
                return await connection.exchange(request, body.pieces())
            return await connection.send(request)
        except (asyncio.CancelledError, OSError):  # the latter from reading the body
            connection.abort()
            raise

    async def _take(self, *, fresh: bool) -> HttpConnection:
        loop = asyncio.get_running_loop()
        while True:
            if self._closed:
                raise OriginUnavailableError("the archive's client is closed")
            oldest_use = loop.time() - self._limits.idle_s
            while self._idle and not fresh:
                connection = self._idle.pop()
                if connection.usable and connection.idle_since > oldest_use:
                    connection.reused = True
                    return connection
                connection.abort()
            if len(self._open) + self._opening < self._limits.connections:
                return await self._connect(loop)
            if self._idle:  # full of idle connections, and a fresh one is wanted
                self._idle.pop(0).abort()
            await self._wait_for_room(loop)

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> HttpConnection:
        self._opening += 1
        tls = self._tls
        try:
            async with asyncio.timeout(self._limits.connect_s):
                transport, connection = await loop.create_connection(
                    lambda: HttpConnection(loop, self._released, self._lost),
                    self._host,
                    self._port,
                    ssl=None if tls is None else tls.context(),
                    server_hostname=None if tls is None else tls.server_name or self._host,
                )
        except TimeoutError:
            raise OriginTimeoutError("the archive did not accept a connection in time") from None
        except OSError as error:  # ssl.SSLError among them; its text may hold the address
            raise broken_by(error, "the archive cannot be reached") from None
        finally:
            self._opening -= 1
        self._open.add(connection)
        if tls is not None and not tls.accepts(transport.get_extra_info("ssl_object").getpeercert(binary_form=True)):
            connection.abort()
            raise OriginUnavailableError("the archive cannot be reached: its certificate is not the pinned one")
        if self._closed:
            connection.abort()
        elif self._watch is None:
            self._watch = loop.call_later(self._tick_s, self._look, loop)
        return connection

    async def _wait_for_room(self, loop: asyncio.AbstractEventLoop) -> None:
        waiter: asyncio.Future[None] = loop.create_future()
        self._queue.append(waiter)
        try:
            async with asyncio.timeout(self._limits.first_byte_s):
                await waiter
        except TimeoutError:
            raise OriginTimeoutError("every connection to the archive is busy") from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake_one()
            raise
        finally:
            if waiter in self._queue:
                self._queue.remove(waiter)

    def _wake_one(self) -> None:
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _released(self, connection: HttpConnection) -> None:
        if self._closed or not connection.usable:
            connection.abort()
            return
        self._idle.append(connection)
        self._wake_one()

    def _lost(self, connection: HttpConnection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake_one()

    @property
    def _tick_s(self) -> float:
        return min(self._limits.silence_s, self._limits.first_byte_s, self._limits.idle_s) / 4

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """One look at all connections, in place of a timer for every request."""
        now = loop.time()
        for connection in tuple(self._open):
            if connection.busy:
                limit_s = self._limits.first_byte_s if connection.awaits_head else self._limits.silence_s
                if now - connection.last_activity > limit_s:
                    connection.timed_out()
        while self._idle and now - self._idle[0].idle_since > self._limits.idle_s:
            self._idle.pop(0).abort()
        self._watch = loop.call_later(self._tick_s, self._look, loop) if self._open else None
