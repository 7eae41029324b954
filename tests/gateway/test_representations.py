"""Every representation of PS3.18 §10.4, at every level, for every consent: what is served, and how it is made."""

import re
from typing import Final

import pytest

from app.core.consent.terms import Action, Effect
from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.identifiers import InstanceUid
from app.gateway.ports import Alarm
from app.pacs.origin import OriginAnswer, OriginUnavailableError
from tests.gateway.conftest import MakeWorld
from tests.gateway.memory_origin import Body
from tests.gateway.people import A1, ANNA, BERT, MISSING, archive, stored
from tests.gateway.picture_origin import PictureOrigin
from tests.gateway.world import PUBLIC_URL, Reply, World

STUDY: Final = f"/studies/{A1}"
SERIES: Final = f"{STUDY}/series/{A1}.1"
INSTANCE: Final = f"{SERIES}/instances/{A1}.1.1"
SECOND: Final = f"{SERIES}/instances/{A1}.1.2"
OTHER_SERIES: Final = f"{STUDY}/series/{A1}.2/instances/{A1}.2.1"
ENVELOPED: Final = ("Accept", 'multipart/related; type="image/jpeg"')
OCTETS: Final = ("Accept", "application/octet-stream")

# (path, the action it takes)
EVERYTHING: Final = [
    *[(level, Action.RETRIEVE) for level in (STUDY, SERIES, INSTANCE)],
    *[(f"{level}/metadata", Action.RETRIEVE) for level in (STUDY, SERIES, INSTANCE)],
    *[(f"{level}/pixeldata", Action.RETRIEVE) for level in (STUDY, SERIES, INSTANCE)],
    *[(f"{level}/bulkdata", Action.RETRIEVE) for level in (STUDY, SERIES, INSTANCE)],
    (f"{INSTANCE}/frames/1", Action.RETRIEVE),
    (f"{INSTANCE}/bulk/7fe00010", Action.RETRIEVE),
    (f"{INSTANCE}/bulkdata/7fe00010", Action.RETRIEVE),
    *[(f"{level}/rendered", Action.VIEW) for level in (STUDY, SERIES, INSTANCE)],
    *[(f"{level}/thumbnail", Action.VIEW) for level in (STUDY, SERIES, INSTANCE)],
    (f"{INSTANCE}/frames/1/rendered", Action.VIEW),
    (f"{INSTANCE}/frames/1/thumbnail", Action.VIEW),
]
# (what the consent allows, what it opens)
CONSENTS: Final = [
    (Action(0), Action(0)),
    (Action.SEARCH, Action(0)),
    (Action.VIEW, Action.VIEW),
    (Action.SEARCH | Action.VIEW, Action.VIEW),
    (Action.RETRIEVE, Action.VIEW | Action.RETRIEVE),
    (Action.SHARE, Action(0)),
]


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(PictureOrigin(archive().stored))


@pytest.fixture
def origin(world: World) -> PictureOrigin:
    assert isinstance(world.origin, PictureOrigin)
    return world.origin


@pytest.fixture
async def token(world: World) -> str:
    world.grant(await world.enrol(ANNA))
    return await world.token()


