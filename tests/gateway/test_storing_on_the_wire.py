"""Uploads over a real connection: their framing, their pace, their memory, and the clients that hospitals use (P18)."""

import asyncio
import http.client
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from app.core.dicom.storing import InstanceName
from app.gateway.front import Front
from app.gateway.ports import GatewayLimits
from app.gateway.wire import GuardedProtocol, WireLimits
from tests.gateway.memory_origin import MemoryOrigin
from tests.gateway.people import A1, ANNA, B1, archive
from tests.gateway.running import read_to_end, running
from tests.gateway.test_on_the_wire import _elsewhere
from tests.gateway.uploading import BOUNDARY, CONTENT_TYPE, UPLOADER, envelope, may_upload, taken
from tests.gateway.world import PHYSICIAN, World

NEW = "2.25.701"
# Slower than any client here means to be, quicker than a test wants to wait.
LIMITS = WireLimits(body_s=0.4, unwanted_bytes=300_000)


@dataclass
class Served:
    world: World
    origin: MemoryOrigin
    port: int
    token: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def head(self, *more: bytes, token: str | None = None) -> bytes:
        lines = (
            b"POST /dicom-web/studies HTTP/1.1",
            b"Host: gateway.example",
            b"Authorization: Bearer " + (token or self.token).encode(),
            b"Content-Type: " + CONTENT_TYPE.encode(),
            *more,
        )
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@pytest.fixture
async def served(make_world: Any) -> AsyncIterator[Served]:
    origin = archive()
    world = await make_world(origin, GatewayLimits(denial_step_s=0, upload_request_bytes=200_000_000))
    may_upload(world)
    world.grant(await world.enrol(ANNA))
    token = await world.token(UPLOADER)
    with running(Front(world.dicomweb, _elsewhere), LIMITS) as port:
        yield Served(world, origin, port, token)


def large(number: int, size: int) -> bytes:
    """A file with pixel data of that size."""
    file = taken(ANNA, NEW, number).part10()
    at = file.index(b"\xe0\x7f\x10\x00")
    return file[:at] + struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, size) + bytes(size)


def until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


