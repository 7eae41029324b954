"""The pool: connections are used again, broken ones are replaced once, and nothing reaches another host or a log."""

import asyncio
import logging

import pytest

from app.pacs.credentials import basic_authorization
from app.pacs.http_client import HttpClient, HttpLimits, HttpOrigin
from app.pacs.origin import OriginTimeoutError, OriginUnavailableError
from tests.pacs.breaking_server import Exchange, breaking_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LIMITS = HttpLimits(connect_s=0.5, first_byte_s=0.4, silence_s=0.4, idle_s=0.2, connections=4)


async def _get(client: HttpClient, target: bytes = b"/studies") -> bytes:
    answer = await client.get(target, b"*/*")
    data = await answer.read()
    assert await answer.read() == b""
    await answer.aclose()
    return data


async def _endless(exchange: Exchange) -> None:
    while await exchange.request():
        await exchange.send(OK)


async def test_one_connection_serves_one_request_after_another():
    async with breaking_server(_endless) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        assert [await _get(client) for _ in range(20)] == [b"ok"] * 20
        assert len(server.exchanges) == 1
        await client.aclose()


async def test_an_idle_connection_is_not_used_past_its_time():
    async with breaking_server(_endless) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        await _get(client)
        await asyncio.sleep(LIMITS.idle_s * 1.6)
        await _get(client)
        assert len(server.exchanges) == 2
        await client.aclose()


async def test_age_counts_when_a_connection_is_taken_too():
    """Between two looks at the pool, a connection can grow too old."""
    async with breaking_server(_endless) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        await _get(client)
        assert client._watch is not None
        client._watch.cancel()
        await asyncio.sleep(LIMITS.idle_s * 1.2)
        await _get(client)
        assert len(server.exchanges) == 2
        await client.aclose()


async def test_a_broken_pooled_connection_costs_one_more_try():
    """The server closes the kept connection on the second request, before a byte of its answer."""

    async def script(exchange: Exchange) -> None:
        assert await exchange.request()
        await exchange.send(OK)
        if exchange.number > 0:
            await _endless(exchange)
        await exchange.request()

    async with breaking_server(script) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        assert await _get(client) == b"ok"
        assert await _get(client) == b"ok"
        assert len(server.exchanges) == 2
        await client.aclose()


async def test_a_fresh_connection_that_breaks_is_not_tried_again():
    async def script(exchange: Exchange) -> None:
        await exchange.request()

    async with breaking_server(script) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        with pytest.raises(OriginUnavailableError):
            await _get(client)
        assert len(server.exchanges) == 1
        await client.aclose()


async def test_an_answer_that_has_begun_is_not_asked_for_again():
    async def script(exchange: Exchange) -> None:
        await exchange.request()
        await exchange.send(OK)
        await exchange.request()
        await exchange.send(b"HTTP")

    async with breaking_server(script) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        await _get(client)
        with pytest.raises(OriginUnavailableError):
            await _get(client)
        assert len(server.exchanges) == 1
        await client.aclose()


async def test_an_answer_let_go_early_ends_its_connection():
    async def script(exchange: Exchange) -> None:
        await exchange.request()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await exchange.request()

    async with breaking_server(script) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        answer = await client.get(b"/studies", b"*/*")
        assert await answer.read() == b"half"
        await answer.aclose()
        await answer.aclose()
        with pytest.raises(OriginUnavailableError):
            await answer.read()
        await asyncio.sleep(0.05)
        assert not client._open
        await client.aclose()


async def test_a_request_given_up_ends_its_connection():
    async def script(exchange: Exchange) -> None:
        await exchange.request()
        await asyncio.sleep(10)

    async with breaking_server(script) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        asking = asyncio.create_task(client.get(b"/studies", b"*/*"))
        await asyncio.sleep(0.05)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0.05)
        assert not client._open
        await client.aclose()


async def test_there_are_no_more_connections_than_allowed():
    waiting = asyncio.Event()
    most = 0

    async def script(exchange: Exchange) -> None:
        nonlocal most
        while await exchange.request():
            most = max(most, len(client._open))
            await waiting.wait()
            await exchange.send(OK)

    async with breaking_server(script) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        asking = [asyncio.create_task(_get(client)) for _ in range(20)]
        await asyncio.sleep(0.05)
        waiting.set()
        assert await asyncio.gather(*asking) == [b"ok"] * 20
        assert most <= LIMITS.connections
        assert len(server.exchanges) == LIMITS.connections
        await client.aclose()


