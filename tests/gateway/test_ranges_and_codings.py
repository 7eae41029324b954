"""Parts of bodies, bodies made smaller, and heads without bodies: on the application and on the wire."""

import asyncio
import gzip
import http.client
import json
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from app.core.consent.terms import Action
from app.gateway.front import Front
from app.pacs.origin import OriginAnswer, OriginUnavailableError
from tests.gateway.conftest import MakeWorld
from tests.gateway.memory_origin import Body
from tests.gateway.people import A1, ANNA, B1, BERT, MISSING, archive, stored
from tests.gateway.picture_origin import PictureOrigin
from tests.gateway.running import running
from tests.gateway.world import Reply, World

INSTANCE: Final = f"/studies/{A1}/series/{A1}.1/instances/{A1}.1.1"
METADATA: Final = f"/studies/{A1}/metadata"
FILE: Final = stored(ANNA, A1, 1, 1).part10()
DICOM: Final = ("Accept", "application/dicom")
BARE: Final = ("Accept", "application/octet-stream")
GZIP: Final = ("Accept-Encoding", "gzip")


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(PictureOrigin(archive().stored, validator="version 1"))


@pytest.fixture
def origin(world: World) -> PictureOrigin:
    assert isinstance(world.origin, PictureOrigin)
    return world.origin


@pytest.fixture
async def token(world: World) -> str:
    world.grant(await world.enrol(ANNA))
    return await world.token()


def whole_of(kind: str, origin: PictureOrigin) -> bytes:
    one = origin.stored[0]
    if kind == "":
        return FILE
    return (
        origin.frame(one.instance, 1)
        if kind == "/frames/1"
        else b"7fe00010 of " + f"{A1}.1.1".encode() + one.canary.encode()
    )


# (the representation, the Accept that brings it bare)
IN_RANGES: Final = [("", DICOM), ("/bulk/7fe00010", BARE), ("/frames/1", BARE)]


@pytest.mark.parametrize(("kind", "accept"), IN_RANGES)
async def test_a_range_is_those_bytes_and_an_access_like_any_other(
    world: World, origin: PictureOrigin, token: str, kind: str, accept: tuple[str, str]
) -> None:
    whole = whole_of(kind, origin)
    reply = await world.ask(INSTANCE + kind, token, accept)
    assert (reply.status, reply.body, reply.header("accept-ranges")) == (200, whole, "bytes")
    assert reply.header("content-length") == str(len(whole))
    for start, end in ((0, 1), (0, len(whole)), (10, 20), (len(whole) - 1, len(whole))):
        for piece_bytes in (1, 7, 100_000):
            origin.piece_bytes = piece_bytes
            reply = await world.ask(INSTANCE + kind, token, accept, ("Range", f"bytes={start}-{end - 1}"))
            assert (reply.status, reply.body, reply.complete) == (206, whole[start:end], True)
            assert reply.header("content-range") == f"bytes {start}-{end - 1}/{len(whole)}"
            assert reply.header("content-length") == str(end - start)
            assert reply.record_ids == [world.journal.records[-1].record_id.hex()]
            outcome = world.journal.outcomes[world.journal.records[-1].record_id]
            assert (outcome.status, outcome.body_bytes, outcome.complete) == (206, end - start, True)
    assert all(body.closed for body in origin.bodies)


@pytest.mark.parametrize(("kind", "accept"), IN_RANGES)
async def test_a_range_past_the_end_is_416_with_the_length(
    world: World, origin: PictureOrigin, token: str, kind: str, accept: tuple[str, str]
) -> None:
    length = len(whole_of(kind, origin))
    reply = await world.ask(INSTANCE + kind, token, accept, ("Range", f"bytes={length}-"))
    assert (reply.status, reply.problem) == (416, "range-not-satisfiable")
    assert reply.header("content-range") == f"bytes */{length}"
    assert b"canary" not in reply.body
    (outcome,) = world.journal.outcomes.values()
    assert outcome.status == 416
    assert all(body.closed for body in origin.bodies)


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        (INSTANCE, ("Accept", "*/*")),
        (f"/studies/{A1}", ("Accept", "*/*")),
        (f"{INSTANCE}/rendered", ("Accept", "image/jpeg")),
        (f"{INSTANCE}/thumbnail", ("Accept", "image/jpeg")),
        (f"{INSTANCE}/frames/1", ("Accept", "*/*")),
        (f"/studies/{A1}/pixeldata", ("Accept", "*/*")),
        (f"/studies/{A1}/bulkdata", ("Accept", "*/*")),
    ],
)
async def test_where_there_are_no_ranges_the_whole_is_sent_and_said(
    world: World, token: str, path: str, accept: tuple[str, str]
) -> None:
    reply = await world.ask(path, token, accept, ("Range", "bytes=0-0"))
    assert (reply.status, reply.header("accept-ranges")) == (200, "none")
    assert len(reply.body) > 50


