"""Answers that are right in an unusual way, and answers that are wrong in a usual one, as a table."""

import gzip
import json
from typing import Any

import pytest

from app.core.dicom.dicomweb import Level, Representation, Search
from app.pacs.http_client import HttpLimits, HttpOrigin
from app.pacs.origin import OriginInvalidError, OriginRefusedError, OriginUnavailableError
from app.pacs.remote import RemoteOrigin, SearchLimits
from tests.pacs.asking import FRAMES_AS_STORED, fetched, retrieval
from tests.pacs.breaking_server import Exchange, always, breaking_server

QUICK = HttpLimits(connect_s=0.5, first_byte_s=1.0, silence_s=1.0, idle_s=0.5)
ROW: dict[str, Any] = {"0020000D": {"vr": "UI", "Value": ["1.1"]}, "00100020": {"vr": "LO", "Value": ["A"]}}
ROWS = json.dumps([ROW]).encode()
CHUNKED = b"%x\r\n%s\r\n%x;ext=1\r\n%s\r\n0\r\nX-Trailer: PHI\r\nContent-Type: text/html\r\n\r\n"


def _said(body: bytes, status: bytes = b"200 OK", *lines: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join((b"HTTP/1.1 " + status, *(lines or (b"Content-Type: application/json",)), length, b"", body))


def _chunked(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + CHUNKED % (9, body[:9], len(body) - 9, body[9:])


RIGHT = {
    "dicom+json": (_said(ROWS, b"200 OK", b"Content-Type: application/dicom+json; charset=utf-8"), [ROW]),
    "json": (_said(ROWS), [ROW]),
    "no type at all": (_said(ROWS, b"200 OK", b"Server: x"), [ROW]),
    "a byte order mark": (_said(b"\xef\xbb\xbf" + ROWS), [ROW]),
    "blanks around": (_said(b" \r\n" + ROWS + b"\r\n"), [ROW]),
    "one object": (_said(json.dumps(ROW).encode()), [ROW]),
    "chunks with a trailer": (_chunked(ROWS), [ROW]),
    "after a 100": (b"HTTP/1.1 100 Continue\r\n\r\n" + _said(ROWS), [ROW]),
    "after two interim answers": (
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <http://pacs/>\r\n\r\n" + _said(ROWS),
        [ROW],
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", []),
    "an empty body": (_said(b""), []),
    "an empty list": (_said(b"[]"), []),
    "not found": (_said(b'{"errorMessage": "http://pacs"}', b"404 Not Found"), []),
    "a number written as text": (
        _said(json.dumps([ROW | {"00201208": {"vr": "IS", "Value": ["7"]}}]).encode()),
        [ROW | {"00201208": {"vr": "IS", "Value": ["7"]}}],
    ),
}


@pytest.mark.parametrize(("answer", "rows"), RIGHT.values(), ids=RIGHT)
async def test_an_unusual_right_answer_is_understood(answer: bytes, rows: list[Any]) -> None:
    async with breaking_server(always(answer)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        assert await origin.search(Search(Level.STUDY)) == rows
        await origin.aclose()


WRONG = {
    "gzip": (_said(gzip.compress(ROWS), b"200 OK", b"Content-Encoding: gzip"), OriginInvalidError),
    "x-gzip in chunks": (
        _chunked(ROWS).replace(b"Transfer", b"Content-Encoding: x-gzip\r\nTransfer"),
        OriginInvalidError,
    ),
    "a sign-in page": (_said(b"<html>sign in</html>", b"200 OK", b"Content-Type: text/html"), OriginInvalidError),
    "a lower-case tag": (_said(b'[{"0020000d": {"vr": "UI", "Value": ["1.1"]}}]'), OriginInvalidError),
    "a number for a UID": (_said(b'[{"0020000D": {"vr": "UI", "Value": [1.1]}}]'), OriginInvalidError),
    "NaN": (_said(ROWS.replace(b'"A"', b"NaN")), OriginInvalidError),
    "half of it": (_said(ROWS[:-9]), OriginInvalidError),
    "UTF-16 that ends in mid-character": (_said(ROWS.decode().encode("utf-16")[:-1]), OriginInvalidError),
    "two lists": (_said(ROWS + ROWS), OriginInvalidError),
    "text": (_said(b'"[]"'), OriginInvalidError),
    "nesting without end": (_said(b'[{"a":' * 20_000), OriginInvalidError),
    "too much": (_said(b"[" + ROWS[1:-1] + b" " * 70_000 + b"]"), OriginInvalidError),
    "too much without a length": (_chunked(b"[" + ROWS[1:-1] + b" " * 70_000 + b"]"), OriginInvalidError),
    "sign in first": (_said(b"PHI", b"401 Unauthorized"), OriginRefusedError),
    "not you": (_said(b"PHI", b"403 Forbidden"), OriginRefusedError),
    "a proxy's sign-in": (_said(b"PHI", b"407 Proxy Authentication Required"), OriginInvalidError),
    "busy": (_said(b"PHI", b"503 Service Unavailable", b"Retry-After: 1"), OriginUnavailableError),
    "too often": (_said(b"PHI", b"429 Too Many Requests", b"Retry-After: 1"), OriginInvalidError),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n", OriginInvalidError),
}


@pytest.mark.parametrize(("answer", "error"), WRONG.values(), ids=WRONG)
async def test_a_wrong_answer_is_an_error_of_its_kind(answer: bytes, error: type[Exception]) -> None:
    async with breaking_server(always(answer)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK, SearchLimits(page_bytes=65_536))
        with pytest.raises(error) as caught:
            await origin.search(Search(Level.STUDY))
        assert type(caught.value) is error
        assert "PHI" not in str(caught.value)
        assert len(server.exchanges) == 1, "asked again"
        await origin.aclose()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_nobody_is_sent_elsewhere(status: int) -> None:
    """Not to another host, and not to another path of the same one."""
    async with breaking_server(always(_said(ROWS))) as elsewhere:
        moved = b"HTTP/1.1 %d Moved\r\nLocation: %s/studies\r\nContent-Length: 0\r\n\r\n"
        places = [elsewhere.url.encode(), b"/dicom-web"]

        async def script(exchange: Exchange) -> None:
            while await exchange.request():
                await exchange.send(moved % (status, places[exchange.number % 2]))

        async with breaking_server(script) as server:
            origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
            for ask in (
                lambda: origin.search(Search(Level.STUDY)),
                lambda: origin.retrieve(retrieval(Representation.DICOM, "1.1"), "*/*"),
            ):
                with pytest.raises(OriginInvalidError):
                    await ask()
            with pytest.raises(OriginUnavailableError):
                await origin.check()
            assert elsewhere.exchanges == []
            await origin.aclose()


async def test_a_page_that_the_archive_calls_partial_is_gone_on_from() -> None:
    """Older dcm4chee answer 206 where a Warning would say that more is there."""
    rows = [{"0020000D": {"vr": "UI", "Value": [f"1.{number}"]}} for number in range(1, 6)]

    async def script(exchange: Exchange) -> None:
        while head := await exchange.request():
            offset = int(head.partition(b"offset=")[2].split(b" ")[0] or 0)
            status = b"206 Partial Content" if offset + 2 < len(rows) else b"200 OK"
            await exchange.send(_said(json.dumps(rows[offset : offset + 2]).encode(), status))

    async with breaking_server(script) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        assert await origin.search(Search(Level.STUDY)) == rows
        await origin.aclose()


async def test_some_of_the_frames_are_not_the_frames() -> None:
    """dcm4chee gives those that are there and says 206: one of those asked for is not there, so 404."""
    part = b"--b\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n--b--"
    answer = _said(part, b"206 Partial Content", b'Content-Type: multipart/related; boundary="b"')
    async with breaking_server(always(answer)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        asked = retrieval(Representation.FRAMES, "1.1", "1.2", "1.3", frames=(1, 9))
        assert (await fetched(origin, asked, FRAMES_AS_STORED))[::2] == (404, b"")
        await origin.aclose()
