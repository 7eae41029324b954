"""Searches: exactly the permitted rows, in one order, page by page, with a record for each patient disclosed."""

from typing import Any

import pytest

from app.core.consent.terms import Action, Purpose
from app.core.identifiers import StudyUid, Subject
from app.gateway.ports import GatewayLimits
from tests.gateway.conftest import MakeWorld
from tests.gateway.memory_origin import MemoryOrigin
from tests.gateway.people import A1, A2, ANNA, B1, BERT, BLANK, C1, CARL, MISSING, MIXED, N1, NAMESAKE, archive, stored
from tests.gateway.world import PUBLIC_URL, STRANGER, Reply, World


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(archive())


@pytest.fixture
def origin(world: World) -> MemoryOrigin:
    assert isinstance(world.origin, MemoryOrigin)
    return world.origin


def studies(reply: Reply) -> list[str]:
    assert reply.status == 200, reply
    return [row["0020000D"]["Value"][0] for row in reply.json()]


async def test_only_what_is_permitted(world: World) -> None:
    token = await world.token()
    reply = await world.ask("/studies", token)
    assert (reply.status, reply.json(), reply.record_ids) == (200, [], [])
    anna = await world.enrol(ANNA)
    await world.enrol(BERT)
    world.grant(anna)
    assert studies(await world.ask("/studies", token)) == [A1, A2]


async def test_mixed_blank_and_namesakes_are_nobodys(world: World) -> None:
    for subject in (ANNA, BERT):
        world.grant(await world.enrol(subject))
    token = await world.token()
    for target in ("/studies", f"/studies?StudyInstanceUID={A1},{A2},{B1},{C1},{N1},{MIXED},{BLANK}"):
        assert studies(await world.ask(target, token)) == [A1, B1, A2]
    for target in ("/series", "/instances"):
        found = studies(await world.ask(target, token))
        assert set(found) == {A1, A2, B1}


async def test_one_namesake_is_not_the_other(world: World) -> None:
    world.grant(await world.enrol(NAMESAKE))
    token = await world.token()
    assert studies(await world.ask("/studies", token)) == [N1]
    assert studies(await world.ask("/studies?PatientID=ANNA-1", token)) == [N1]


async def test_a_consent_to_one_study(world: World) -> None:
    world.grant(await world.enrol(ANNA), Action.SEARCH, A2)
    token = await world.token()
    assert studies(await world.ask("/studies", token)) == [A2]
    assert (await world.ask(f"/studies/{A1}/series", token)).status == 404
    assert studies(await world.ask(f"/studies/{A2}/series", token)) == [A2]


async def test_purpose_and_action_count(world: World) -> None:
    anna = await world.enrol(ANNA)
    world.grant(anna, Action.RETRIEVE)
    assert studies(await world.ask("/studies", await world.token())) == []
    world.grant(anna, Action.SEARCH, purposes=1 << Purpose.HRESCH)
    assert studies(await world.ask("/studies", await world.token())) == []
    assert studies(await world.ask("/studies", await world.token(purpose=Purpose.HRESCH))) == [A1, A2]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("PatientID=ANNA-1", [A1, A2]),
        ("PatientID=ANNA*", [A1, A2]),
        ("00100020=BERT-2", [B1]),
        ("PatientID=CARL-3", []),
        ("PatientID=anna-1", []),
        ("StudyDate=20260101", [A1]),
        ("StudyDate=20251201-20260101", [A1, B1]),
        (f"StudyInstanceUID={B1}", [B1]),
        (f"StudyInstanceUID={C1}", []),
        (f"StudyInstanceUID={B1},{C1},{A2}", [B1, A2]),
        ("ModalitiesInStudy=CT", []),
    ],
)
async def test_filters(world: World, query: str, expected: list[StudyUid]) -> None:
    world.grant(await world.enrol(ANNA))
    world.grant(await world.enrol(BERT))
    await world.enrol(CARL)
    assert studies(await world.ask(f"/studies?{query}", await world.token())) == expected


async def test_pages_are_of_the_permitted_rows(world: World) -> None:
    for subject in (ANNA, BERT, CARL):
        world.grant(await world.enrol(subject))
    token = await world.token()
    everything = studies(await world.ask("/studies", token))
    assert everything == [A1, B1, A2, C1]
    paged: list[str] = []
    while page := studies(reply := await world.ask(f"/studies?limit=1&offset={len(paged)}", token)):
        paged += page
        left = len(everything) - len(paged)
        told = f'299 consentry "There are {left} additional results that can be requested"' if left else None
        assert reply.header("warning") == told
    assert paged == everything


async def test_a_page_is_never_larger_than_the_bound(make_world: MakeWorld) -> None:
    world = await make_world(archive(), GatewayLimits(page_rows=2, denial_step_s=0))
    for subject in (ANNA, BERT, CARL):
        world.grant(await world.enrol(subject))
    reply = await world.ask("/studies", await world.token())
    assert studies(reply) == [A1, B1]
    assert "There are 2 additional" in str(reply.header("warning"))


async def test_a_large_limit_is_capped_and_said(make_world: MakeWorld) -> None:
    world = await make_world(archive(), GatewayLimits(page_rows=3, denial_step_s=0))
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    reply = await world.ask("/studies?limit=1000000", token)
    assert studies(reply) == [A1, A2]
    assert reply.header("warning") == '299 consentry "There are 0 additional results that can be requested"'
    assert (await world.ask("/studies?limit=3", token)).header("warning") is None


