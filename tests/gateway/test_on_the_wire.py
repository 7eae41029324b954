"""The data path behind its server, on raw sockets: cuts that show, bounded memory, lost readers (P4, P10, P18)."""

import asyncio
import http.client
import re
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.core.consent.terms import Action
from app.core.dicom.dicomweb import Retrieve
from app.gateway.front import Front
from app.pacs.origin import OriginAnswer, OriginUnavailableError
from app.store.journal import JournalUnavailableError
from tests.gateway.memory_origin import Body, MemoryOrigin
from tests.gateway.people import A1, ANNA, B1, MISSING, archive
from tests.gateway.running import read_to_end, running
from tests.gateway.world import World

INSTANCE = f"/dicom-web/studies/{A1}/series/{A1}.1/instances/{A1}.1.1"
HALF_A_MEGABYTE = b"x" * (512 * 1024)


@dataclass
class Served:
    world: World
    origin: MemoryOrigin
    port: int
    token: str

    def request(self, path: str) -> bytes:
        return (
            f"GET {path} HTTP/1.1\r\nHost: gateway.example\r\nAuthorization: Bearer {self.token}\r\n"
            "Connection: close\r\n\r\n"
        ).encode()

    async def get(self, path: str) -> bytes:
        return await asyncio.to_thread(self._get, path)

    def _get(self, path: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
            client.sendall(self.request(path))
            return read_to_end(client)


async def _elsewhere(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


@pytest.fixture
async def served(make_world: Any) -> AsyncIterator[Served]:
    origin = archive()
    world = await make_world(origin)
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    with running(Front(world.dicomweb, _elsewhere)) as port:
        yield Served(world, origin, port, token)


def is_whole(raw: bytes) -> bool:
    """Whether an HTTP client would take the answer for complete."""
    head, separator, body = raw.partition(b"\r\n\r\n")
    if not separator:
        return False
    length = re.search(rb"content-length: ([0-9]+)", head)
    if length:
        return len(body) == int(length[1])
    return b"transfer-encoding: chunked" in head and body.endswith(b"0\r\n\r\n")


async def test_a_plain_client_reads_it(served: Served) -> None:
    def ask() -> tuple[int, bytes, list[tuple[str, str]]]:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
        connection.request("GET", INSTANCE, headers={"Authorization": f"Bearer {served.token}"})
        answer = connection.getresponse()
        try:
            return answer.status, answer.read(), answer.getheaders()
        finally:
            connection.close()

    status, body, headers = await asyncio.to_thread(ask)
    named = [name for name, _ in headers]
    assert (status, len(set(named))) == (200, len(named))
    assert b"canary-ANNA-1" in body
    assert "server" not in named


async def test_the_front_judges_the_raw_path(served: Served) -> None:
    for path, ours in (
        ("/dicom-web/studies", True),
        ("/dicom-web", True),
        ("/dicom-webs/studies", False),
        ("/dicom%2Dweb/studies", False),
        ("/x/dicom-web/studies", False),
        ("//dicom-web/studies", False),
    ):
        raw = await served.get(path)
        assert (b" 418 " not in raw.partition(b"\r\n")[0]) == ours, path


@pytest.mark.parametrize("kind", ["", "/frames/1", "/rendered"])
async def test_p10_cut_upstream_is_cut_on_the_wire(served: Served, kind: str) -> None:
    assert is_whole(await served.get(INSTANCE + kind))
    whole = b"".join(served.origin.bodies[-1].pieces)
    boundaries = [at for at in range(len(whole)) if whole.startswith((b"--archive", b"\r\n\r\n"), at)]
    for length in sorted({at + off for at in [*boundaries, len(whole) - 2] for off in (-1, 0, 1)}):
        pieces = [whole[at : at + 64] for at in range(0, max(0, length), 64)]
        if pieces:
            pieces[-1] = whole[64 * (len(pieces) - 1) : length]

        def cut(asked: Retrieve, answer: OriginAnswer, pieces: list[bytes] = pieces) -> OriginAnswer:
            body = Body(pieces, OriginUnavailableError("broke off"))
            return OriginAnswer(200, answer.content_type, answer.content_length, body)

        served.origin.answer_with = cut
        raw = await served.get(INSTANCE + kind)
        assert raw.startswith(b"HTTP/1.1 502") == is_whole(raw), length


async def test_p04_revoked_on_the_wire(served: Served) -> None:
    body = Body([HALF_A_MEGABYTE] * 40)

    def revoke_at(given: int) -> None:
        if given == 20:
            served.world.known = False

    body.before = revoke_at
    served.origin.answer_with = lambda asked, answer: OriginAnswer(200, "image/jpeg", None, body)
    raw = await served.get(INSTANCE + "/rendered")
    assert raw.startswith(b"HTTP/1.1 200")
    assert not is_whole(raw)
    assert len(raw) < 21 * len(HALF_A_MEGABYTE)


async def test_p02_no_record_no_byte_on_the_wire(served: Served) -> None:
    served.world.journal.error = JournalUnavailableError("OSError")
    for kind in ("", "/metadata", "/rendered"):
        raw = await served.get(INSTANCE + kind)
        assert raw.startswith(b"HTTP/1.1 503")
        assert is_whole(raw)
        assert b"canary" not in raw


async def test_not_found_is_the_same_on_the_wire(served: Served) -> None:
    raws = set()
    for path in (f"/studies/{MISSING}", f"/studies/{B1}", f"/studies/{B1}/metadata", f"/studies/{A1}/series/{B1}.1"):
        raw = await served.get("/dicom-web" + path)
        raws.add(re.sub(rb"date: [^\r]*", b"", raw))
    assert len(raws) == 1


async def test_a_reader_that_leaves_lets_the_archive_go(served: Served) -> None:
    body = Body([HALF_A_MEGABYTE] * 10_000)
    served.origin.answer_with = lambda asked, answer: OriginAnswer(200, "image/jpeg", None, body)

    def leave() -> None:
        with socket.create_connection(("127.0.0.1", served.port), timeout=60) as client:
            client.sendall(served.request(INSTANCE + "/rendered"))
            assert client.recv(65536)

    await asyncio.to_thread(leave)
    await _until(lambda: body.closed > 0)
    assert body.given < 1000
    await _until(lambda: bool(served.world.journal.outcomes))
    (outcome,) = served.world.journal.outcomes.values()
    assert (outcome.status, outcome.complete) == (200, False)


async def test_p18_a_slow_reader_holds_little(served: Served) -> None:
    """Ten readers that stand still, each in the middle of an endless answer.

    For each the gateway may hold the piece that the kernel did not take, as it is framed for the wire, the one that
    waits behind it and the one after that, which says whether that is the last (P10).
    """
    readers, pieces, connection_bytes = 10, 3, 64 * 1024
    bodies: list[_Endless] = []

    def endless(asked: Retrieve, answer: OriginAnswer) -> OriginAnswer:
        bodies.append(_Endless())
        return OriginAnswer(200, "image/jpeg", None, bodies[-1])

    served.origin.answer_with = endless
    await served.get(f"/dicom-web/studies/{A1}/series")
    tracemalloc.start()
    clients = [socket.create_connection(("127.0.0.1", served.port), timeout=60) for _ in range(readers)]
    try:
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.sendall(served.request(INSTANCE + "/rendered"))
        await _until(lambda: len(bodies) == readers and _stands_still(bodies))
        held, _ = tracemalloc.get_traced_memory()
        given = sum(body.given for body in bodies)
    finally:
        tracemalloc.stop()
        for client in clients:
            client.close()
    assert given < readers * 60  # what the kernel's buffers took, not the whole
    assert held < readers * (pieces * len(HALF_A_MEGABYTE) + connection_bytes)


@dataclass
class _Endless:
    """Gives pieces without end, each as bytes of its own, as a socket does: what is held is counted."""

    given: int = 0

    async def read(self) -> bytes:
        await asyncio.sleep(0)
        self.given += 1
        return bytes(len(HALF_A_MEGABYTE))

    async def aclose(self) -> None:
        pass


def _stands_still(bodies: list[_Endless]) -> bool:
    before = [body.given for body in bodies]
    time.sleep(0.5)
    return all(before) and before == [body.given for body in bodies]


async def _until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_viewing_only_on_the_wire(make_world: Any, tmp_path: Path) -> None:
    world = await make_world(archive())
    world.grant(await world.enrol(ANNA), Action.VIEW)
    token = await world.token()
    with running(Front(world.dicomweb, _elsewhere)) as port:
        served = Served(world, world.origin, port, token)
        assert (await served.get(INSTANCE + "/rendered")).startswith(b"HTTP/1.1 200")
        assert (await served.get(INSTANCE)).startswith(b"HTTP/1.1 404")
