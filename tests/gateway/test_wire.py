"""The "Headers" rows of the promises, on raw sockets.

What is refused never reaches the application, and the connection is closed.
"""

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.gateway.wire import WireLimits
from tests.gateway.running import exchange, read_to_end, running

HOST = b"Host: gateway.example\r\n"
GOOD = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"
LIMITS = WireLimits(head_s=20, body_s=20, linger_s=0.2)
IMPATIENT = WireLimits(head_s=0.4, body_s=0.3, linger_s=0.2)


@dataclass
class Echo:
    """Notes what got through; answers with the path and the body's length."""

    seen: list[tuple[str, bytes, bytes]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        self.seen.append((scope["method"], scope["raw_path"], body))
        text = scope["raw_path"] + b" %d" % len(body)
        headers = [(b"content-length", b"%d" % len(text))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[int, Echo]]:
    echo = Echo()
    with running(echo, LIMITS) as port:
        yield port, echo


@pytest.fixture
def impatient() -> Iterator[tuple[int, Echo]]:
    """The same with short deadlines: a busy machine may miss them too."""
    echo = Echo()
    with running(echo, IMPATIENT) as port:
        yield port, echo


@pytest.fixture
def port(served: tuple[int, Echo]) -> int:
    served[1].seen.clear()
    return served[0]


@pytest.fixture
def seen(served: tuple[int, Echo]) -> list[tuple[str, bytes, bytes]]:
    return served[1].seen


POST = b"POST /a HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED: dict[str, bytes] = {
    "length and coding": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "differing lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "equal lengths": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello",
    "signed length": POST + b"Content-Length: +5\r\n\r\nhello",
    "hex length": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "empty length": POST + b"Content-Length:\r\n\r\n",
    "huge length": POST + b"Content-Length: 99999999999999999999\r\n\r\n",
    "unknown coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding with a quirk": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding in 1.0": b"POST /a HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF everywhere": b"GET /a HTTP/1.1\nHost: gateway.example\n\n",
    "bare LF in a field": b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: b\nX-C: d\r\n\r\n",
    "bare LF at the end": b"GET /a HTTP/1.1\r\nHost: gateway.example\n\r\n",
    "bare CR": b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: b\rX-C: d\r\n\r\n",
    "obs-fold": b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: b\r\n folded\r\n\r\n",
    "obs-fold by tab": b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: b\r\n\tfolded\r\n\r\n",
    "folded host": b"GET /a HTTP/1.1\r\nHost: gateway\r\n .example\r\n\r\n",
    "no host": b"GET /a HTTP/1.1\r\nAccept: */*\r\n\r\n",
    "no field at all": b"GET /a HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /a HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "two hosts in other letters": b"GET /a HTTP/1.1\r\n" + HOST + b"hOsT: gateway.example\r\n\r\n",
    "empty host": b"GET /a HTTP/1.1\r\nHost: \r\n\r\n",
    "host with a path": b"GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with a user": b"GET /a HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "space before the colon": b"GET /a HTTP/1.1\r\n" + HOST + b"X-A : b\r\n\r\n",
    "field without a colon": b"GET /a HTTP/1.1\r\n" + HOST + b"X-A\r\n\r\n",
    "empty field name": b"GET /a HTTP/1.1\r\n" + HOST + b": b\r\n\r\n",
    "NUL in a value": b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: b\x00c\r\n\r\n",
    "control character in a value": b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: b\x0bc\r\n\r\n",
    "non-ASCII in a name": b"GET /a HTTP/1.1\r\n" + HOST + b"X-\xc3\xa4: b\r\n\r\n",
    "non-ASCII in the target": b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n",
    "NUL in the target": b"GET /a\x00b HTTP/1.1\r\n" + HOST + b"\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
    "fragment in the target": b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n",
    "absolute target": b"GET http://gateway.example/a HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority target": b"CONNECT gateway.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "lower-case method": b"get /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "unheard-of method": b"FETCH /a HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /a\r\n\r\n",
    "HTTP/1.2": b"GET /a HTTP/1.2\r\n" + HOST + b"\r\n",
    "a leading empty line": b"\r\n" + GOOD,
    "TLS on the plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "chunk extension": CHUNKED + b"5;x=y\r\nhello\r\n0\r\n\r\n",
    "chunk size with a sign": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "chunk size with 0x": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "chunk size too long": CHUNKED + b"0000000005\r\nhello\r\n0\r\n\r\n",
    "chunk size line by LF": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "chunk longer than said": CHUNKED + b"4\r\nhello\r\n0\r\n\r\n",
    "trailer": CHUNKED + b"0\r\nHost: evil\r\n\r\n",
    "empty chunk line": CHUNKED + b"\r\n0\r\n\r\n",
}  # fmt: skip


def answers(raw: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """The messages in ``raw``, each of a declared length."""
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = int(fields["content-length"])
        found.append((int(lines[0].split()[1]), fields, raw[:length]))
        raw = raw[length:]
    return found


def assert_refused(raw: bytes, name: str, status: int) -> None:
    ((got, fields, body),) = answers(raw)
    assert got == status
    assert fields["content-type"] == "application/problem+json"
    assert fields["connection"] == "close"
    assert "date" in fields
    assert "server" not in fields
    assert json.loads(body)["type"] == f"urn:consentry:problem:{name}"


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED.keys())
def test_refused(port: int, seen: list[Any], message: bytes) -> None:
    assert_refused(exchange(port, message), "invalid-framing", 400)
    assert seen == []


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED.keys())
def test_refused_in_small_pieces(port: int, seen: list[Any], message: bytes) -> None:
    random_source = random.Random(len(message))
    cuts = sorted(random_source.sample(range(1, len(message)), 3))
    pieces = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    assert_refused(exchange(port, *pieces, pause_s=0.004), "invalid-framing", 400)
    assert seen == []