async def test_what_is_not_supported_is_said(world: World) -> None:
    token = await world.token()
    for name, what in (
        ("fuzzymatching", "Only literal matching has"),
        ("multiplevaluematching", "Multiple Value Matching has not"),
    ):
        reply = await world.ask(f"/studies?{name}=true", token)
        said = f'299 consentry "The {name} parameter is not supported. {what} been performed."'
        assert reply.header("warning") == said
    assert (await world.ask("/studies?emptyvaluematching=true", token)).header("warning") is None


async def test_links_are_ours(world: World) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    reply = await world.ask(f"/studies/{A1}/instances", token)
    assert len(reply.json()) == 3
    for row in reply.json():
        uids = [row[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")]
        path = "/studies/{}/series/{}/instances/{}".format(*uids)
        assert row["00081190"]["Value"] == [PUBLIC_URL + path]
    assert b"archive.internal" not in reply.body


async def test_one_record_for_each_patient_of_the_page(world: World) -> None:
    anna = await world.enrol(ANNA)
    bert = await world.enrol(BERT)
    world.grant(anna)
    world.grant(bert)
    world.grant(await world.enrol(CARL))
    token = await world.token()
    reply = await world.ask("/studies?limit=3&StudyDate=20200101-", token)
    records = world.journal.records
    assert reply.record_ids == [record.record_id.hex() for record in records]
    assert [(record.patient, record.study) for record in records] == [(anna.key, None), (bert.key, B1)]
    assert all(record.action == Action.SEARCH for record in records)
    assert {record.target for record in records} == {"GET /studies?00080020"}
    assert world.journal.committed == 1
    assert all(outcome.complete for outcome in world.journal.outcomes.values())


async def test_a_record_carries_no_value(world: World) -> None:
    world.grant(await world.enrol(ANNA))
    await world.ask("/studies?PatientName=Name*&PatientID=ANNA-1", await world.token())
    (record,) = world.journal.records
    assert record.target == "GET /studies?00100010&00100020"


async def test_questions_depend_on_the_consents_alone(world: World, origin: MemoryOrigin) -> None:
    """P13, of what the archive sees: more hidden studies are no more questions."""
    world.grant(await world.enrol(ANNA))
    await world.enrol(BERT)
    token = await world.token()
    seen = []
    for _ in range(3):
        for target in ("/studies", "/series", "/instances?limit=1", f"/studies?StudyInstanceUID={B1}"):
            origin.calls.clear()
            reply = await world.ask(target, token)
            seen.append((target, tuple(origin.calls), reply.body))
        if seen[4:]:  # after the second round: in the first, more was not known yet
            origin.stored += [stored(BERT, f"1.2.5{n}") for n in range(50)]
            origin.stored += [stored(Subject(f"X-{n}", ""), f"1.2.6{n}") for n in range(50)]
    assert seen[4:8] == seen[8:]


async def test_too_many_rows_of_one_study_are_too_broad(make_world: MakeWorld) -> None:
    world = await make_world(archive(), GatewayLimits(search_rows=2, denial_step_s=0))
    world.grant(await world.enrol(ANNA))
    reply = await world.ask(f"/studies/{A1}/instances", await world.token())
    assert (reply.status, reply.problem) == (413, "search-too-broad")


async def test_rows_of_a_study_make_its_instances_known(world: World, origin: MemoryOrigin) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    await world.ask(f"/studies/{A1}/instances", token)
    origin.calls.clear()
    target = f"/studies/{A1}/series/{A1}.1/instances/{A1}.1.1/frames/1"
    assert (await world.ask(target, token)).status == 200
    assert origin.calls == ["retrieve frames"]


async def test_counts_of_the_patient_are_of_what_may_be_seen(world: World) -> None:
    world.grant(await world.enrol(ANNA), Action.SEARCH, A1)
    counts = "includefield=NumberOfPatientRelatedStudies,00201202,00201204"
    reply = await world.ask(f"/studies?{counts}", await world.token())
    (row,) = reply.json()
    assert [row[tag]["Value"] for tag in ("00201200", "00201202", "00201204")] == [[1], [2], [3]]


async def test_head_of_a_search(world: World) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    whole = await world.ask("/studies", token)
    reply = await world.ask("/studies", token, method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert reply.header("content-length") == str(len(whole.body))
    assert len(reply.record_ids) == 1


async def test_nobody_else_gets_it(world: World) -> None:
    world.grant(await world.enrol(ANNA))
    for target in ("/studies", "/series", "/instances", f"/studies?StudyInstanceUID={A1}"):
        reply = await world.ask(target, await world.token(STRANGER))
        assert (reply.status, reply.body, reply.record_ids) == (200, b"[]", [])


async def test_every_page_of_a_missing_study_is_missing(world: World) -> None:
    world.grant(await world.enrol(ANNA))
    token = await world.token()
    bodies: set[Any] = set()
    for study in (MISSING, B1, MIXED, BLANK):
        for kind in ("series", "instances", f"series/{B1}.1/instances"):
            reply = await world.ask(f"/studies/{study}/{kind}", token)
            bodies.add((reply.status, reply.body, tuple(reply.headers)))
    assert len(bodies) == 1
    assert bodies.pop()[0] == 404
