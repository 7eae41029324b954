"""What archives send by mistake: other patients' files, other files than asked for, bodies that only look whole."""

from collections.abc import Callable

import pytest

from app.core.dicom.dicomweb import Level, Retrieve, Search
from app.gateway.ports import Alarm, GatewayLimits
from app.pacs.origin import DicomJson, OriginAnswer
from tests.gateway.conftest import MakeWorld
from tests.gateway.memory_origin import BOUNDARY, Body, MemoryOrigin, Stored, multipart
from tests.gateway.people import A1, ANNA, B1, NAMESAKE, archive, stored
from tests.gateway.world import PUBLIC_URL, World

INSTANCE = f"/studies/{A1}/series/{A1}.1/instances/{A1}.1.1"
ENVELOPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
BARE = ("Accept", "application/dicom")


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(archive())
    world.grant(await world.enrol(ANNA))
    return world


@pytest.fixture
def origin(world: World) -> MemoryOrigin:
    assert isinstance(world.origin, MemoryOrigin)
    return world.origin


def sends(origin: MemoryOrigin, *files: Stored) -> None:
    parts = [("application/dicom", one.url, one.part10()) for one in files]
    origin.answer_with = lambda asked, answer: origin.enveloped("application/dicom", parts)


OWN = stored(ANNA, A1, 1, 1)
FOREIGN = {
    "another patient's study": stored(NAMESAKE, "1.2.5", canary="canary-foreign"),
    "another patient in the same study": stored(NAMESAKE, A1, 1, 1, canary="canary-foreign"),
    "another issuer's patient": Stored(NAMESAKE, OWN.study, OWN.series, OWN.instance, "canary-foreign"),
}


@pytest.mark.parametrize("file", FOREIGN.values(), ids=FOREIGN.keys())
@pytest.mark.parametrize("headers", [[], [BARE]], ids=["enveloped", "bare"])
async def test_a_file_of_another_patient_is_no_answer(
    world: World, origin: MemoryOrigin, file: Stored, headers: list[tuple[str, str]]
) -> None:
    token = await world.token()
    assert (await world.ask(INSTANCE, token, *headers)).status == 200
    sends(origin, file)
    reply = await world.ask(INSTANCE, token, *headers)
    assert (reply.status, reply.problem) == (502, "upstream-invalid")
    assert Alarm.WRONG_PATIENT in world.alarms


@pytest.mark.parametrize("piece_bytes", [1, 7, 100, 100_000])
async def test_a_foreign_file_among_others_is_cut_before_its_first_byte(
    world: World, origin: MemoryOrigin, piece_bytes: int
) -> None:
    origin.piece_bytes = piece_bytes
    sends(origin, OWN, stored(ANNA, A1, 1, 2), *FOREIGN.values())
    reply = await world.ask(f"/studies/{A1}", await world.token())
    assert not (reply.status == 200 and reply.complete)
    assert b"foreign" not in reply.body
    assert b"DICM" not in reply.body or reply.body.count(b"DICM") <= 2
    assert Alarm.WRONG_PATIENT in world.alarms


@pytest.mark.parametrize(
    "file",
    [stored(ANNA, A1, 1, 2), stored(ANNA, A1, 2, 1), stored(ANNA, "1.2.2", 1, 1)],
    ids=["instance", "series", "study"],
)
async def test_a_file_that_was_not_asked_for_is_no_answer(world: World, origin: MemoryOrigin, file: Stored) -> None:
    sends(origin, file)
    reply = await world.ask(INSTANCE, await world.token())
    assert (reply.status, reply.problem) == (502, "upstream-invalid")
    assert Alarm.WRONG_RESOURCE in world.alarms


def _quiet(body: bytes) -> Callable[[Retrieve, OriginAnswer], OriginAnswer]:
    return lambda asked, answer: OriginAnswer(200, ENVELOPE, None, Body([body] if body else []))


