"""Retrievals: who gets what, recorded before a byte, cut with the permit, and never a short answer that looks whole."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.core.consent.events import PatientErased
from app.core.consent.terms import Action, Effect, Purpose
from app.core.dicom.dicomweb import Retrieve
from app.core.identifiers import ConsentId, StudyUid
from app.gateway.ports import Alarm, GatewayLimits
from app.pacs.origin import (
    OriginAnswer,
    OriginInvalidError,
    OriginTimeoutError,
    OriginTooBroadError,
    OriginUnavailableError,
)
from app.store.engine import StoreUnavailableError
from app.store.journal import JournalUnavailableError
from tests.gateway.conftest import MakeWorld
from tests.gateway.memory_origin import Body, MemoryOrigin
from tests.gateway.people import A1, A2, ANNA, B1, BERT, BLANK, CARL, MISSING, MIXED, archive
from tests.gateway.world import PUBLIC_URL, STRANGER, Reply, World

INSTANCE = f"/studies/{A1}/series/{A1}.1/instances/{A1}.1.1"
OCTETS = ("Accept", 'multipart/related; type="application/octet-stream"')
EVERY_KIND = ["", "/metadata", "/frames/1", "/rendered", "/frames/1/rendered", "/bulk/7fe00010"]


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(archive())


@pytest.fixture
def origin(world: World) -> MemoryOrigin:
    assert isinstance(world.origin, MemoryOrigin)
    return world.origin


@pytest.mark.parametrize("kind", EVERY_KIND)
async def test_a_consent_opens_every_kind(world: World, kind: str) -> None:
    anna = await world.enrol(ANNA)
    consent = world.grant(anna)
    reply = await world.ask(INSTANCE + kind, await world.token())
    assert (reply.status, reply.complete) == (200, True)
    assert b"canary-ANNA-1" in reply.body
    assert b"archive.internal" not in reply.body
    assert reply.header("cache-control") == "private, no-store"
    assert reply.header("vary") == "Authorization, Cookie, Accept-Encoding"
    assert reply.header("x-content-type-options") == "nosniff"
    (record,) = world.journal.records
    assert reply.record_ids == [record.record_id.hex()]
    assert (record.patient, record.study) == (anna.key, A1)
    assert bytes(record.basis) == bytes(consent)
    assert record.action == (Action.VIEW if "rendered" in kind else Action.RETRIEVE)
    assert record.target == f"GET {INSTANCE}{kind}"
    (outcome,) = world.journal.outcomes.values()
    assert (outcome.status, outcome.body_bytes, outcome.complete) == (200, len(reply.body), True)


@pytest.mark.parametrize("path", [f"/studies/{A1}", f"/studies/{A1}/series/{A1}.1", f"/studies/{A1}/metadata"])
async def test_above_the_instance(world: World, path: str) -> None:
    world.grant(await world.enrol(ANNA))
    reply = await world.ask(path, await world.token())
    assert (reply.status, reply.complete) == (200, True)
    assert reply.body.count(b"canary-ANNA-1") >= 2


async def test_head_discloses_no_byte_and_is_recorded(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    for kind in EVERY_KIND:
        reply = await world.ask(INSTANCE + kind, token, method="HEAD")
        assert (reply.status, reply.body, reply.complete) == (200, b"", True)
        assert len(reply.record_ids) == 1
    assert all(body.closed for body in origin.bodies)


async def test_options_needs_no_token_and_asks_nobody(world: World, origin: MemoryOrigin) -> None:
    reply = await world.ask(INSTANCE, None, method="OPTIONS")
    assert (reply.status, reply.header("allow"), reply.body) == (204, "GET, HEAD, OPTIONS", b"")
    assert origin.calls == []


async def test_metadata_links_are_ours(world: World) -> None:
    world.grant(await world.enrol(ANNA))
    reply = await world.ask(INSTANCE + "/metadata", await world.token())
    (dataset,) = reply.json()
    assert dataset["7FE00010"]["BulkDataURI"] == f"{PUBLIC_URL}{INSTANCE}/bulk/7fe00010"
    nested = dataset["00400275"]["Value"][0]["00420011"]
    assert nested["BulkDataURI"] == f"{PUBLIC_URL}{INSTANCE}/bulk/00420011"


async def _denied_worlds(world: World) -> list[tuple[str, str]]:
    """(target, token) of everything that must look like nothing."""
    anna = await world.enrol(ANNA)
    bert = await world.enrol(BERT)
    await world.enrol(CARL)
    world.grant(anna, Action.SEARCH | Action.VIEW | Action.RETRIEVE, A1)
    world.grant(bert, grantee=STRANGER)
    token = await world.token()
    other_purpose = await world.token(purpose=Purpose.HRESCH)
    return [
        (f"/studies/{MISSING}/metadata", token),
        (f"/studies/{A2}/metadata", token),
        (f"/studies/{B1}/metadata", token),
        (f"/studies/{MIXED}/metadata", token),
        (f"/studies/{BLANK}/metadata", token),
        (f"/studies/{A1}/metadata", other_purpose),
        (f"/studies/{B1}/series/{B1}.1/metadata", token),
        (f"/studies/{B1}/series/{A1}.1/metadata", token),
        (f"/studies/{MISSING}/series/{A1}.1/metadata", token),
        (f"/studies/{MIXED}/series/{MIXED}.1/instances/{MIXED}.1.1", token),
        (f"/studies/{B1}/series/{B1}.1/instances/{B1}.1.1/frames/1", token),
        (f"/studies/{B1}/series/{B1}.1/instances/{B1}.1.1/rendered", token),
        (f"/studies/{B1}/series", token),
        (f"/studies/{MISSING}/series", token),
        (f"/studies/{B1}/instances", token),
    ]


async def test_what_may_not_be_seen_does_not_exist(world: World, origin: MemoryOrigin) -> None:
    """One 404 for all, the same bytes, after exactly one question to the archive, asked again or not."""
    denied = await _denied_worlds(world)
    replies: list[Reply] = []
    for target, token in [*denied, *denied]:
        origin.calls.clear()
        reply = await world.ask(target, token)
        study = target.split("/")[2]
        assert origin.calls == [f"subjects {study}"], target
        replies.append(reply)
    first = replies[0]
    assert (first.status, first.problem) == (404, "not-found")
    assert all((r.status, r.headers, r.body) == (404, first.headers, first.body) for r in replies)
    assert world.journal.entries == []


@pytest.mark.parametrize(
    "path",
    [
        f"/series/{B1}.1",
        f"/series/{A2}.1",
        "/series/9.9.9",
        f"/series/{A1}.2/instances/{A1}.1.1",
        f"/series/{B1}.1/instances/{B1}.1.1",
        f"/series/{A1}.1/instances/{B1}.1.1",
        f"/series/{A1}.1/instances/9.9.9",
    ],
)
@pytest.mark.parametrize("kind", ["", "/metadata"])
async def test_a_series_of_another_study_does_not_exist(
    world: World, origin: MemoryOrigin, path: str, kind: str
) -> None:
    world.grant(await world.enrol(ANNA))
    world.grant(await world.enrol(BERT))
    token = await world.token()
    missing = await world.ask(f"/studies/{MISSING}/metadata", token)
    origin.calls.clear()
    for _ in range(2):
        reply = await world.ask(f"/studies/{A1}{path}{kind}", token)
        assert (reply.status, reply.headers, reply.body) == (404, missing.headers, missing.body)
    assert not any(call.startswith("retrieve") for call in origin.calls)


async def test_a_permitted_study_is_looked_up_once(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    for _ in range(3):
        assert (await world.ask(INSTANCE, token)).status == 200
    looked_up = [call for call in origin.calls if not call.startswith("retrieve")]
    assert looked_up == [f"subjects {A1}", f"search INSTANCE {A1} {A1}.1"]


async def test_metadata_of_a_series_makes_its_instances_known(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    await world.ask(f"/studies/{A1}/series/{A1}.1/metadata", token)
    origin.calls.clear()
    assert (await world.ask(INSTANCE + "/frames/1", token)).status == 200
    assert origin.calls == ["retrieve frames"]


async def test_what_is_remembered_is_forgotten(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    await world.ask(f"/studies/{A1}/metadata", token)
    origin.stored.append(next(one for one in origin.stored if one.study == MIXED and one.subject == BERT))
    origin.stored = [one for one in origin.stored if one.study != A1]
    later = world.monotonic() + 31
    world.monotonic = lambda: later
    assert (await world.ask(f"/studies/{A1}/metadata", token)).status == 404


async def test_a_grant_that_is_not_final_does_not_count(world: World) -> None:
    anna = await world.enrol(ANNA)
    world.final = world.state
    world.grant(anna)
    token = await world.token()
    assert (await world.ask(INSTANCE, token)).status == 404
    world.final = None
    assert (await world.ask(INSTANCE, token)).status == 200


async def test_a_deny_wins_and_a_revocation_handed_in_bites(world: World) -> None:
    anna = await world.enrol(ANNA)
    consent = world.grant(anna)
    token = await world.token()
    assert (await world.ask(INSTANCE, token)).status == 200
    world.revoked = frozenset({(anna.key, consent)})
    assert (await world.ask(INSTANCE, token)).status == 404
    world.revoked = frozenset()
    world.grant(anna, Action.VIEW, effect=Effect.DENY)
    assert (await world.ask(INSTANCE, token)).status == 404


async def test_viewing_is_not_retrieving(world: World) -> None:
    world.grant(await world.enrol(ANNA), Action.VIEW)
    token = await world.token()
    assert (await world.ask(INSTANCE + "/rendered", token)).status == 200
    for kind in ("", "/metadata", "/frames/1", "/bulk/7fe00010"):
        assert (await world.ask(INSTANCE + kind, token)).status == 404


async def test_an_unknown_chain_answers_nobody(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    world.known = False
    for target in (INSTANCE, f"/studies/{MISSING}", "/studies", f"/studies/{A1}/series"):
        reply = await world.ask(target, token)
        assert (reply.status, reply.problem) == (503, "chain-unavailable")
    assert origin.calls == []


# P2: the record before the byte


async def test_p02_bytes_wait_for_the_commit(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    for target in (INSTANCE, INSTANCE + "/metadata", f"/studies/{A1}/series", "/studies"):
        world.journal.gate = asyncio.Event()
        sent: list[bytes] = []
        asking = asyncio.create_task(world.ask(target, token, on_piece=sent.append))
        committed = world.journal.committed
        await asyncio.sleep(0.05)
        assert not asking.done()
        assert sent == []
        assert world.journal.committed == committed
        world.journal.gate.set()
        assert (await asking).status == 200
        assert sent
        assert world.journal.committed == committed + 1
    assert "retrieve dicom" in origin.calls


async def test_p02_the_archive_is_asked_while_the_record_is_written(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    world.journal.gate = asyncio.Event()
    asking = asyncio.create_task(world.ask(INSTANCE, token))
    await asyncio.sleep(0.05)
    assert origin.calls[-1] == "retrieve dicom"
    world.journal.gate.set()
    assert (await asking).complete


@pytest.mark.parametrize("target", [INSTANCE, INSTANCE + "/metadata", INSTANCE + "/rendered", "/studies"])
async def test_p02_no_record_no_byte(world: World, origin: MemoryOrigin, target: str) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    world.journal.error = JournalUnavailableError("OSError")
    reply = await world.ask(target, token)
    assert (reply.status, reply.problem) == (503, "log-unavailable")
    assert reply.header("access-record-id") is None
    assert b"canary" not in reply.body
    assert all(body.closed for body in origin.bodies)
    assert world.journal.outcomes == {}


async def test_every_permitted_request_has_its_record_and_outcome(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    origin.fail_with = None
    await world.ask(INSTANCE, token)
    origin.answer_with = lambda asked, answer: OriginAnswer(404, "", None, Body([]))
    assert (await world.ask(INSTANCE, token)).status == 404
    origin.answer_with = lambda asked, answer: OriginAnswer(
        200, answer.content_type, None, Body([b"x"], OriginUnavailableError("broke off"))
    )
    assert not (await world.ask(INSTANCE + "/rendered", token)).complete
    outcomes = [world.journal.outcomes[record.record_id] for record in world.journal.records]
    assert [(outcome.status, outcome.complete) for outcome in outcomes] == [(200, True), (404, True), (200, False)]


# P4: running downloads


def _once(step: int, act: Callable[[], Any]) -> Callable[[int], None]:
    def before(given: int) -> None:
        if given == step:
            act()

    return before


def _revoke(world: World, anna: Any, consent: ConsentId) -> None:
    world.revoke(anna, consent)


def _hand_in(world: World, anna: Any, consent: ConsentId) -> None:
    world.revoked = frozenset({(anna.key, consent)})


def _lose_chain(world: World, anna: Any, consent: ConsentId) -> None:
    world.known = False


def _expire(world: World, anna: Any, consent: ConsentId) -> None:
    world.now = lambda: 2.0**41


def _begin_erasure(world: World, anna: Any, consent: ConsentId) -> None:
    world.patients.shut_out(anna.key)


def _erased_on_chain(world: World, anna: Any, consent: ConsentId) -> None:
    world.happens(PatientErased(anna.key))


@pytest.mark.parametrize("happening", [_revoke, _hand_in, _lose_chain, _expire, _begin_erasure, _erased_on_chain])
async def test_p04_a_running_download_is_cut_at_the_next_chunk(
    world: World, origin: MemoryOrigin, happening: Callable[[World, Any, ConsentId], None]
) -> None:
    anna = await world.enrol(ANNA)
    consent = world.grant(anna)
    token = await world.token()
    pieces = [b"%04d" % number * 25 for number in range(50)]
    body = Body(pieces, before=_once(20, lambda: happening(world, anna, consent)))
    origin.answer_with = lambda asked, answer: OriginAnswer(200, "image/jpeg", 5000, body)
    reply = await world.ask(INSTANCE + "/rendered", token)
    assert reply.status == 200
    assert not reply.complete
    assert len(reply.body) <= 20 * 100
    assert body.closed
    (outcome,) = world.journal.outcomes.values()
    assert (outcome.body_bytes, outcome.complete) == (len(reply.body), False)


async def test_p04_another_consent_keeps_it_running(world: World, origin: MemoryOrigin) -> None:
    anna = await world.enrol(ANNA)
    consent = world.grant(anna)
    world.grant(anna)
    token = await world.token()
    body = Body([b"x" * 100] * 50, before=_once(20, lambda: _revoke(world, anna, consent)))
    origin.answer_with = lambda asked, answer: OriginAnswer(200, "image/jpeg", 5000, body)
    reply = await world.ask(INSTANCE + "/rendered", token)
    assert (reply.complete, len(reply.body)) == (True, 5000)


async def test_p04_revoked_before_the_first_byte_is_not_found(world: World, origin: MemoryOrigin) -> None:
    anna = await world.enrol(ANNA)
    consent = world.grant(anna)
    token = await world.token()

    def revoking(asked: Retrieve, answer: OriginAnswer) -> OriginAnswer:
        _hand_in(world, anna, consent)
        return answer

    for kind in EVERY_KIND:
        origin.answer_with = revoking
        world.revoked = frozenset()
        reply = await world.ask(INSTANCE + kind, token)
        assert (reply.status, reply.problem) == (404, "not-found")
        assert b"canary" not in reply.body


# P10: an archive that fails


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (OriginUnavailableError("down"), 502, "upstream-unavailable"),
        (OriginTimeoutError("slow"), 504, "upstream-timeout"),
        (OriginInvalidError("odd"), 502, "upstream-invalid"),
        (OriginTooBroadError(), 413, "search-too-broad"),
    ],
)
@pytest.mark.parametrize("target", [INSTANCE, INSTANCE + "/metadata", f"/studies/{MISSING}", "/studies", "/series"])
async def test_p10_before_the_first_byte(
    world: World, origin: MemoryOrigin, error: Exception, status: int, name: str, target: str
) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    origin.fail_with = error
    reply = await world.ask(target, token)
    assert (reply.status, reply.problem) == (status, name)
    assert reply.header("access-record-id") is None
    assert world.alarms == ([Alarm.UPSTREAM_INVALID] if name == "upstream-invalid" else [])


async def test_p10_cut_anywhere_is_never_whole(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    await world.ask(INSTANCE, token)
    for kind in EVERY_KIND:
        origin.answer_with = None
        await world.ask(INSTANCE + kind, token)
        whole = b"".join(origin.bodies[-1].pieces)
        for length in range(0, len(whole), max(1, len(whole) // 37)):
            cut = Body([whole[:length]] if length else [], OriginUnavailableError("broke off"))
            origin.answer_with = lambda asked, answer, cut=cut: OriginAnswer(
                200, answer.content_type, answer.content_length, cut
            )
            reply = await world.ask(INSTANCE + kind, token)
            assert reply.status in {200, 502}
            assert reply.complete == (reply.status == 502), (kind, length)


async def test_metadata_of_another_patient_is_no_answer(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    bert = next(one for one in origin.stored if one.subject == BERT)

    def swapped(asked: Retrieve, answer: OriginAnswer) -> OriginAnswer:
        return MemoryOrigin([bert], piece_bytes=100)._answer(
            Retrieve(asked.representation, bert.study, bert.series, bert.instance), "image/jpeg"
        )

    origin.answer_with = swapped
    reply = await world.ask(INSTANCE + "/metadata", token)
    assert (reply.status, reply.problem) == (502, "upstream-invalid")
    assert b"BERT" not in reply.body
    assert world.alarms


async def test_an_unexpected_error_tells_nothing(
    world: World, origin: MemoryOrigin, caplog: pytest.LogCaptureFixture
) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    origin.fail_with = RuntimeError("canary-secret")
    reply = await world.ask(INSTANCE, token)
    assert (reply.status, reply.problem) == (500, "internal")
    assert "canary-secret" not in reply.body.decode() + caplog.text
    assert "RuntimeError" in caplog.text


async def test_a_session_store_that_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(token: str) -> None:
        raise StoreUnavailableError("OperationalError")

    monkeypatch.setattr(world.sessions, "find", broken)
    reply = await world.ask(INSTANCE, "A" * 43)
    assert reply.status == 503


@pytest.mark.parametrize(
    ("headers", "status", "name"),
    [
        ([], 401, "unauthenticated"),
        ([("Authorization", "Bearer " + "A" * 43)], 401, "unauthenticated"),
        ([("Authorization", "Bearer {token}"), ("Authorization", "Bearer {token}")], 400, "ambiguous-credentials"),
        ([("Authorization", "Basic {token}")], 401, "unauthenticated"),
        ([("Authorization", "Bearer {token}"), ("Accept", "text/html")], 406, "not-acceptable"),
    ],
)
async def test_credentials_and_accept(
    world: World, origin: MemoryOrigin, headers: list[tuple[str, str]], status: int, name: str
) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    reply = await world.ask(INSTANCE, None, *((key, value.format(token=token)) for key, value in headers))
    assert (reply.status, reply.problem) == (status, name)
    assert (reply.header("www-authenticate") is not None) == (status == 401)
    assert origin.calls == []


async def test_a_session_ends(world: World) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    assert (await world.ask(INSTANCE, token)).status == 200
    session = await world.sessions.find(token)
    assert session is not None
    await world.sessions.revoke(session.token_hash)
    assert (await world.ask(INSTANCE, token)).status == 401


@pytest.mark.parametrize(
    ("path", "status", "name"),
    [
        (f"/studies/{A1}%2Fseries", 400, "invalid-uid"),
        ("/studies/1..2", 400, "invalid-uid"),
        ("/studies/../studies", 400, "invalid-uid"),
        (f"/studies/{A1};x", 400, "invalid-uid"),
        (f"/studies//{A1}", 400, "invalid-uid"),
        ("/studies/" + "1" * 65, 400, "invalid-uid"),
        (f"{INSTANCE}/frames/0", 400, "invalid-frames"),
        (f"{INSTANCE}/frames/2", 404, "not-found"),
        ("/nothing", 404, "not-found"),
        ("/studies?limit=-1", 400, "invalid-parameter"),
        ("/studies?PatientID=a&PatientID=b", 400, "ambiguous-parameter"),
        ("/studies?NoSuchThing=a", 400, "unsupported-parameter"),
    ],
)
async def test_bad_input(world: World, path: str, status: int, name: str) -> None:
    world.grant(await world.enrol(ANNA))
    reply = await world.ask(path, await world.token())
    assert (reply.status, reply.problem) == (status, name)


async def test_methods_that_are_not_served(world: World, origin: MemoryOrigin) -> None:
    token = await world.token()
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
        reply = await world.ask(INSTANCE, token, method=method)
        assert (reply.status, reply.problem) == (405, "method-not-allowed")
        assert reply.header("allow") == "GET, HEAD, OPTIONS"
    assert origin.calls == []


async def test_denials_take_steps_of_time(make_world: MakeWorld) -> None:
    world = await make_world(archive(), GatewayLimits(denial_step_s=0.05))
    token = await world.token()
    loop = asyncio.get_running_loop()
    for study in (MISSING, A1, StudyUid("1.2.7")):
        took_s: list[float] = []
        while not took_s or (min(took_s) >= 0.1 and len(took_s) < 50):  # on a busy machine some take a step more
            began = loop.time()
            assert (await world.ask(f"/studies/{study}", token)).status == 404
            took_s.append(loop.time() - began)
        assert 0.049 <= min(took_s) < 0.1