async def test_waiting_for_a_connection_ends_too():
    async def script(exchange: Exchange) -> None:
        await exchange.request()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + bytes(10_000_000))

    async with breaking_server(script) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        held = [await client.get(b"/studies", b"*/*") for _ in range(LIMITS.connections)]
        with pytest.raises(OriginTimeoutError):
            await client.get(b"/studies", b"*/*")
        for answer in held:
            await answer.aclose()
        await client.aclose()


async def test_the_request_is_exactly_what_was_built():
    async def script(exchange: Exchange) -> None:
        heads.append(await exchange.request())
        await exchange.send(OK)

    heads: list[bytes] = []
    async with breaking_server(script) as server:
        origin = HttpOrigin(server.url + "/", basic_authorization("user", "secret"))
        client = HttpClient(origin, LIMITS)
        await _get(client, b"/studies?PatientID=A*")
        await client.aclose()
    host = server.url.split("/")[2].encode()
    assert heads[0] == (
        b"GET /dicom-web/studies?PatientID=A* HTTP/1.1\r\nHost: " + host + b"\r\nUser-Agent: consentry\r\n"
        b"Accept-Encoding: identity\r\nAuthorization: Basic dXNlcjpzZWNyZXQ=\r\nAccept: */*\r\n\r\n"
    )
    assert "secret" not in repr(origin)
    assert "dXNl" not in repr(origin)


@pytest.mark.parametrize(
    ("target", "accept"),
    [
        (b"studies", b"*/*"),
        (b"/a b", b"*/*"),
        (b"/a\r\nX: y", b"*/*"),
        (b"/\xff", b"*/*"),
        (b"/a", b"*/*\r\nX: y"),
        (b"/a", b""),
    ],
)
async def test_what_could_break_out_of_the_request_is_not_sent(target, accept):
    async with breaking_server(_endless) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        with pytest.raises(ValueError, match="not a request target"):
            await client.get(target, accept)
        assert server.exchanges == []
        await client.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "http:///x",
        "http://user:pw@host/",
        "http://host/?a=b",
        "http://host/#f",
        "http://host/a b",
        "file:///x",
    ],
)
def test_only_a_plain_http_address_is_an_origin(url):
    with pytest.raises(ValueError, match="archive's"):
        HttpClient(HttpOrigin(url))


def test_credentials_that_would_break_the_header_are_refused():
    with pytest.raises(ValueError, match="credentials"):
        HttpClient(HttpOrigin("http://host/", "Bearer a\r\nX: y"))
    with pytest.raises(ValueError, match="colon"):
        basic_authorization("a:b", "c")


async def test_nothing_is_logged_of_a_request(caplog):
    caplog.set_level(logging.DEBUG)
    async with breaking_server(_endless) as server:
        client = HttpClient(HttpOrigin(server.url, "Bearer token-in-no-log"), LIMITS)
        await _get(client, b"/studies/1.2.840.99999")
        await client.aclose()
    assert "99999" not in caplog.text
    assert "token-in-no-log" not in caplog.text


async def test_a_closed_client_asks_nothing():
    async with breaking_server(_endless) as server:
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        await _get(client)
        await client.aclose()
        with pytest.raises(OriginUnavailableError):
            await _get(client)


async def test_p18_a_slow_reader_holds_the_archive_back():
    """The reader takes nothing: of 64 MB only what the system's own buffers hold leaves the server."""
    size = 64 * 1024 * 1024

    async def script(exchange: Exchange) -> None:
        await exchange.request()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            await exchange.send(bytes(65536))

    async with breaking_server(script) as server:
        # Slow reading is not silence: it may take longer than the archive may.
        client = HttpClient(HttpOrigin(server.url), LIMITS)
        answer = await client.get(b"/studies", b"*/*")
        await asyncio.sleep(LIMITS.silence_s * 1.5)
        assert answer.held_bytes <= 64 * 1024 + 256 * 1024
        assert server.exchanges[0].sent_bytes < size // 2
        total, most = 0, 0
        while data := await answer.read():
            total += len(data)
            most = max(most, answer.held_bytes)
        assert total == size
        assert most <= 64 * 1024 + 256 * 1024
        await client.aclose()
