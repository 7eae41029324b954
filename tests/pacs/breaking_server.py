"""A tiny HTTP server that answers with exactly the bytes it is told to, in exactly the steps it is told to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Script = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One connection, as the script sees it. ``number`` counts connections from 0."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.sent_bytes = 0
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """The head of the next request; b"" when the client has gone."""
        try:
            return await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def body(self, length: int) -> bytes:
        """That many bytes of a request's body."""
        return await self._reader.readexactly(length)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
        self.sent_bytes += len(data)

    def reset(self) -> None:
        """Break off without a goodbye (RST)."""
        self._writer.transport.abort()


class BreakingServer:
    """Runs a script for each connection and closes it when the script ends."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.exchanges: list[Exchange] = []
        self.requests: list[bytes] = []
        self.url = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange = Exchange(len(self.exchanges), reader, writer)
        self.exchanges.append(exchange)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._script(exchange)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client broke off, or the test is over
        finally:
            self._tasks.discard(task)
            writer.close()

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.sleep(0)


@asynccontextmanager
async def breaking_server(script: Script) -> AsyncIterator[BreakingServer]:
    server = BreakingServer(script)
    listening = await asyncio.start_server(server._serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{port}/dicom-web"
    try:
        yield server
    finally:
        listening.close()
        await server.stop()


def always(answer: bytes, *, then: Callable[[Exchange], None] | None = None) -> Script:
    """Every request gets these bytes; then the connection is closed, or what ``then`` does."""

    async def script(exchange: Exchange) -> None:
        if await exchange.request():
            await exchange.send(answer)
            if then is not None:
                then(exchange)

    return script
