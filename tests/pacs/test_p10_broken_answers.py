"""P10: an archive that is dead, slow or truncating never becomes a clean short answer."""

import asyncio

import pytest

from app.core.dicom.dicomweb import Level, Representation, Search
from app.core.identifiers import StudyUid
from app.pacs.http_client import HttpClient, HttpLimits, HttpOrigin
from app.pacs.http_connection import HttpAnswer
from app.pacs.origin import OriginInvalidError, OriginTimeoutError, OriginTooBroadError, OriginUnavailableError
from app.pacs.remote import RemoteOrigin, SearchLimits
from tests.pacs.asking import AS_STORED, retrieval
from tests.pacs.breaking_server import Exchange, always, breaking_server

QUICK = HttpLimits(connect_s=0.5, first_byte_s=0.3, silence_s=0.3, idle_s=0.2)
BODY = b"--cut\r\nContent-Type: application/dicom\r\n\r\n" + bytes(range(256)) + b"\r\n--cut--\r\n"
TYPE = b'Content-Type: multipart/related; type="application/dicom"; boundary=cut\r\n'
WITH_LENGTH = b"HTTP/1.1 200 OK\r\n" + TYPE + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\n"
    + TYPE
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (BODY[:100], BODY[100:]))
    + b"0\r\n\r\n"
)
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + TYPE + b"\r\n" + BODY
BROKEN = (OriginUnavailableError, OriginInvalidError)


def _client(url: str, limits: HttpLimits = QUICK) -> HttpClient:
    return HttpClient(HttpOrigin(url), limits)


async def _whole(client: HttpClient) -> bytes:
    answer = await client.get(b"/studies/1.2.3", b"*/*")
    return await _read(answer)


async def _read(answer: HttpAnswer) -> bytes:
    parts = []
    try:
        while data := await answer.read():
            parts.append(data)
    finally:
        await answer.aclose()
    return b"".join(parts)


@pytest.mark.parametrize("answer", [WITH_LENGTH, CHUNKED, UNTIL_CLOSE], ids=["length", "chunked", "until-close"])
async def test_p10_an_answer_cut_anywhere_is_never_whole(answer):
    """Closed in mid-answer at every byte: only what proves its end may end well."""
    cut = 0

    async def script(exchange: Exchange) -> None:
        if await exchange.request():
            await exchange.send(answer[:cut])

    async with breaking_server(script) as server:
        client = _client(server.url)
        for cut in range(len(answer) + 1):
            # Line ends after the closing boundary are no part of the proof.
            proven = cut == len(answer) or (answer is UNTIL_CLOSE and cut >= len(answer) - 2)
            if proven:
                assert (await _whole(client)).rstrip() == BODY.rstrip()
            else:
                with pytest.raises(BROKEN):
                    await _whole(client)
        await client.aclose()


@pytest.mark.parametrize("answer", [WITH_LENGTH, CHUNKED, UNTIL_CLOSE], ids=["length", "chunked", "until-close"])
async def test_p10_a_reset_in_the_body_is_an_error(answer):
    async with breaking_server(always(answer[:-40], then=Exchange.reset)) as server:
        client = _client(server.url)
        with pytest.raises(BROKEN):
            await _whole(client)
        await client.aclose()


@pytest.mark.parametrize("answer", [WITH_LENGTH, CHUNKED, UNTIL_CLOSE], ids=["length", "chunked", "until-close"])
async def test_an_answer_in_single_bytes_is_whole(answer):
    async def script(exchange: Exchange) -> None:
        if await exchange.request():
            for at in range(len(answer)):
                await exchange.send(answer[at : at + 1])
                if at % 16 == 0:
                    await asyncio.sleep(0)

    async with breaking_server(script) as server:
        client = _client(server.url)
        assert await _whole(client) == BODY
        await client.aclose()


async def test_p10_a_body_without_any_proof_is_an_error():
    """Neither length nor chunks nor a boundary: its end could be anything."""
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/dicom+json\r\n\r\n[]"
    async with breaking_server(always(answer)) as server:
        client = _client(server.url)
        with pytest.raises(OriginUnavailableError):
            await _whole(client)
        await client.aclose()


async def test_p10_silence_before_the_head_times_out():
    async def script(exchange: Exchange) -> None:
        await exchange.request()
        await asyncio.sleep(10)

    async with breaking_server(script) as server:
        client = _client(server.url)
        with pytest.raises(OriginTimeoutError):
            await client.get(b"/studies/1.2.3", b"*/*")
        await client.aclose()


@pytest.mark.parametrize("cut", [60, -30])
async def test_p10_silence_in_the_answer_times_out(cut):
    async def script(exchange: Exchange) -> None:
        await exchange.request()
        await exchange.send(WITH_LENGTH[:cut])
        await asyncio.sleep(10)

    async with breaking_server(script) as server:
        client = _client(server.url)
        with pytest.raises(OriginTimeoutError):
            await _whole(client)
        await client.aclose()