@pytest.mark.parametrize(
    "message",
    [
        b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: " + b"b" * 17_000 + b"\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"X-A: " + b"b" * 17_000,
        b"GET /a HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: b\r\n" % n for n in range(100)) + b"\r\n",
    ],
    ids=["long target", "long field", "long field without an end", "101 fields"],
)
def test_headers_too_large(port: int, seen: list[Any], message: bytes) -> None:
    assert_refused(exchange(port, message), "headers-too-large", 431)
    assert seen == []


def test_largest_head_is_served(port: int, seen: list[Any]) -> None:
    fields = b"".join(b"X-%d: b\r\n" % n for n in range(98))
    head = b"GET /a HTTP/1.1\r\n" + HOST + fields + b"Connection: close\r\n\r\n"
    head = head.replace(b"X-0: b", b"X-0: " + b"b" * (16 * 1024 - len(head) + 1))
    assert len(head) == 16 * 1024
    assert answers(exchange(port, head))[0][0] == 200
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello", b"hello"),
        (
            b"POST /a HTTP/1.1\r\n"
            + HOST
            + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
            b"hello world",
        ),
        (b"GET /a HTTP/1.0\r\n" + HOST + b"\r\n", b""),
        (b"GET /a HTTP/1.1\r\nHost: [::1]:8080\r\nX-A: \xc3\xa4\r\nConnection: close\r\n\r\n", b""),
        (b"GET /a HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n", b""),
        (
            b"POST /a HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: upgrade, close\r\n"
            b"Content-Length: 2\r\n\r\nhi",
            b"hi",
        ),
    ],
    ids=["length", "chunked", "1.0", "literal address", "upgrade", "websocket with a body"],
)
@pytest.mark.parametrize("piece_bytes", [1, 10_000])
def test_served(port: int, seen: list[Any], message: bytes, body: bytes, piece_bytes: int) -> None:
    pieces = [message[at : at + piece_bytes] for at in range(0, len(message), piece_bytes)]
    ((status, _, text),) = answers(exchange(port, *pieces))
    assert status == 200
    assert text == b"/a %d" % len(body)
    assert [got for _, _, got in seen] == [body]


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    message = b"".join(b"GET /%d HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in range(20))
    raw = exchange(port, message + b"GET /end HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert [body for _, _, body in answers(raw)] == [b"/%d 0" % n for n in range(20)] + [b"/end 0"]


@pytest.mark.parametrize("second", [b"two hosts", b"coding and length", b"bare LF everywhere", b"trailer"])
def test_a_bad_message_behind_a_good_one(port: int, seen: list[Any], second: bytes) -> None:
    raw = exchange(port, GOOD + REFUSED[second.decode()] + b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n")
    (status, _, _), (bad_status, fields, _) = answers(raw)
    assert (status, bad_status, fields["connection"]) == (200, 400, "close")
    assert [path for _, path, _ in seen] == [b"/a"]


def test_a_request_hidden_in_a_body_stays_a_body(port: int, seen: list[Any]) -> None:
    inner = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
    raw = exchange(
        port,
        b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(inner) + inner,
        b"POST /b HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner),
    )
    assert [status for status, _, _ in answers(raw)] == [200, 200]
    assert seen == [("POST", b"/a", inner), ("POST", b"/b", inner)]


def test_too_much_ahead_is_cut(port: int, seen: list[Any]) -> None:
    flood = GOOD * 3000
    raw = exchange(port, b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n" + flood)
    assert len(seen) < 3000
    assert raw.count(b"HTTP/1.1 200") < 3000


def test_slow_head_is_cut(impatient: tuple[int, Echo]) -> None:
    port, echo = impatient
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET /a HTTP/1.1\r\n")
        try:
            for _ in range(200):
                client.sendall(b"X-A: b\r\n")
                time.sleep(0.05)
        except OSError:
            pass
        else:
            raise AssertionError("a head may take ten seconds")
    assert echo.seen == []


def test_silent_connection_is_cut(impatient: tuple[int, Echo]) -> None:
    port, _ = impatient
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        assert read_to_end(client) in {b"", b"<reset>"}
    assert 0.3 < time.monotonic() - started < 8


def test_slow_body_is_cut(impatient: tuple[int, Echo]) -> None:
    port, echo = impatient
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\nx")
        assert read_to_end(client) in {b"", b"<reset>"}
    assert time.monotonic() - started < 8
    assert echo.seen == []


def test_stalled_reader_is_cut() -> None:
    given_up = threading.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        block = b"x" * 65536
        for _ in range(1000):
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body"})
        given_up.set()

    with (
        running(endless, WireLimits(stall_s=0.3)) as port,
        socket.create_connection(("127.0.0.1", port), timeout=60) as client,
    ):
        client.sendall(GOOD)
        assert given_up.wait(60)  # nothing was read: what is sent goes nowhere any more
        raw = read_to_end(client)
    assert len(raw) < 1000 * 65536
    assert not raw.endswith(b"0\r\n\r\n")


def test_forwarded_headers_are_ignored_from_everyone() -> None:
    clients: list[Any] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        clients.append((scope["client"][0], scope["scheme"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with running(note) as port:
        forwarded = b"X-Forwarded-For: 10.9.8.7\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
        exchange(port, b"GET /a HTTP/1.1\r\n" + HOST + forwarded)
    assert clients == [("127.0.0.1", "http")]
