"""The HTTP/1.1 client of the data path: pooled connections to one fixed origin server, and nothing else it could reach.

Redirects are not followed, no proxy is asked, no cookie is kept. Request targets are built by the caller from parsed
resources; they hold identifiers of patients' images, so they never go into a log or an exception.
"""

import asyncio
import re
import ssl
from base64 import b64encode
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from app.pacs.http_connection import BrokenBeforeAnswerError, HttpAnswer, HttpConnection
from app.pacs.origin import OriginTimeoutError, OriginUnavailableError

_TARGET = re.compile(rb"/[!-~]*")
_FIELD_VALUE = re.compile(rb"[ -~]+")


def basic_authorization(user: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617). Raises ValueError for a user name with a colon."""
    if ":" in user:
        raise ValueError("a user name cannot hold a colon")
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


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
    """Where the archive is, and how this gateway shows who it is. ``authorization`` is the header's whole value."""

    url: str
    authorization: str | None = field(default=None, repr=False)

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


class HttpClient:
    """Sends GET requests to the origin over a pool of connections. Bound to the event loop that first uses it."""

    def __init__(self, origin: HttpOrigin, limits: HttpLimits | None = None, tls: ssl.SSLContext | None = None) -> None:
        secure, self._host, self._port, prefix = origin.parts()
        self._tls = (tls or ssl.create_default_context()) if secure else None
        self._limits = limits or HttpLimits()
        self._idle: list[HttpConnection] = []
        self._open: set[HttpConnection] = set()
        self._opening = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._closed = False
        self._before = b"GET " + prefix
        self._after = self._fixed_head(origin)

    def _fixed_head(self, origin: HttpOrigin) -> bytes:
        name = f"[{self._host}]" if ":" in self._host else self._host
        host = name if self._port == (443 if self._tls is not None else 80) else f"{name}:{self._port}"
        lines = [" HTTP/1.1", f"Host: {host}", "User-Agent: consentry", "Accept-Encoding: identity"]
        if origin.authorization is not None:
            if not _FIELD_VALUE.fullmatch(origin.authorization.encode("ascii")):
                raise ValueError("the archive's credentials hold characters that cannot be sent")
            lines.append(f"Authorization: {origin.authorization}")
        return ("\r\n".join(lines) + "\r\nAccept: ").encode("ascii")

    async def get(self, target: bytes, accept: bytes) -> HttpAnswer:
        """Open the answer to ``GET prefix + target``. The caller reads the body to its end or closes it.

        Raises OriginUnavailableError, OriginTimeoutError or OriginInvalidError; ValueError for a target or media type
        that is not plain ASCII. A pooled connection that the server has closed meanwhile costs one more try, on a
        connection of its own.
        """
        if not _TARGET.fullmatch(target) or not _FIELD_VALUE.fullmatch(accept):
            raise ValueError("not a request target")
        request = b"".join((self._before, target, self._after, accept, b"\r\n\r\n"))
        connection = await self._take(fresh=False)
        try:
            return await self._exchange(connection, request)
        except BrokenBeforeAnswerError:
            if not connection.reused:
                raise
        return await self._exchange(await self._take(fresh=True), request)

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

    async def _exchange(self, connection: HttpConnection, request: bytes) -> HttpAnswer:
        try:
            return await connection.send(request)
        except asyncio.CancelledError:
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
        try:
            async with asyncio.timeout(self._limits.connect_s):
                _, connection = await loop.create_connection(
                    lambda: HttpConnection(loop, self._released, self._lost),
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls is not None else None,
                )
        except TimeoutError:
            raise OriginTimeoutError("the archive did not accept a connection in time") from None
        except OSError as error:  # ssl.SSLError among them; its text may hold the address
            raise OriginUnavailableError(f"the archive cannot be reached ({type(error).__name__})") from None
        finally:
            self._opening -= 1
        self._open.add(connection)
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
