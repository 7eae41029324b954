"""Long listings: pages go on where the last one ended, bounds are told, and no question to the archive tells of what is
hidden.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.core.consent.terms import Action, Effect
from app.core.dicom.dicomweb import Search
from app.core.identifiers import StudyUid, Subject
from app.gateway.ports import GatewayLimits
from app.pacs.date_windows import Pace
from app.pacs.origin import Names, Stretch
from app.pacs.remote_listing import REMOTE_LISTING
from tests.gateway.conftest import MakeWorld
from tests.gateway.memory_origin import MemoryOrigin, Stored
from tests.gateway.people import A1, ANNA, B1, BERT, CARL, MISSING, archive, stored
from tests.gateway.world import Reply, World

WHOLE_ONLY = replace(REMOTE_LISTING, questions=0)
UNCOUNTED = GatewayLimits(denial_step_s=0, counted_patients=0)


class Vouching(MemoryOrigin):
    """Vouches that studies are of one patient, as the embedded archive does, and lists in pieces of ``piece_rows``."""

    piece_rows = 10

    async def in_order(
        self, search: Search, after: bytes | None, patient_ids: Sequence[str] | None, rows: int
    ) -> Stretch:
        self.calls.append(f"list after {after!r}")
        whole = await super().in_order(search, None, patient_ids, rows)
        behind = [replace(one, sole=True) for one in whole.listed if after is None or one.rank > after]
        piece = behind[: self.piece_rows]
        return Stretch(piece, piece[-1].rank if len(behind) > len(piece) else None, len(piece))


class Naming(Vouching):
    """Tells studies by name too, as the embedded archive does."""

    async def names_in_order(self, search: Search, after: bytes | None, rows: int) -> Names | None:
        self.calls.append(f"names after {after!r}")
        whole = await MemoryOrigin.in_order(self, search, None, None, rows)
        behind = [one for one in whole.listed if after is None or one.rank > after][: min(rows, 30)]
        if not behind:
            return None
        return Names([(one.study, one.subject, True) for one in behind], behind[-1].rank, len(behind))


def many(patients: int) -> list[Stored]:
    """A study for each patient, three a day, newest last."""
    days = [f"2026{n // 84 + 1:02}{n // 3 % 28 + 1:02}" for n in range(patients)]
    return [stored(Subject(f"P-{n:03}", ""), f"1.2.{n + 1}", date=day) for n, day in enumerate(days)]


def studies(reply: Reply) -> list[str]:
    assert reply.status == 200, reply
    return [row["0020000D"]["Value"][0] for row in reply.json()]


async def with_everyone(make_world: MakeWorld, origin: MemoryOrigin, limits: GatewayLimits = UNCOUNTED) -> World:
    world = await make_world(origin, limits)
    for subject in sorted({one.subject for one in origin.stored}, key=lambda one: one.patient_id):
        world.grant(await world.enrol(subject))
    return world


async def test_pages_go_on_where_the_last_one_ended(make_world: MakeWorld) -> None:
    origin = Vouching(many(60), listing=WHOLE_ONLY)
    world = await with_everyone(make_world, origin)
    token = await world.token()
    whole = studies(await world.ask("/studies", token))
    assert len(whole) == 60
    paged: list[str] = []
    asked = []
    while True:
        origin.calls.clear()
        page = studies(reply := await world.ask(f"/studies?limit=7&offset={len(paged)}", token))
        asked.append(sum(call.startswith("list") for call in origin.calls))
        paged += page
        more = reply.header("warning")
        if not page:
            break
        assert (more == '299 consentry "There are additional results that can be requested"') == (len(paged) < 60)
    assert paged == whole
    assert max(asked) <= 2, "a page began from the front"


async def test_pages_begin_anew_when_the_consents_are_others(make_world: MakeWorld) -> None:
    origin = Vouching(many(40), listing=WHOLE_ONLY)
    world = await with_everyone(make_world, origin)
    token = await world.token()
    whole = studies(await world.ask("/studies", token))
    assert studies(await world.ask("/studies?limit=5&offset=30", token)) == whole[30:35]
    patient = world.patients.by_subject(next(one.subject for one in origin.stored if one.study == whole[2]))
    assert patient is not None
    world.grant(patient, Action.SEARCH, effect=Effect.DENY)
    assert studies(await world.ask("/studies?limit=5&offset=30", token)) == whole[31:36]
    world.revoked = frozenset({(patient.key, next(iter(world.state.patients[patient.key].live_consents())).id)})
    assert studies(await world.ask("/studies?limit=5&offset=30", token)) == whole[31:36]


async def test_who_is_being_erased_is_found_by_nobody_from_that_moment_on(make_world: MakeWorld) -> None:
    origin = Vouching(many(20), listing=WHOLE_ONLY)
    world = await with_everyone(make_world, origin)
    token = await world.token()
    whole = studies(await world.ask("/studies", token))
    patient = world.patients.by_subject(next(one.subject for one in origin.stored if one.study == whole[2]))
    assert patient is not None
    theirs = {one.study for one in origin.stored if one.subject == patient.subject}
    world.patients.shut_out(patient.key)
    assert studies(await world.ask("/studies", token)) == [study for study in whole if study not in theirs]


async def test_a_trail_is_one_callers_one_search(make_world: MakeWorld) -> None:
    origin = Vouching(many(40), listing=WHOLE_ONLY)
    world = await with_everyone(make_world, origin)
    token = await world.token()
    await world.ask("/studies", token)
    narrow = studies(await world.ask("/studies?StudyDate=20260105-20260110", token))
    assert studies(await world.ask("/studies?StudyDate=20260105-20260110&limit=3&offset=12", token)) == narrow[12:15]
    assert narrow[12:15]


async def test_a_listing_that_begins_anew_leaves_out_nothing_that_came_meanwhile(make_world: MakeWorld) -> None:
    """Studies that come in at the front, or in the middle, between one way through the pages and the next."""
    origin = Vouching(many(60), listing=WHOLE_ONLY)
    world = await with_everyone(make_world, origin)
    token = await world.token()

    async def through() -> list[str]:
        paged: list[str] = []
        while page := studies(await world.ask(f"/studies?limit=7&offset={len(paged)}", token)):
            paged += page
        return paged

    assert await through() == studies(await world.ask("/studies", token))
    for number, day in ((700, "20270101"), (701, "20260110")):
        origin.stored = [*origin.stored, stored(Subject("P-000", ""), f"1.2.{number}", date=day)]
        paged = await through()
        assert len(paged) == len(origin.stored)
        assert f"1.2.{number}" in paged
        assert paged == studies(await world.ask("/studies", token))


async def test_a_search_that_leads_too_far_says_so(make_world: MakeWorld) -> None:
    bounded = replace(WHOLE_ONLY, rows=30)
    origin = Vouching(many(60), listing=bounded)
    world = await with_everyone(make_world, origin)
    token = await world.token()
    assert len(studies(await world.ask("/studies?limit=5&offset=10", token))) == 5
    reply = await world.ask("/studies?limit=5&offset=50", token)
    assert (reply.status, reply.problem) == (413, "search-too-broad")
    # It went on from where the page before began; the next one does from where this gave up.
    assert len(studies(await world.ask("/studies?limit=5&offset=50", token))) == 5


async def test_below_studies_a_remote_archive_is_not_gone_through(make_world: MakeWorld) -> None:
    world = await with_everyone(make_world, MemoryOrigin(many(5), listing=WHOLE_ONLY))
    reply = await world.ask("/series", await world.token())
    assert (reply.status, reply.problem) == (413, "search-too-broad")


async def test_who_sees_little_is_asked_for_by_patient_after_all(make_world: MakeWorld) -> None:
    """However much is hidden: going through it is given up, and the answer is the same."""
    listing = replace(REMOTE_LISTING, rows_at_once=5)
    origin = MemoryOrigin(many(60), listing=listing, pace=Pace(2, 4), knows_dates=True)
    world = await make_world(origin, UNCOUNTED)
    for number in (1, 58):
        world.grant(await world.enrol(Subject(f"P-{number:03}", "")))
    token = await world.token()
    assert studies(await world.ask("/studies", token)) == ["1.2.59", "1.2.2"]
    origin.calls.clear()
    assert studies(await world.ask("/studies", token)) == ["1.2.59", "1.2.2"]
    assert len(origin.calls) <= 4, "what the caller could see so far was not taken into account"


async def test_proofs_are_bounded_too(make_world: MakeWorld) -> None:
    origin = MemoryOrigin(many(60), listing=replace(WHOLE_ONLY, rows=100))
    world = await make_world(origin, UNCOUNTED)
    world.grant(await world.enrol(Subject("P-001", "")))
    assert (await world.ask("/studies?limit=5", await world.token())).status == 200
    origin.stored += many(300)[60:]
    reply = await world.ask("/studies?limit=5", await world.token())
    assert (reply.status, reply.problem) == (413, "search-too-broad")


@pytest.mark.parametrize("counted_patients", [0, 200])
async def test_p13_forbidden_and_absent_are_the_same_questions_and_answers(
    make_world: MakeWorld, counted_patients: int
) -> None:
    """Of a study or patient that is there and hidden, and of one that is not: the archive is asked as often and as
    much, and the answers are alike to the byte.
    """
    limits = GatewayLimits(denial_step_s=0, counted_patients=counted_patients)
    hidden, absent = archive(), archive()
    absent.stored = [one for one in absent.stored if one.subject not in (BERT, CARL)]
    pairs = []
    for origin in (hidden, absent):
        world = await make_world(origin, limits)
        world.grant(await world.enrol(ANNA))
        await world.enrol(BERT)
        token = await world.token()
        seen = []
        for target in (
            *(f"/studies?StudyInstanceUID={uid}" for uid in (B1, f"{B1},{A1}", MISSING)),
            *(f"/studies?PatientID={subject.patient_id}" for subject in (BERT, CARL)),
            "/studies?PatientID=BERT*",
            "/studies?PatientName=*bert*",
            f"/series?StudyInstanceUID={B1}",
            f"/instances?StudyInstanceUID={B1}&SOPInstanceUID={B1}.1.1",
            *(f"/studies/{uid}/{below}" for uid in (B1, MISSING) for below in ("series", f"series/{uid}.1/instances")),
        ):
            origin.calls.clear()
            reply = await world.ask(target, token)
            headers = sorted((name, len(value)) for name, value in reply.headers)
            seen.append((target, tuple(origin.calls), reply.status, headers, reply.body))
        pairs.append(seen)
    assert pairs[0] == pairs[1]
    by_target: dict[str, list[Any]] = {target: rest for target, *rest in pairs[0]}
    if counted_patients:  # whose consents are few is not asked about anybody else at all
        assert by_target[f"/studies?PatientID={BERT.patient_id}"][0] == ()
    forbidden, missing = (by_target[f"/studies/{uid}/series"] for uid in (B1, MISSING))
    assert [call.replace(B1, "U") for call in forbidden[0]] == [call.replace(MISSING, "U") for call in missing[0]]
    assert forbidden[1:] == missing[1:]


async def test_a_study_named_twice_is_one_row(make_world: MakeWorld) -> None:
    world = await make_world(archive())
    world.grant(await world.enrol(ANNA))
    assert studies(await world.ask(f"/studies?StudyInstanceUID={A1},{A1}", await world.token())) == [StudyUid(A1)]


async def test_rows_passed_by_name_are_those_that_would_be_read(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A jump ahead, where some consents are plain, some name studies, some are missing and some deny."""
    monkeypatch.setattr("app.gateway.listing._AT_A_TIME", 20)
    pages = []
    for kind in (Vouching, Naming):
        origin = kind(many(150), listing=replace(WHOLE_ONLY, rows=5_000))
        world = await make_world(origin, UNCOUNTED)
        for number, one in enumerate(origin.stored):
            patient = await world.enrol(one.subject)
            if number % 5 == 1:
                world.grant(patient, Action.SEARCH, StudyUid(MISSING) if number % 2 else one.study)
            elif number % 5 != 2:
                world.grant(patient)
            if number % 5 == 3:
                world.grant(patient, Action.SEARCH, effect=Effect.DENY)
        token = await world.token()
        offsets = (40, 0, 74, 76)
        pages.append([studies(await world.ask(f"/studies?limit=3&offset={at}", token)) for at in offsets])
        asked = sum(call.startswith("names") for call in origin.calls)
        assert asked == 0 if kind is Vouching else asked > 2
    assert pages[0] == pages[1]
    assert [len(page) for page in pages[0]] == [3, 3, 1, 0]
