"""The load: many small requests over keep-alive connections, or a few large downloads. Run in a process of its own.

``python -m bench.load small|bulk PORT PATH CONNECTIONS SECONDS-OR-ROUNDS [TOKEN]`` prints one JSON document.
"""

import asyncio
import json
import re
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)


@dataclass(slots=True)
class Tally:
    """What was measured. ``latencies_ms`` are percentiles; ``failed`` counts answers that were not a whole 200."""

    answers: int = 0
    failed: int = 0
    body_bytes: int = 0
    seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0


def request_bytes(port: int, path: str, token: str | None) -> bytes:
    """The one request that is sent over and over."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: */*\r\n{authorization}\r\n".encode()


class _Asking(asyncio.Protocol):
    """One connection: asks, reads the answer whole, asks again."""

    def __init__(self, request: bytes, tally: Tally, latencies: list[float]) -> None:
        self._request = request
        self._tally = tally
        self._latencies = latencies
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._missing = -1  # bytes of the body to come; -1: the head is not whole; -2: the body is chunked
        self._asked_at = 0.0
        self.stopping = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if not self.stopping:
            self._tally.failed += 1

    def data_received(self, data: bytes) -> None:
        if self._missing == -1:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head, data = self._buffer[: end + 2], self._buffer[end + 4 :]
            if not head.startswith(b"HTTP/1.1 200"):
                self._tally.failed += 1
            found = _LENGTH.search(head)
            self._missing = int(found[1]) if found else -2
            self._buffer = b""
        self._tally.body_bytes += len(data)
        if self._missing == -2:
            self._buffer = (self._buffer + data)[-7:]
            if self._buffer == b"\r\n0\r\n\r\n":
                self._answered()
        else:
            self._missing -= len(data)
            if not self._missing:
                self._answered()

    def _answered(self) -> None:
        self._tally.answers += 1
        self._latencies.append(time.perf_counter() - self._asked_at)
        self._missing, self._buffer = -1, b""
        if self.stopping and self._transport is not None:
            self._transport.close()
        else:
            self._ask()

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        if self._transport is not None:
            self._transport.write(self._request)


async def small(port: int, request: bytes, connections: int, seconds: float) -> Tally:
    """Ask over so many connections at once for so long."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    latencies: list[float] = []
    started = time.perf_counter()
    asking = [
        (await loop.create_connection(lambda: _Asking(request, tally, latencies), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    for one in asking:
        one.stopping = True
    tally.seconds = time.perf_counter() - started
    latencies.sort()
    if latencies:
        tally.p50_ms = latencies[len(latencies) // 2] * 1000
        tally.p99_ms = latencies[len(latencies) * 99 // 100] * 1000
    return tally


def bulk(port: int, request: bytes, connections: int, rounds: int) -> Tally:
    """Download so many times over each of so many connections."""
    tally = Tally()
    lock = threading.Lock()

    def download() -> None:
        received = 0
        failed = 0
        with socket.create_connection(("127.0.0.1", port)) as client:
            buffer = bytearray(1 << 20)
            for _ in range(rounds):
                client.sendall(request)
                got, whole = _read_answer(client, buffer)
                received += got
                failed += not whole
        with lock:
            tally.body_bytes += received
            tally.answers += rounds
            tally.failed += failed

    started = time.perf_counter()
    threads = [threading.Thread(target=download) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.seconds = time.perf_counter() - started
    return tally


def _read_answer(client: socket.socket, buffer: bytearray) -> tuple[int, bool]:
    """Bytes read, framing of chunks included, and whether the answer was whole."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = client.recv(65536)
        if not data:
            return 0, False
        head += data
    head, _, first = head.partition(b"\r\n\r\n")
    found = _LENGTH.search(head + b"\r\n")
    received = len(first)
    tail = first[-7:]
    while (received < int(found[1])) if found else (tail != b"\r\n0\r\n\r\n"):
        count = client.recv_into(buffer)
        if not count:
            return received, False
        received += count
        if not found:
            tail = (tail + bytes(buffer[max(0, count - 7) : count]))[-7:]
    return received, head.startswith(b"HTTP/1.1 200")


def main(arguments: list[str]) -> None:
    """The command line; see the module's words."""
    kind, port, path, connections, amount, *token = arguments
    request = request_bytes(int(port), path, token[0] if token else None)
    if kind == "small":
        tally = uvloop.run(small(int(port), request, int(connections), float(amount)))
    else:
        tally = bulk(int(port), request, int(connections), int(amount))
    print(json.dumps(asdict(tally)))


if __name__ == "__main__":
    main(sys.argv[1:])