@pytest.mark.parametrize("headers", [[], [BARE]], ids=["enveloped", "bare"])
async def test_p10_a_body_without_its_closing_delimiter_never_looks_whole(
    world: World, origin: MemoryOrigin, headers: list[tuple[str, str]]
) -> None:
    """Here the archive ends quietly, as if that were all: the delimiter is the only proof."""
    token = await world.token()
    whole = multipart([("application/dicom", OWN.url, OWN.part10())])
    for length in sorted({*range(0, len(whole), 11), *range(len(whole) - 40, len(whole))}):
        origin.answer_with = _quiet(whole[:length])
        reply = await world.ask(INSTANCE, token, *headers)
        assert reply.status == 502 or not reply.complete or length >= len(whole) - 2, length
    origin.answer_with = _quiet(whole)
    reply = await world.ask(INSTANCE, token, *headers)
    assert (reply.status, reply.complete) == (200, True)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (ENVELOPE, multipart([("application/dicom", OWN.url, b"not DICOM at all" * 20)])),
        (ENVELOPE, multipart([("application/dicom", OWN.url, OWN.part10()[:200])])),
        (ENVELOPE, multipart([])),
        (ENVELOPE, b"no delimiter"),
        ("application/dicom", OWN.part10()),
        ("multipart/related", OWN.part10()),
        ("text/html", b"<script>"),
        ("", b""),
    ],
)
@pytest.mark.parametrize("headers", [[], [BARE]], ids=["enveloped", "bare"])
async def test_what_is_not_as_it_must_be_is_no_answer(
    world: World, origin: MemoryOrigin, content_type: str, body: bytes, headers: list[tuple[str, str]]
) -> None:
    origin.answer_with = lambda asked, answer: OriginAnswer(200, content_type, None, Body([body]))
    reply = await world.ask(INSTANCE, await world.token(), *headers)
    assert (reply.status, reply.problem) == (502, "upstream-invalid")


async def test_a_bare_file_is_just_the_file(world: World, origin: MemoryOrigin) -> None:
    for piece_bytes in (1, 13, 10_000):
        origin.piece_bytes = piece_bytes
        reply = await world.ask(INSTANCE, await world.token(), BARE)
        assert (reply.status, reply.body) == (200, OWN.part10())
        assert str(reply.header("content-type")).startswith("application/dicom")


async def test_two_parts_are_not_one(world: World, origin: MemoryOrigin) -> None:
    sends(origin, OWN, OWN)
    reply = await world.ask(INSTANCE, await world.token(), BARE)
    assert not (reply.status == 200 and reply.complete)


async def test_part_headers_are_ours(world: World) -> None:
    reply = await world.ask(f"/studies/{A1}", await world.token())
    assert reply.body.count(b"\r\n--") == 3
    assert f"Content-Location: {PUBLIC_URL}{INSTANCE}\r\n".encode() in reply.body
    assert BOUNDARY.encode() not in reply.body


@pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml", "", "application/dicom+json"])
async def test_a_rendering_that_is_no_image_is_no_answer(world: World, origin: MemoryOrigin, content_type: str) -> None:
    origin.answer_with = lambda asked, answer: OriginAnswer(200, content_type, None, Body([b"<svg onload=alert(1)>"]))
    reply = await world.ask(INSTANCE + "/rendered", await world.token())
    assert (reply.status, reply.problem) == (502, "upstream-invalid")


async def test_rows_of_another_study_do_not_count(world: World, origin: MemoryOrigin) -> None:
    """An archive that ignores the path of a search gives no one more than the path names."""
    everything = MemoryOrigin(origin.stored)

    async def ignoring(search: Search) -> list[DicomJson]:
        return await everything.search(Search(Level.INSTANCE))

    origin.search = ignoring  # type: ignore[method-assign]
    reply = await world.ask(f"/studies/{A1}/instances", await world.token())
    assert {row["0020000D"]["Value"][0] for row in reply.json()} == {A1}
    assert B1.encode() not in reply.body.replace(str(A1).encode(), b"")


async def test_metadata_of_another_patient_under_the_same_uids(world: World, origin: MemoryOrigin) -> None:
    other = MemoryOrigin([FOREIGN["another issuer's patient"]])
    origin.answer_with = lambda asked, answer: other._answer(asked, "")
    reply = await world.ask(INSTANCE + "/metadata", await world.token())
    assert (reply.status, reply.problem) == (502, "upstream-invalid")
    assert Alarm.WRONG_PATIENT in world.alarms
    assert b"foreign" not in reply.body


async def test_metadata_of_nothing_is_not_found(world: World, origin: MemoryOrigin) -> None:
    for body in (b"[]", b""):
        origin.answer_with = lambda asked, answer, body=body: origin.whole("application/dicom+json", body)
        reply = await world.ask(INSTANCE + "/metadata", await world.token())
        assert (reply.status, reply.problem) == (404, "not-found")


async def test_metadata_past_the_bound_is_no_answer(make_world: MakeWorld) -> None:
    world = await make_world(archive(), GatewayLimits(metadata_bytes=500, denial_step_s=0))
    world.grant(await world.enrol(ANNA))
    reply = await world.ask(INSTANCE + "/metadata", await world.token())
    assert (reply.status, reply.problem) == (502, "upstream-invalid")
