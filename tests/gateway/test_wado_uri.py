"""WADO-URI through the gateway: another door to the same rooms, with the same lock and the same book (PS3.18 §9)."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.core.consent.terms import Action
from app.core.dicom.dicomweb import Representation, Retrieve
from app.gateway.ports import Alarm, GatewayLimits
from app.pacs.origin import OriginAnswer
from tests.gateway.conftest import MakeWorld
from tests.gateway.memory_origin import Body, MemoryOrigin
from tests.gateway.people import A1, A2, ANNA, B1, BERT, MISSING, MIXED, archive
from tests.gateway.world import STRANGER, Reply, World

FILE = "&contentType=application/dicom"


def uri(study: str = A1, series: str | None = None, instance: str | None = None, more: str = "") -> str:
    series = series or f"{study}.1"
    named = f"studyUID={study}&seriesUID={series}&objectUID={instance or f'{series}.1'}"
    return f"/wado?requestType=WADO&{named}{more}"


def path(study: str = A1, series: str | None = None, instance: str | None = None, more: str = "/rendered") -> str:
    series = series or f"{study}.1"
    return f"/studies/{study}/series/{series}/instances/{instance or f'{series}.1'}{more}"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(archive())


@pytest.fixture
def origin(world: World) -> MemoryOrigin:
    assert isinstance(world.origin, MemoryOrigin)
    return world.origin


def _shown(reply: Reply) -> Any:
    """All of an answer that does not name its own record."""
    return (reply.status, [one for one in reply.headers if one[0] != b"access-record-id"], reply.body, reply.complete)


SAME = [
    ("", "/rendered", None),
    ("&contentType=image/png", "/rendered", "image/png"),
    ("&frameNumber=1", "/frames/1/rendered", "image/jpeg"),
    ("&imageQuality=50&windowCenter=1&windowWidth=2", "/rendered?quality=50&window=1,2,linear", "image/jpeg"),
    (FILE, "", "application/dicom"),
]


@pytest.mark.parametrize(("more", "suffix", "accept"), SAME)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_both_doors_give_the_same_bytes_and_leave_the_same_record(
    world: World, origin: MemoryOrigin, more: str, suffix: str, accept: str | None, method: str
) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    by_path = await world.ask(path(more=suffix), token, *([("Accept", accept)] if accept else []), method=method)
    calls = list(origin.calls)
    origin.calls.clear()
    by_query = await world.ask(uri(more=more), token, method=method)
    assert _shown(by_query) == _shown(by_path)
    assert (by_query.status, bool(by_query.body)) == (200, method == "GET")
    assert by_query.header("content-type") == (accept or "image/jpeg")
    assert origin.calls == [one for one in calls if one.startswith("retrieve")]
    first, second = world.journal.records
    assert by_query.record_ids == [second.record_id.hex()]
    assert (second.target, second.action, second.study) == (first.target, first.action, first.study)
    assert second.target == f"{method} {path(more=suffix.partition('?')[0])}"


async def test_what_may_not_be_seen_is_not_there(world: World, origin: MemoryOrigin) -> None:
    anna, bert = await world.enrol(ANNA), await world.enrol(BERT)
    world.grant(anna, Action.SEARCH | Action.VIEW, A1)
    world.grant(bert, grantee=STRANGER)
    token = await world.token()
    nothing = await world.ask(path(MISSING), token)
    assert (nothing.status, nothing.problem) == (404, "not-found")
    for target in (
        uri(MISSING),
        uri(A2),
        uri(B1),
        uri(MIXED),
        uri(A1, f"{B1}.1"),
        uri(A1, f"{A1}.1", f"{A1}.2.1"),
        uri(A1, f"{A1}.1", f"{A1}.1.9"),
        uri(B1, f"{A1}.1"),
        uri(more=FILE),  # a consent to view is none to fetch
        uri(B1, more="&rows=7"),
        uri(MISSING, more="&rows=7"),
        uri(more="&frameNumber=2"),
    ):
        origin.calls.clear()
        reply = await world.ask(target, token)
        assert _shown(reply) == _shown(nothing), target
        assert b"canary" not in reply.body
        if "frameNumber" not in target:
            assert not [one for one in origin.calls if one.startswith("retrieve")], target
    assert (await world.ask(uri(), token)).status == 200


async def test_a_consent_to_search_opens_neither_picture_nor_file(world: World) -> None:
    world.grant(await world.enrol(ANNA), Action.SEARCH)
    token = await world.token()
    for more in ("", FILE):
        assert (await world.ask(uri(more=more), token)).problem == "not-found"
    assert world.journal.records == []


async def test_a_404_is_answered_at_the_same_step(make_world: MakeWorld) -> None:
    world = await make_world(archive(), GatewayLimits(denial_step_s=0.03))
    token = await world.token()
    for target in (uri(MISSING), uri(A1), uri(A1, more=FILE), uri(A1, more="&columns=3")):
        began_s = world.monotonic()
        assert (await world.ask(target, token)).status == 404
        assert world.monotonic() - began_s >= 0.029


async def test_who_is_not_signed_in_learns_nothing(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    for target in (uri(), uri(MISSING), uri(more="&frameNumber=0"), "/wado"):
        for token in (None, "nobody"):
            reply = await world.ask(target, token)
            assert (reply.status, reply.problem) == (401, "unauthenticated")
            assert reply.header("www-authenticate") == 'Bearer realm="consentry"'
    assert origin.calls == []


async def test_options_and_other_methods(world: World, origin: MemoryOrigin) -> None:
    reply = await world.ask(uri(), None, method="OPTIONS")
    assert (reply.status, reply.header("allow"), reply.body) == (204, "GET, HEAD, OPTIONS", b"")
    reply = await world.ask(uri(), await world.token(), method="POST")
    assert (reply.problem, reply.header("allow")) == ("method-not-allowed", "GET, HEAD, OPTIONS")
    assert origin.calls == []


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ("&anonymize=yes", "unsupported-parameter"),
        ("&presentationUID=1.2", "unsupported-parameter"),
        ("&frameNumber=0", "invalid-parameter"),
        ("&rows=1&rows=1", "ambiguous-parameter"),
        ("&contentType=text/html", "not-acceptable"),
    ],
)
async def test_a_bad_query_asks_nobody(world: World, origin: MemoryOrigin, more: str, name: str) -> None:
    world.grant(await world.enrol(ANNA))
    reply = await world.ask(uri(more=more), await world.token())
    assert reply.problem == name
    assert origin.calls == []
    assert world.journal.records == []


class Measured:
    """Lets the archive say how large the image is, and notes what it was asked to render."""

    def __init__(self, origin: MemoryOrigin, rows: Any = 512, columns: Any = 256, **changed: Any) -> None:
        self.rendered: list[tuple[tuple[str, str], ...]] = []
        self._origin, self._size, self._changed = origin, {"00280010": rows, "00280011": columns}, changed
        origin.answer_with = self

    def __call__(self, retrieve: Retrieve, answer: OriginAnswer) -> OriginAnswer:
        if retrieve.representation is Representation.METADATA:
            (stored,) = self._origin.found(retrieve)
            dataset = replace(stored, **self._changed).metadata()
            dataset |= {tag: {"vr": "US", "Value": [n]} for tag, n in self._size.items() if n is not None}
            return self._origin.whole("application/dicom+json", json.dumps([dataset]).encode())
        self.rendered.append(retrieve.query)
        return answer


async def test_sizes_and_regions_are_put_in_the_images_pixels(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA), Action.VIEW)
    token = await world.token()
    measured = Measured(origin)
    for more, viewport in (
        ("&rows=256", "128,256"),
        ("&columns=64&rows=64", "32,64"),
        ("&region=0.5,0.5,1,1", "128,256,128,256,128,256"),
        ("&region=0.5,0.5,1,1&columns=64&frameNumber=1", "64,128,128,256,128,256"),
    ):
        reply = await world.ask(uri(more=more + "&imageQuality=9"), token)
        assert (reply.status, reply.header("content-type")) == (200, "image/jpeg")
        assert measured.rendered[-1] == (("quality", "9"), ("viewport", viewport))
    assert [record.action for record in world.journal.records] == [Action.VIEW] * 4
    assert all(body.closed for body in origin.bodies)


@pytest.mark.parametrize(
    ("size", "changed", "name", "alarms"),
    [
        ({"rows": None}, {}, "not-acceptable", []),
        ({"rows": 0}, {}, "not-acceptable", []),
        ({"columns": "256"}, {}, "not-acceptable", []),
        ({"columns": 2.5}, {}, "not-acceptable", []),
        ({"columns": -256}, {}, "not-acceptable", []),
        ({"rows": 65_536}, {}, "not-acceptable", []),
        ({"rows": 10**400, "columns": 10**400}, {}, "not-acceptable", []),
        ({"rows": 1e400}, {}, "upstream-invalid", [Alarm.UPSTREAM_INVALID]),
        ({}, {"subject": BERT}, "upstream-invalid", [Alarm.WRONG_PATIENT, Alarm.UPSTREAM_INVALID]),
        ({}, {"instance": "1.2.9"}, "upstream-invalid", [Alarm.UPSTREAM_INVALID]),
    ],
)
async def test_an_image_of_no_size_is_no_picture(
    world: World, origin: MemoryOrigin, size: Any, changed: Any, name: str, alarms: list[Alarm]
) -> None:
    world.grant(await world.enrol(ANNA))
    measured = Measured(origin, **size, **changed)
    reply = await world.ask(uri(more="&rows=7"), await world.token())
    assert reply.problem == name
    assert measured.rendered == []
    assert world.alarms == alarms
    (outcome,) = world.journal.outcomes.values()
    assert outcome.status == reply.status
    assert all(body.closed for body in origin.bodies)


@pytest.mark.parametrize(("status", "name"), [(404, "not-found"), (500, "upstream-invalid")])
async def test_an_archive_that_does_not_say_the_size(
    world: World, origin: MemoryOrigin, status: int, name: str
) -> None:
    world.grant(await world.enrol(ANNA))
    origin.answer_with = lambda _retrieve, _answer: OriginAnswer(status, "", None, Body([]))
    assert (await world.ask(uri(more="&rows=7"), await world.token())).problem == name


@pytest.mark.soak
async def test_mutated_queries_show_nothing_of_anybody_else(
    world: World, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    """P11 at this door: no unexpected 5xx, and not one byte of a patient who did not consent."""
    anna, _bert = await world.enrol(ANNA), await world.enrol(BERT)
    world.grant(anna, Action.SEARCH | Action.VIEW, A1)
    token = await world.token()
    seeds = [uri(), uri(B1), uri(A1, f"{B1}.1"), uri(A1, more=FILE), uri(A1, more="&frameNumber=1&imageQuality=9")]
    served = 0
    for _ in range(run_size(300, 50_000)):
        query = bytearray(rng.choice(seeds).encode())[6:]
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(query))
            other = rng.choice(seeds).encode()[6:]
            query[at : at + rng.randrange(4)] = rng.choice(
                [b"%", b"&", b"=", b"1", b".", b"%2c", b"\x80", other[at : at + 9]]
            )
        reply = await world.ask("/wado?" + query.decode("latin-1"), token)
        assert reply.status in {200, 400, 404, 406}, query
        assert b"canary-BERT" not in reply.body
        assert reply.complete
        served += reply.status == 200
    assert served > 10