async def test_no_ranges_where_the_archive_does_not_say_how_long_the_part_is(
    world: World, origin: PictureOrigin, token: str
) -> None:
    body = b"--archive-boundary\r\nContent-Type: application/dicom\r\n\r\n" + FILE + b"\r\n--archive-boundary--\r\n"
    origin.answer_with = lambda asked, answer: OriginAnswer(200, answer.content_type, None, Body([body]))
    reply = await world.ask(INSTANCE, token, DICOM, ("Range", "bytes=0-0"))
    assert (reply.status, reply.header("accept-ranges"), reply.body) == (200, "none", FILE)


async def test_a_range_goes_on_only_with_the_body_it_began_with(
    world: World, origin: PictureOrigin, token: str
) -> None:
    first = await world.ask(INSTANCE, token, DICOM)
    tag = first.header("etag")
    assert tag is not None
    assert "version" not in tag
    part = ("Range", "bytes=100-")
    reply = await world.ask(INSTANCE, token, DICOM, part, ("If-Range", tag))
    assert (reply.status, first.body[:100] + reply.body) == (206, FILE)
    origin.validator = "version 2"
    reply = await world.ask(INSTANCE, token, DICOM, part, ("If-Range", tag))
    assert (reply.status, reply.body) == (200, FILE)
    assert reply.header("etag") != tag
    origin.validator = None
    reply = await world.ask(INSTANCE, token, DICOM, part, ("If-Range", tag))
    assert (reply.status, reply.header("etag")) == (200, None)


async def test_tags_differ_with_what_was_asked_for(world: World, origin: PictureOrigin, token: str) -> None:
    tags = {(await world.ask(INSTANCE + kind, token, accept)).header("etag") for kind, accept in IN_RANGES}
    other = await world.ask(f"/studies/{A1}/series/{A1}.1/instances/{A1}.1.2", token, DICOM)
    assert len({*tags, other.header("etag")}) == 4


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_the_client_has_is_not_sent_again(world: World, token: str, method: str) -> None:
    tag = (await world.ask(INSTANCE, token, DICOM)).header("etag")
    for value in (f"{tag}", f'"x", W/{tag}', "*"):
        reply = await world.ask(INSTANCE, token, DICOM, ("If-None-Match", value), method=method)
        assert (reply.status, reply.body, reply.header("etag"), reply.complete) == (304, b"", tag, True)
        assert reply.header("content-length") is None
    assert (await world.ask(INSTANCE, token, DICOM, ("If-None-Match", '"x"'))).status == 200


async def test_a_range_of_another_patients_file_is_no_answer(world: World, origin: PictureOrigin, token: str) -> None:
    """Not even of its last bytes, which name nobody: the file is told from its first ones."""
    foreign = stored(BERT, A1, 1, 1)
    origin.answer_with = lambda asked, answer: origin.enveloped(
        "application/dicom", [("application/dicom", foreign.url, foreign.part10())]
    )
    await world.ask(METADATA, token)
    for value in ("bytes=-10", "bytes=0-3", "bytes=200-300"):
        reply = await world.ask(INSTANCE, token, DICOM, ("Range", value))
        assert (reply.status, reply.problem) == (502, "upstream-invalid")