async def test_with_a_length_and_in_chunks_it_is_the_same(served: Served) -> None:
    body = envelope(*(taken(ANNA, NEW, number).part10() for number in range(1, 20)))

    def post(data: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {served.token}", "Content-Type": CONTENT_TYPE}
        return requests.post(served.url + "/studies", data=data, headers=headers, timeout=20)

    def chunks() -> Any:
        for at in range(0, len(body), 777):
            yield body[at : at + 777]

    whole = await asyncio.to_thread(post, body)
    again = await asyncio.to_thread(post, chunks())
    assert (whole.status_code, again.status_code) == (200, 200)
    assert whole.json() == again.json()
    assert len(served.origin.received) == 19


async def test_who_waits_to_be_told_to_continue_is_told_once_it_may(served: Served) -> None:
    body = envelope(taken(ANNA, NEW).part10())
    length = b"Content-Length: %d" % len(body)
    stranger = await served.world.token(PHYSICIAN)

    def ask(token: str) -> tuple[bytes, bytes]:
        with served.connected() as client:
            client.sendall(served.head(length, b"Expect: 100-continue", b"Connection: close", token=token))
            first = client.recv(65536)
            if first.startswith(b"HTTP/1.1 100"):
                client.sendall(body)
                return first, read_to_end(client)
            return first, b""

    assert (await asyncio.to_thread(ask, stranger))[0].startswith(b"HTTP/1.1 403")
    interim, final = await asyncio.to_thread(ask, served.token)
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert final.startswith(b"HTTP/1.1 200")
    assert len(served.origin.received) == 1


async def test_a_refusal_is_read_by_who_sends_on_and_the_connection_lives(served: Served) -> None:
    stranger = await served.world.token(PHYSICIAN)

    def ask() -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        statuses = []
        for token in (stranger, served.token):
            headers = {"Authorization": f"Bearer {token}", "Content-Type": CONTENT_TYPE}
            connection.request("POST", "/dicom-web/studies", envelope(large(1, 200_000)), headers)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
        return statuses

    assert await asyncio.to_thread(ask) == [403, 200]


async def test_a_body_that_nobody_wants_is_not_heard_for_ever(served: Served) -> None:
    stranger = await served.world.token(PHYSICIAN)

    def ask() -> int:
        sent = 0
        with served.connected() as client:
            client.sendall(served.head(b"Content-Length: 100000000", token=stranger))
            try:
                while sent < 100_000_000:
                    sent += client.send(bytes(65536))
            except (BrokenPipeError, ConnectionResetError):
                return sent
        return sent

    assert await asyncio.to_thread(ask) < 50_000_000  # the limit and what the sockets hold


async def test_p18_an_upload_takes_little_memory_whatever_its_size(served: Served) -> None:
    size = 60_000_000
    head = envelope(large(1, size), end=b"")[: -size - len(b"\r\n--" + BOUNDARY)]
    peak = []

    async def swallowed(_name: Any, content: Any) -> Any:
        """An archive that reads in its own time, and holds nothing."""
        seen = 0
        async for piece in content.pieces():
            seen += len(piece)
        assert seen == content.length
        peak.append(tracemalloc.get_traced_memory()[1])
        raise RuntimeError

    served.origin.store = swallowed  # type: ignore[assignment,method-assign]

    def send() -> bytes:
        with served.connected() as client:
            length = len(head) + size + len(b"\r\n--" + BOUNDARY + b"--\r\n")
            client.sendall(served.head(b"Content-Length: %d" % length, b"Connection: close") + head)
            piece, left = bytes(1 << 16), size
            while left:
                left -= client.send(piece[: min(left, len(piece))])
            client.sendall(b"\r\n--" + BOUNDARY + b"--\r\n")
            return read_to_end(client)

    tracemalloc.start()
    try:
        answer = await asyncio.to_thread(send)
    finally:
        tracemalloc.stop()
    assert answer.startswith(b"HTTP/1.1 500")
    assert peak
    assert peak[0] < 12_000_000


async def test_a_client_that_is_gone_leaves_nothing(served: Served) -> None:
    body = envelope(taken(ANNA, NEW, 1).part10(), large(2, 3_000_000))

    def send() -> None:
        with served.connected() as client:
            client.sendall(served.head(b"Content-Length: %d" % len(body)) + body[:-1_000_000])

    await asyncio.to_thread(send)
    storing = served.world.dicomweb._storing
    assert await asyncio.to_thread(until, lambda: len(served.origin.received) == 1 and not storing._running)
    assert len(served.world.journal.entries) == 1


async def test_a_sender_that_falls_silent_is_cut(served: Served) -> None:
    def send() -> bytes:
        with served.connected() as client:
            client.sendall(served.head(b"Content-Length: 5000000") + envelope(large(1, 3_000_000))[:200_000])
            return read_to_end(client)

    assert (await asyncio.to_thread(send)).replace(b"<reset>", b"") == b""
    assert served.origin.received == []


async def test_a_sender_is_not_cut_for_the_archives_slowness(served: Served) -> None:
    """The archive takes longer for each than a sender may be silent; the sender is ready all the time."""
    went_on = threading.Event()

    def slow(name: InstanceName) -> None:
        time.sleep(1.1)  # the whole loop: the deadline comes due while nobody reads, and is looked at right after
        went_on.set()

    served.origin.store_with = slow
    body = envelope(*(large(number, 400_000) for number in (1, 2, 3)))

    def send() -> requests.Response:
        headers = {"Authorization": f"Bearer {served.token}", "Content-Type": CONTENT_TYPE}
        return requests.post(served.url + "/studies", data=body, headers=headers, timeout=30)

    assert (await asyncio.to_thread(send)).status_code == 200
    assert went_on.is_set()


class _Line:
    """What a connection's pace is judged on, without a clock."""

    def __init__(self) -> None:
        self.read_paused = False
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True

    def call_later(self, _delay_s: float, _callback: Callable[[], None]) -> None:
        return


def test_the_pace_is_that_of_spans_in_which_the_sender_was_heard() -> None:
    line = _Line()
    protocol = object.__new__(GuardedProtocol)
    protocol.__dict__.update(flow=line, transport=line, loop=line, _body_bytes=0, _held_back=True)
    line.read_paused = True
    protocol._check_body_pace()  # nobody listened, and nobody does
    line.read_paused = False
    protocol._check_body_pace()  # nobody listened at the beginning of this span
    assert not line.aborted
    protocol._body_bytes = protocol.limits.body_bytes_per_span
    protocol._check_body_pace()
    assert not line.aborted
    protocol._check_body_pace()
    assert line.aborted


async def test_dicomweb_client_stores_and_is_told_what_was_not(served: Served) -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {served.token}"
    client = DICOMwebClient(served.url, session=session)
    good = [dcmread(BytesIO(taken(ANNA, NEW, number).part10())) for number in (1, 2)]
    bad = dcmread(BytesIO(taken(ANNA, str(B1), 3).part10()))

    def store() -> tuple[Any, Any, Any]:
        return (
            client.store_instances(good),
            client.store_instances([*good, bad]),
            client.store_instances([dcmread(BytesIO(taken(ANNA, str(A1), 4).part10()))], str(A1)),
        )

    first, second, third = await asyncio.to_thread(store)
    assert [item.ReferencedSOPInstanceUID for item in first.ReferencedSOPSequence] == [f"{NEW}.7.1", f"{NEW}.7.2"]
    assert first.RetrieveURL == f"https://gateway.example/dicom-web/studies/{NEW}"
    assert [item.FailureReason for item in second.FailedSOPSequence] == [0x0124]
    assert len(second.ReferencedSOPSequence) == 2
    assert len(third.ReferencedSOPSequence) == 1
    with pytest.raises(requests.HTTPError):
        await asyncio.to_thread(client.store_instances, [bad])