async def test_p10_an_archive_that_is_not_there_is_unavailable():
    async with breaking_server(always(b"")) as server:
        url = server.url
    client = _client(url)
    with pytest.raises(OriginUnavailableError) as caught:
        await client.get(b"/studies/1.2.3", b"*/*")
    assert "1.2.3" not in str(caught.value)
    await client.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 400_000,
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    ],
)
async def test_an_answer_that_breaks_the_format_is_invalid(answer):
    async with breaking_server(always(answer)) as server:
        client = _client(server.url)
        with pytest.raises(BROKEN):
            await _whole(client)
        await client.aclose()


async def test_an_interim_answer_is_passed_over():
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + WITH_LENGTH
    async with breaking_server(always(answer)) as server:
        client = _client(server.url)
        assert await _whole(client) == BODY
        await client.aclose()


@pytest.mark.parametrize("answer", [WITH_LENGTH, CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("pause_before", [0, 40, 150, -1])
async def test_an_answer_too_many_is_never_the_next_ones(answer, pause_before):
    """What follows the end is not passed on, and the connection, which is out of step, is not used again."""
    stolen = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"

    async def script(exchange: Exchange) -> None:
        while await exchange.request():
            await exchange.send(
                (answer + stolen)[: len(answer) + pause_before - 1 if pause_before < 0 else pause_before]
            )
            await asyncio.sleep(0.01)
            await exchange.send(
                (answer + stolen)[len(answer) + pause_before - 1 if pause_before < 0 else pause_before :]
            )

    async with breaking_server(script) as server:
        client = _client(server.url)
        for _ in range(3):
            assert await _whole(client) == BODY
        assert len(server.exchanges) == 3
        await client.aclose()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (b"301 Moved", OriginInvalidError),
        (b"206 Partial", OriginInvalidError),
        (b"401 Unauthorized", OriginUnavailableError),
        (b"403 Forbidden", OriginUnavailableError),
        (b"500 Oops", OriginUnavailableError),
        (b"503 Busy", OriginUnavailableError),
    ],
)
async def test_the_archives_own_failures_are_errors(status, error):
    answer = b"HTTP/1.1 " + status + b"\r\nLocation: http://192.0.2.1/\r\nContent-Length: 3\r\n\r\nPHI"
    async with breaking_server(always(answer)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        with pytest.raises(error) as caught:
            await origin.retrieve(retrieval(Representation.DICOM, "1.2.3"), AS_STORED)
        assert "PHI" not in str(caught.value)
        with pytest.raises((OriginInvalidError, OriginUnavailableError)):
            await origin.search(Search(Level.STUDY))
        await origin.aclose()


@pytest.mark.parametrize("status", [b"400 Bad", b"404 Not Found", b"406 Not Acceptable", b"410 Gone"])
async def test_a_refusal_is_an_answer_without_its_body(status):
    answer = b"HTTP/1.1 " + status + b"\r\nContent-Length: 3\r\n\r\nPHI"
    async with breaking_server(always(answer)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        found = await origin.retrieve(retrieval(Representation.DICOM, "1.2.3"), AS_STORED)
        assert (found.status, await found.body.read()) == (int(status[:3]), b"")
        await origin.aclose()


def _json_answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


@pytest.mark.parametrize(
    "body",
    [
        b"[",
        b"null",
        b"{}",
        b"[1]",
        b"[{}]",
        b'[{"0020000D": {"vr": "UI", "Value": ["1", "2"]}}]',
        b'[{"0020000D": {"vr": "UI", "Value": [5]}}]',
        b"[" * 100_000,
        b"\xff\xfe",
        b" " * 5000,
    ],
)
async def test_rows_that_are_no_data_sets_are_invalid(body):
    async with breaking_server(always(_json_answer(body))) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK, SearchLimits(page_bytes=4096))
        with pytest.raises(OriginInvalidError):
            await origin.search(Search(Level.STUDY))
        await origin.aclose()


async def test_a_row_of_another_study_is_invalid():
    rows = b'[{"0020000D": {"vr": "UI", "Value": ["1.9"]}, "0020000E": {"vr": "UI", "Value": ["1.2.1"]}}]'
    async with breaking_server(always(_json_answer(rows))) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        with pytest.raises(OriginInvalidError):
            await origin.search(Search(Level.SERIES, study=StudyUid("1.2")))
        await origin.aclose()


async def test_an_archive_without_end_is_given_up():
    """It ignores limit and offset: every page is full."""
    row = b'{"0020000D": {"vr": "UI", "Value": ["1.2"]}}'
    page = _json_answer(b"[" + b",".join([row] * 10) + b"]")

    async def script(exchange: Exchange) -> None:
        while await exchange.request():
            await exchange.send(page)

    async with breaking_server(script) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK, SearchLimits(page_rows=10, rows=35))
        with pytest.raises(OriginTooBroadError):
            await origin.search(Search(Level.STUDY))
        await origin.aclose()