@pytest.mark.parametrize("wrong", [-1, 1])
async def test_p10_a_part_of_another_length_than_it_says_is_never_whole(
    world: World, origin: PictureOrigin, token: str, wrong: int
) -> None:
    whole = b"".join(
        (
            b"--archive-boundary\r\nContent-Type: application/dicom\r\n",
            b"Content-Length: %d\r\n\r\n" % (len(FILE) + wrong),
            FILE,
            b"\r\n--archive-boundary--\r\n",
        )
    )
    origin.answer_with = lambda asked, answer: OriginAnswer(200, answer.content_type, None, origin.in_pieces(whole))
    reply = await world.ask(INSTANCE, token, DICOM)
    assert not (reply.status == 200 and reply.complete)


async def test_p10_a_range_from_a_body_that_breaks_off_is_never_whole(
    world: World, origin: PictureOrigin, token: str
) -> None:
    await world.ask(INSTANCE, token, DICOM)
    pieces = list(origin.bodies[-1].pieces)
    cut = Body(pieces[: len(pieces) // 2], OriginUnavailableError("broke off"))
    origin.answer_with = lambda asked, answer: OriginAnswer(200, answer.content_type, None, cut)
    reply = await world.ask(INSTANCE, token, DICOM, ("Range", "bytes=300-"))
    assert not (reply.status == 206 and reply.complete)


# Content codings


async def _study_of_many(origin: PictureOrigin, count: int) -> None:
    origin.stored += [stored(ANNA, A1, 7, number) for number in range(count)]


@pytest.mark.parametrize("count", [20, 1500])
@pytest.mark.parametrize(("coding", "bits"), [("gzip", 31), ("deflate", 15)])
async def test_metadata_and_searches_are_compressed(
    world: World, origin: PictureOrigin, token: str, coding: str, bits: int, count: int
) -> None:
    await _study_of_many(origin, count)
    for path in (METADATA, f"/studies/{A1}/instances"):
        plain = await world.ask(path, token)
        assert plain.header("content-encoding") is None
        reply = await world.ask(path, token, ("Accept-Encoding", coding))
        assert (reply.status, reply.complete) == (200, True)
        assert (reply.header("content-encoding"), reply.header("content-type")) == (
            coding,
            plain.header("content-type"),
        )
        assert zlib.decompress(reply.body, bits) == plain.body
        assert len(reply.body) < len(plain.body) / 5
        assert reply.header("content-length") in {None, str(len(reply.body))}
        assert "Accept-Encoding" in str(reply.header("vary"))
        outcome = world.journal.outcomes[world.journal.records[-1].record_id]
        assert (outcome.body_bytes, outcome.complete) == (len(reply.body), True)


async def test_what_is_small_or_pixels_or_a_refusal_is_not_compressed(
    world: World, origin: PictureOrigin, token: str
) -> None:
    await _study_of_many(origin, 20)
    small = f"/studies/{A1}/series/{A1}.1/instances/{A1}.1.1/metadata"
    for path in (small, f"/studies/{A1}", f"/studies/{A1}/pixeldata", f"{INSTANCE}/rendered", f"{INSTANCE}/frames/1"):
        reply = await world.ask(path, token, GZIP)
        assert (reply.status, reply.header("content-encoding")) == (200, None), path
    missing = await world.ask(f"/studies/{MISSING}", token)
    for path in (f"/studies/{MISSING}", f"/studies/{B1}", f"/studies/{B1}/metadata"):
        reply = await world.ask(path, token, GZIP)
        assert (reply.status, reply.headers, reply.body) == (404, missing.headers, missing.body)


async def test_the_head_of_a_compressed_answer_is_that_of_the_answer(
    world: World, origin: PictureOrigin, token: str
) -> None:
    await _study_of_many(origin, 20)
    reply = await world.ask(METADATA, token, GZIP, method="HEAD")
    assert (reply.status, reply.body, reply.header("content-encoding")) == (200, b"", "gzip")
    assert reply.header("content-length") is None


# On the wire


@dataclass
class Served:
    world: World
    origin: PictureOrigin
    port: int
    token: str

    async def ask(self, method: str, path: str, **headers: str) -> Reply:
        return await asyncio.to_thread(self._ask, method, path, headers)

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, "/dicom-web" + path, headers={"Authorization": f"Bearer {self.token}", **named})
            answer = connection.getresponse()
            fields = [(name.lower().encode(), value.encode()) for name, value in answer.getheaders()]
            reply = Reply(answer.status, fields, answer.read(), True)
            connection.request("GET", "/dicom-web/nothing", headers={"Authorization": f"Bearer {self.token}"})
            assert connection.getresponse().status == 404  # the connection is where it should be
            return reply
        finally:
            connection.close()


async def _elsewhere(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError


@pytest.fixture
async def served(make_world: MakeWorld) -> AsyncIterator[Served]:
    origin = PictureOrigin(archive().stored, validator="version 1")
    world = await make_world(origin)
    world.grant(await world.enrol(ANNA))
    with running(Front(world.dicomweb, _elsewhere)) as port:
        yield Served(world, origin, port, await world.token())


async def test_ranges_on_the_wire(served: Served) -> None:
    whole = await served.ask("GET", INSTANCE, Accept="application/dicom")
    assert whole.body == FILE
    part = await served.ask("GET", INSTANCE, Accept="application/dicom", Range="bytes=100-299")
    assert (part.status, part.body) == (206, FILE[100:300])
    rest = await served.ask(
        "GET", INSTANCE, Accept="application/dicom", Range="bytes=300-", If_Range=str(whole.header("etag"))
    )
    assert FILE[:100] + part.body + rest.body == FILE
    past = await served.ask("GET", INSTANCE, Accept="application/dicom", Range="bytes=99999999-")
    assert (past.status, past.header("content-range")) == (416, f"bytes */{len(FILE)}")
    same = await served.ask("GET", INSTANCE, Accept="application/dicom", If_None_Match=str(whole.header("etag")))
    assert (same.status, same.body) == (304, b"")


async def test_heads_on_the_wire(served: Served) -> None:
    """The head of GET without its body, for every representation; and of nothing, where GET finds nothing."""
    kinds = ["", "/metadata", "/rendered", "/thumbnail", "/pixeldata", "/bulkdata", "/frames/1", "/bulk/7fe00010"]
    changing = {b"date", b"access-record-id", b"transfer-encoding"}
    for path in [*(INSTANCE + kind for kind in kinds), f"/studies/{B1}", f"/studies/{MISSING}/thumbnail"]:
        for accept in ("*/*", "application/octet-stream, */*;q=0.1"):
            got = await served.ask("GET", path, Accept=accept)
            head = await served.ask("HEAD", path, Accept=accept, Range="bytes=0-0")
            assert (head.status, head.body) == (got.status, b"")
            told, seen = (
                {name: value for name, value in reply.headers if name not in changing} for reply in (head, got)
            )
            # A boundary is made anew for each answer
            for fields in (told, seen):
                fields[b"content-type"] = fields[b"content-type"].partition(b"boundary=")[0]
            assert told == seen, path
    assert {record.target.split()[0] for record in served.world.journal.records} == {"GET", "HEAD"}


async def test_codings_on_the_wire(served: Served) -> None:
    await _study_of_many(served.origin, 2000)
    plain = await served.ask("GET", METADATA)
    coded = await served.ask("GET", METADATA, Accept_Encoding="gzip, deflate")
    assert (coded.header("content-encoding"), gzip.decompress(coded.body)) == ("gzip", plain.body)
    assert len(json.loads(plain.body)) == 2003


async def test_options_on_the_wire(served: Served) -> None:
    for path in (INSTANCE, f"/studies/{A1}/thumbnail", f"/studies/{MISSING}/pixeldata", "/series"):
        reply = await served.ask("OPTIONS", path)
        assert (reply.status, reply.header("allow"), reply.body) == (204, "GET, HEAD, OPTIONS", b"")
    assert served.world.journal.records == []


async def test_viewing_only_sees_no_length_of_what_it_may_not_have(make_world: MakeWorld) -> None:
    world = await make_world(PictureOrigin(archive().stored, validator="version 1"))
    world.grant(await world.enrol(ANNA), Action.VIEW)
    token = await world.token()
    missing = await world.ask(f"/studies/{MISSING}", token)
    for kind, accept in IN_RANGES:
        for header in (("Range", "bytes=99999999-"), ("Range", "bytes=0-0"), ("If-None-Match", "*"), GZIP):
            for method in ("GET", "HEAD"):
                reply = await world.ask(INSTANCE + kind, token, accept, header, method=method)
                assert (reply.status, reply.headers) == (404, missing.headers)