def parts_of(reply: Reply) -> list[tuple[dict[str, str], bytes]]:
    """(headers in lower case, content) of each part, read by no code of the gateway."""
    found = re.fullmatch(r'multipart/related; type="[^"]+"; boundary=(\S+)', reply.header("content-type") or "")
    assert found is not None
    delimiter = b"\r\n--" + found[1].encode()
    first, *parts, last = (b"\r\n" + reply.body).split(delimiter)
    assert (first, last) == (b"", b"--\r\n")
    result = []
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        lines = head.decode().strip().split("\r\n")
        result.append(({name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, content))
    return result


def locations(reply: Reply) -> list[str]:
    found = [headers["content-location"] for headers, _ in parts_of(reply)]
    assert all(location.startswith(PUBLIC_URL) for location in found)
    return [location.removeprefix(PUBLIC_URL) for location in found]


@pytest.mark.parametrize(("allowed", "opens"), CONSENTS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_consent_opens_what_its_actions_cover_and_nothing_else(
    world: World, origin: PictureOrigin, allowed: Action, opens: Action, method: str
) -> None:
    anna = await world.enrol(ANNA)
    if allowed:
        world.grant(anna, allowed)
    token = await world.token()
    missing = await world.ask(f"/studies/{MISSING}", token, method=method)
    for path, action in EVERYTHING:
        origin.asked.clear()
        reply = await world.ask(path, token, method=method)
        if opens & action:
            assert (reply.status, reply.complete) == (200, True), path
            assert (b"canary-ANNA-1" in reply.body) == (method == "GET"), path
            assert world.journal.records[-1].action == action
            assert world.journal.records[-1].target == f"{method} {path}"
            assert reply.record_ids == [world.journal.records[-1].record_id.hex()]
        else:
            assert (reply.status, reply.headers, reply.body) == (404, missing.headers, missing.body), path
            assert origin.asked == []
        assert b"archive.internal" not in reply.body
        assert b"archive.internal" not in b"".join(value for _, value in reply.headers)


@pytest.mark.parametrize("path", [f"{level}{kind}" for level in (STUDY, INSTANCE) for kind in ("/rendered", "")])
async def test_a_deny_of_view_closes_the_pixels_too(world: World, path: str) -> None:
    anna = await world.enrol(ANNA)
    world.grant(anna)
    world.grant(anna, Action.VIEW, effect=Effect.DENY)
    assert (await world.ask(path, await world.token())).status == 404


def test_every_representation_is_in_the_table() -> None:
    words = {path.rpartition("/")[2] for path, _ in EVERYTHING}
    assert {"metadata", "pixeldata", "bulkdata", "rendered", "thumbnail", "7fe00010"} <= words
    assert len(EVERYTHING) == 23


# Pictures: the one that stands for all


async def test_the_middle_one_of_those_with_pixels_stands_for_all(
    world: World, origin: PictureOrigin, token: str
) -> None:
    for path, expected in ((STUDY, f"{A1}.1.2"), (SERIES, f"{A1}.1.2")):
        await world.ask(f"{path}/rendered", token)
        assert origin.asked[-1][0].instance == expected
    origin.frames[InstanceUid(f"{A1}.1.2")] = 0
    await world.ask(f"{STUDY}/rendered", token)
    assert origin.asked[-1][0].instance == f"{A1}.2.1"
    assert (await world.ask(f"{SERIES}/rendered?quality=50", token)).status == 200
    assert origin.asked[-1][0] == Retrieve(
        Representation.RENDERED, A1, stored(ANNA, A1).series, stored(ANNA, A1).instance, query=(("quality", "50"),)
    )


THUMBNAILS: Final = [
    (f"{STUDY}/thumbnail", Representation.RENDERED, (), "128,128"),
    (f"{SERIES}/thumbnail?viewport=64%2C32", Representation.RENDERED, (), "64,32"),
    (f"{INSTANCE}/thumbnail?quality=5", Representation.RENDERED, (), "128,128"),
    (f"{INSTANCE}/frames/3,1/thumbnail", Representation.RENDERED_FRAMES, (3,), "128,128"),
    (f"{INSTANCE}/frames/2/thumbnail?viewport=9,9", Representation.RENDERED_FRAMES, (2,), "9,9"),
]


@pytest.mark.parametrize(("path", "representation", "frames", "viewport"), THUMBNAILS)
async def test_a_thumbnail_is_a_small_picture_of_one_frame(
    world: World,
    origin: PictureOrigin,
    token: str,
    path: str,
    representation: Representation,
    frames: tuple[int, ...],
    viewport: str,
) -> None:
    origin.frames[InstanceUid(f"{A1}.1.1")] = 3
    reply = await world.ask(path, token)
    assert (reply.status, reply.header("content-type")) == (200, "image/jpeg")
    asked, accept = origin.asked[-1]
    assert (asked.representation, asked.frames, asked.query) == (representation, frames, (("viewport", viewport),))
    assert accept == "image/jpeg"


@pytest.mark.parametrize("kind", ["/rendered", "/thumbnail", "/pixeldata"])
async def test_where_there_is_nothing_to_show(world: World, origin: PictureOrigin, token: str, kind: str) -> None:
    origin.frames = {one.instance: 0 for one in origin.stored}
    reply = await world.ask(STUDY + kind, token)
    assert (reply.status, reply.problem) == ((404, "not-found") if kind == "/pixeldata" else (406, "not-acceptable"))
    origin.stored = []
    assert (await world.ask(STUDY + kind, token)).status == 404


@pytest.mark.parametrize("kind", ["/rendered", "/thumbnail", "/pixeldata"])
@pytest.mark.parametrize("accept", [(), (ENVELOPED,)])
async def test_a_row_of_another_patient_is_no_answer(
    world: World, origin: PictureOrigin, token: str, kind: str, accept: tuple[tuple[str, str], ...]
) -> None:
    assert (await world.ask(STUDY + "/rendered", token)).status == 200
    origin.stored.append(stored(BERT, A1, 9, 9))
    reply = await world.ask(STUDY + kind, token, *(accept if kind == "/rendered" else ()))
    assert (reply.status, reply.problem) == (502, "upstream-invalid")
    assert Alarm.WRONG_PATIENT in world.alarms


# What else would do


async def test_another_picture_is_given_where_the_archive_lacks_the_first(
    world: World, origin: PictureOrigin, token: str
) -> None:
    origin.refuse = lambda _asked, accept: 406 if accept == "image/gif" else None
    reply = await world.ask(f"{INSTANCE}/rendered", token, ("Accept", "image/gif, image/png;q=0.5"))
    assert (reply.status, reply.header("content-type")) == (200, "image/png")
    assert [accept for _, accept in origin.asked] == ["image/gif", "image/png"]
    assert len(world.journal.records) == 1
    reply = await world.ask(f"{INSTANCE}/rendered", token, ("Accept", "image/gif"))
    assert (reply.status, reply.problem) == (406, "not-acceptable")
    assert all(body.closed for body in origin.bodies)


@pytest.mark.parametrize("status", [400, 406, 415])
async def test_frames_in_another_syntax_where_the_archive_lacks_the_first(
    world: World, origin: PictureOrigin, token: str, status: int
) -> None:
    origin.refuse = lambda _asked, accept: status if "image/jpeg" in accept else None
    wanted = 'multipart/related; type="image/jpeg", multipart/related; type="application/octet-stream"; q=0.1'
    reply = await world.ask(f"{INSTANCE}/frames/1", token, ("Accept", wanted))
    assert (reply.status, len(parts_of(reply))) == (200, 1)


@pytest.mark.parametrize(("status", "expected"), [(404, 404), (410, 404), (406, 406), (409, 502), (302, 502)])
async def test_what_the_archive_refuses_is_refused(
    world: World, origin: PictureOrigin, token: str, status: int, expected: int
) -> None:
    origin.refuse = lambda _asked, _accept: status
    for path, _ in EVERYTHING:
        if "pixeldata" in path or "bulkdata" in path:
            continue
        assert (await world.ask(path, token)).status == expected, path
    assert all(body.closed for body in origin.bodies)


# Answers put together


async def test_the_pictures_of_a_study_come_in_one_envelope(world: World, origin: PictureOrigin, token: str) -> None:
    reply = await world.ask(f"{STUDY}/rendered?window=1,2,linear", token, ENVELOPED)
    assert (reply.status, reply.complete) == (200, True)
    assert locations(reply) == [f"{path}/rendered" for path in (INSTANCE, SECOND, OTHER_SERIES)]
    assert [head["content-type"] for head, _ in parts_of(reply)] == ["image/jpeg"] * 3
    assert {asked.query for asked, _ in origin.asked} == {(("window", "1,2,linear"),)}
    reply = await world.ask(f"{INSTANCE}/rendered", token, ("Accept", "multipart/related; type=image/png"))
    assert [head["content-type"] for head, _ in parts_of(reply)] == ["image/png"]


async def test_the_pictures_of_several_frames_come_in_the_order_asked_for(
    world: World, origin: PictureOrigin, token: str
) -> None:
    origin.frames[InstanceUid(f"{A1}.1.1")] = 3
    reply = await world.ask(f"{INSTANCE}/frames/3,1/rendered", token)
    assert locations(reply) == [f"{INSTANCE}/frames/{number}/rendered" for number in (3, 1)]
    assert [content[-1:] for _, content in parts_of(reply)] == [b"3", b"1"]
    assert (await world.ask(f"{INSTANCE}/frames/3,1/rendered", token, ("Accept", "image/jpeg"))).status == 406
    assert not (await world.ask(f"{INSTANCE}/frames/3,4/rendered", token)).complete
    assert (await world.ask(f"{INSTANCE}/frames/4,3/rendered", token)).status == 404


async def test_pixel_data_comes_frame_by_frame(world: World, origin: PictureOrigin, token: str) -> None:
    origin.frames = {InstanceUid(f"{A1}.1.1"): 40, InstanceUid(f"{A1}.1.2"): 0}
    reply = await world.ask(f"{STUDY}/pixeldata", token)
    expected = [f"{INSTANCE}/frames/{number}" for number in range(1, 41)] + [f"{OTHER_SERIES}/frames/1"]
    assert locations(reply) == expected
    assert [content for _, content in parts_of(reply)][:40] == [
        origin.frame(InstanceUid(f"{A1}.1.1"), number) for number in range(1, 41)
    ]
    assert [len(asked.frames) for asked, _ in origin.asked] == [16, 16, 8, 1]
    assert len(locations(await world.ask(f"{INSTANCE}/pixeldata", token))) == 40
    assert (await world.ask(f"{SECOND}/pixeldata", token)).status == 404


async def test_pixels_that_cannot_be_decoded_come_as_they_are_stored(
    world: World, origin: PictureOrigin, token: str
) -> None:
    plain = ("Accept", 'multipart/related; type="application/octet-stream"')
    origin.refuse = lambda _asked, accept: 406 if "transfer-syntax" not in accept else None
    assert len(parts_of(await world.ask(f"{STUDY}/pixeldata", token, plain))) == 3
    origin.refuse = lambda _asked, accept: 406 if "image/jp2" in accept else None
    assert (await world.ask(f"{STUDY}/pixeldata", token, ("Accept", "multipart/related; type=image/jp2"))).status == 406


async def test_bulk_data_are_all_the_values_that_the_metadata_leave_out(
    world: World, origin: PictureOrigin, token: str
) -> None:
    reply = await world.ask(f"{SERIES}/bulkdata", token)
    metadata = (await world.ask(f"{SERIES}/metadata", token)).json()
    named = re.findall(r'"BulkDataURI": "([^"]+)"', str(metadata).replace("'", '"'))
    assert len(named) == 4
    assert {PUBLIC_URL + location for location in locations(reply)} == set(named)
    assert [content.split(b" of ")[0] for _, content in parts_of(reply)] == [b"7fe00010", b"00420011"] * 2
    origin.refuse = lambda asked, _accept: 404 if asked.representation is Representation.METADATA else None
    assert (await world.ask(f"{SERIES}/bulkdata", token)).status == 404
    origin.refuse = lambda asked, _accept: 406 if asked.representation is Representation.METADATA else None
    assert (await world.ask(f"{SERIES}/bulkdata", token)).status == 502


@pytest.mark.parametrize(
    "replaced", [(b"instances/1.2.1.1.1/bulk", b"instances/1.2.1.1.2/bulk"), (b'"ANNA-1"', b'"BERT-2"')]
)
async def test_bulk_data_of_another_patient_or_instance_are_never_asked_for(
    world: World, origin: PictureOrigin, token: str, replaced: tuple[bytes, bytes]
) -> None:
    def foreign(asked: Retrieve, answer: OriginAnswer) -> OriginAnswer:
        if asked.representation is not Representation.METADATA:
            return answer
        body = b"".join(answer.body.pieces)  # type: ignore[attr-defined]
        return origin.whole("application/dicom+json", body.replace(*replaced))

    origin.answer_with = foreign
    reply = await world.ask(f"{INSTANCE}/bulkdata", token)
    assert (reply.status, reply.problem) == (502, "upstream-invalid")
    assert [asked.representation for asked, _ in origin.asked] == [Representation.METADATA]


async def test_what_cannot_be_had_in_this_form_is_left_out_as_long_as_something_is_not(
    world: World, origin: PictureOrigin, token: str
) -> None:
    for refused in (INSTANCE, SECOND, OTHER_SERIES):
        origin.refuse = lambda asked, _accept, refused=refused: (
            406 if refused.endswith(str(asked.instance)) else None  # type: ignore[misc]
        )
        reply = await world.ask(f"{STUDY}/rendered", token, ENVELOPED)
        assert f"{refused}/rendered" not in locations(reply)
        assert len(locations(reply)) == 2
    origin.refuse = lambda _asked, _accept: 406
    reply = await world.ask(f"{STUDY}/rendered", token, ENVELOPED)
    assert (reply.status, reply.problem) == (406, "not-acceptable")
    origin.stored += [stored(ANNA, A1, 5, number) for number in range(1, 30)]
    origin.asked.clear()
    assert (await world.ask(f"{STUDY}/rendered", token, ENVELOPED)).status == 406
    assert len(origin.asked) == 8


COMPOSED: Final = [
    (f"{STUDY}/rendered", Representation.RENDERED),
    (f"{STUDY}/pixeldata", Representation.FRAMES),
    (f"{STUDY}/bulkdata", Representation.BULKDATA),
]


@pytest.mark.parametrize(("path", "piece"), COMPOSED)
async def test_p10_a_composed_answer_that_breaks_off_is_never_whole(
    world: World, origin: PictureOrigin, token: str, path: str, piece: Representation
) -> None:
    accept = (ENVELOPED,) if path.endswith("rendered") else ()
    asked_before = 0

    def cut(asked: Retrieve, answer: OriginAnswer) -> OriginAnswer:
        nonlocal asked_before
        asked_before += asked.representation is piece
        if asked.representation is not piece or asked_before < 2:
            return answer
        return OriginAnswer(200, answer.content_type, None, Body([b"--archive"], OriginUnavailableError("broke off")))

    origin.answer_with = cut
    reply = await world.ask(path, token, *accept)
    assert (reply.status, reply.complete) == (200, False)
    assert all(body.closed for body in origin.bodies)
    (outcome,) = world.journal.outcomes.values()
    assert (outcome.status, outcome.complete) == (200, False)

    asked_before = 0
    origin.answer_with = lambda asked, answer: (
        OriginAnswer(404, "", None, Body([]))
        if asked.instance == f"{A1}.2.1" and asked.representation is piece
        else answer
    )
    reply = await world.ask(path, token, *accept)
    assert (reply.status, reply.complete) == (200, False)


@pytest.mark.parametrize(("path", "piece"), COMPOSED)
async def test_an_answer_of_another_kind_is_no_part(
    world: World, origin: PictureOrigin, token: str, path: str, piece: Representation
) -> None:
    accept = (ENVELOPED,) if path.endswith("rendered") else ()
    origin.answer_with = lambda asked, answer: (
        answer if asked.representation is not piece else OriginAnswer(200, "text/html", None, Body([b"<script>"]))
    )
    reply = await world.ask(path, token, *accept)
    assert (reply.status, reply.problem) == (502, "upstream-invalid")
    assert all(body.closed for body in origin.bodies)


async def test_p04_a_composed_answer_is_cut_with_the_permit(world: World, origin: PictureOrigin) -> None:
    anna = await world.enrol(ANNA)
    consent = world.grant(anna)
    token = await world.token()

    def revoking(asked: Retrieve, answer: OriginAnswer) -> OriginAnswer:
        if asked.instance == f"{A1}.2.1":
            world.revoke(anna, consent)
        return answer

    origin.answer_with = revoking
    reply = await world.ask(f"{STUDY}/pixeldata", token)
    assert (reply.status, reply.complete) == (200, False)
    assert f"{A1}.2.1".encode() not in reply.body


@pytest.mark.parametrize("frames", [1, 3])
async def test_more_or_fewer_frames_than_asked_for_are_no_answer(
    world: World, origin: PictureOrigin, token: str, frames: int
) -> None:
    one = origin.stored[0]
    parts = [("application/octet-stream", one.url, b"x")] * frames
    origin.frames[one.instance] = 3
    origin.answer_with = lambda asked, answer: origin.enveloped("application/octet-stream", parts)
    reply = await world.ask(f"{INSTANCE}/frames/1,2", token)
    assert not (reply.status == 200 and reply.complete)


async def test_each_frame_is_located_where_it_was_asked_for(world: World, origin: PictureOrigin, token: str) -> None:
    """Whatever the archive says of the location: here it names another study."""
    origin.frames[InstanceUid(f"{A1}.1.1")] = 3
    origin.answer_with = lambda asked, answer: origin.enveloped(
        "application/octet-stream", [("application/octet-stream", "http://archive.internal/studies/9/x", b"x")] * 2
    )
    assert locations(await world.ask(f"{INSTANCE}/frames/3,1", token)) == [f"{INSTANCE}/frames/{n}" for n in (3, 1)]
