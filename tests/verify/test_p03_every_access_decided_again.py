"""P3: no event lacks authority at the block it names; the replay decides each again and names the one that does."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.chain.quantities import MalformedAnswerError
from app.chain.rpc import NodeRefusedError
from app.core.consent.basis import SELF, UPLOADER, role_id
from app.core.consent.events import ConsentRevoked, RoleSet, RoleWithdrawn
from app.core.consent.terms import Action, Capacity, Modification, Purpose, Role, Window
from app.core.identifiers import Address, BasisId, BlockHash, BlockRef, ConsentId, PatientKey, UnixTime
from app.core.record import canonical
from app.verify import ChainMovedError, Flaw, verify
from app.verify.replay import CLOCK_SKEW_S
from app.verify.report import MAX_NAMED
from tests.core_consent.test_events import DEPLOYMENT
from tests.verify.ledger import ALWAYS, Hospital, Kept, hospital


@pytest.fixture
def place(rng: random.Random) -> Hospital:
    return hospital(rng)


async def flaws(place: Hospital, *, exported: bool, **bounds: Any) -> list[tuple[Flaw, int | None]]:
    lines = place.lines if exported else None
    report = await verify(place.ledger, DEPLOYMENT, lines, **bounds)
    assert report.flaws == len(report.findings)
    return [(finding.flaw, finding.seq) for finding in report.findings]


WITHOUT_AUTHORITY: list[dict[str, Any]] = [
    {"basis": BasisId(b"\x01" * 32)},
    {"basis": SELF},
    {"patient": PatientKey(b"\x01" * 32)},
    {"actor": Address(b"\x01" * 20)},
]
WITH_THE_RECORD_ONLY: list[dict[str, Any]] = [
    {"purpose": Purpose.HRESCH},
    {"action": Action.RETRIEVE},
    {"study_key": b"\x01" * 32},
]


@pytest.mark.parametrize("change", WITHOUT_AUTHORITY, ids=lambda change: next(iter(change)))
async def test_p03_an_access_without_authority_is_named(place: Hospital, change: dict[str, Any]) -> None:
    place.work(4, 1)
    own: dict[str, Any] = {"basis": place.one_study, "actor": place.doctors[1], "purpose": Purpose.TREAT}
    bad = place.keep(**{**own, "action": Action.VIEW, **change})
    good = place.keep()
    place.ledger.record([bad.logged, good.logged])
    assert await flaws(place, exported=False) == [(Flaw.UNAUTHORISED, 4)]
    assert await flaws(place, exported=True) == [(Flaw.UNAUTHORISED, 4)]


@pytest.mark.parametrize("change", WITH_THE_RECORD_ONLY, ids=lambda change: next(iter(change)))
async def test_p03_the_record_tells_what_the_chain_cannot(place: Hospital, change: dict[str, Any]) -> None:
    own: dict[str, Any] = {"basis": place.one_study, "actor": place.doctors[1], "purpose": Purpose.TREAT}
    bad = place.keep(**{**own, "action": Action.VIEW, "study_key": place.study, **change})
    place.ledger.record([bad.logged])
    assert await flaws(place, exported=False) == []
    assert await flaws(place, exported=True) == [(Flaw.UNAUTHORISED, 0)]


async def test_p03_after_a_revocation_nothing_is_authorised_but_what_came_before(place: Hospital) -> None:
    own: dict[str, Any] = {"basis": BasisId(place.everything), "actor": place.doctors[0], "purpose": Purpose.TREAT}
    before = place.keep(**own)
    revoked = ConsentRevoked(place.patient, place.everything, Address(place.anna), Capacity.CONTROLLER, 1)
    place.ledger.mine([revoked])
    after = place.keep(**own)
    place.ledger.mine()
    place.ledger.record([before.logged, after.logged])
    assert await flaws(place, exported=False) == [(Flaw.UNAUTHORISED, 1)]
    assert await flaws(place, exported=True) == [(Flaw.UNAUTHORISED, 1)]


async def test_p03_states_that_were_let_go_are_made_again(
    place: Hospital, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    """Records that come to the chain long after they were decided, in another order, and a replay that keeps little."""
    waiting: list[Kept] = []
    for epoch in range(1, run_size(30, 300)):
        waiting.append(place.keep())
        tombstone = BasisId(rng.randbytes(32))
        place.ledger.mine(
            [ConsentRevoked(place.patient, tombstone, Address(place.anna), Capacity.CONTROLLER, epoch)]  # type: ignore[arg-type]
        )
    bad = place.keep(basis=place.one_study, actor=place.doctors[0])
    rng.shuffle(waiting)
    waiting.insert(7, bad)
    for one in waiting:
        place.ledger.record([one.logged])
    for bounds in ({}, {"states_kept": 3}, {"states_kept": 2, "late_kept": 5}):
        assert await flaws(place, exported=True, **bounds) == [(Flaw.UNAUTHORISED, 7)]


async def test_p03_a_decision_block_that_was_reorganised_away_is_judged_below(place: Hospital) -> None:
    own: dict[str, Any] = {"basis": BasisId(place.everything), "actor": place.doctors[0], "purpose": Purpose.TREAT}
    orphan = BlockRef(place.ledger.last.number, BlockHash(b"\x0a" * 32))
    early = BlockRef(3, BlockHash(b"\x0a" * 32))  # before the consent was granted
    place.ledger.record([place.keep(**own, block=orphan).logged])
    report = await verify(place.ledger, DEPLOYMENT, place.lines)
    assert (report.good, report.orphaned) == (True, 1)
    assert any("reorganisation took away" in line for line in report.lines())
    place.ledger.record([place.keep(**own, block=early, at=place.ledger.headers[3][1]).logged])
    assert await flaws(place, exported=True) == [(Flaw.UNAUTHORISED, 1)]


async def test_p03_blocks_that_cannot_have_been_decided_at(place: Hospital) -> None:
    ahead = BlockRef(place.ledger.last.number + 1, BlockHash(b"\x0a" * 32))
    place.ledger.record([place.keep(block=ahead).logged])
    place.ledger.record([place.keep(block=DEPLOYMENT.block).logged])
    found = [(Flaw.FUTURE, 0), (Flaw.BEFORE_DEPLOYMENT, 1)]
    assert await flaws(place, exported=False) == found
    assert await flaws(place, exported=True) == found


async def test_p03_a_record_that_says_something_else_than_the_chain(place: Hospital) -> None:
    kept = place.keep()
    for change in ("basis", "actor", "patient", "block"):
        other: dict[str, Any] = {
            "basis": BasisId(b"\x01" * 32),
            "actor": Address(b"\x01" * 20),
            "patient": PatientKey(b"\x01" * 32),
            "block": BlockRef(3, place.ledger.headers[3][0].hash),
        }
        lie = canonical(replace(kept.record, **{change: other[change]}))
        place.kept.append(replace(kept, body=lie))
        place.ledger.record([replace(kept.logged, commitment=place.kept[-1].logged.commitment)])
    del place.kept[0]
    assert await flaws(place, exported=False) == []
    assert await flaws(place, exported=True) == [(Flaw.RECORD_DIFFERS, seq) for seq in range(4)]


async def test_p03_a_record_of_another_time(place: Hospital) -> None:
    decided = place.ledger.headers[-1][1]
    early = place.keep(at=UnixTime(decided - CLOCK_SKEW_S - 1))
    within = place.keep(at=UnixTime(decided - CLOCK_SKEW_S))
    logged = place.ledger.record([early.logged, within.logged])
    entered = place.ledger.headers[logged.number][1]
    place.ledger.mine()
    late = place.keep(at=UnixTime(entered + 200), block=place.ledger.headers[-2][0])
    place.ledger.record([late.logged])
    assert await flaws(place, exported=True) == [(Flaw.RECORD_TIME, 0), (Flaw.RECORD_TIME, 2)]


async def test_a_batch_sent_through_another_contract_is_followed_by_its_events(place: Hospital) -> None:
    place.ledger.record([place.keep().logged], to=Address(b"\x0c" * 20))
    place.ledger.record([place.keep().logged])
    assert await flaws(place, exported=True) == []


async def test_findings_are_bounded_and_counted(place: Hospital) -> None:
    bad = place.keep(basis=BasisId(b"\x01" * 32)).logged
    place.ledger.record([bad] * (MAX_NAMED + 20))
    report = await verify(place.ledger, DEPLOYMENT)
    assert (report.flaws, len(report.findings)) == (MAX_NAMED + 20, MAX_NAMED)
    assert "and 20 more" in report.lines()
    named = [line for line in report.lines() if line.startswith("record ")]
    assert len(named) == MAX_NAMED
    assert "transaction 0x" in named[0]


async def test_history_that_contradicts_itself_ends_the_replay(place: Hospital) -> None:
    place.work(3, 1)
    del place.ledger.logs[2]  # the enrolment
    report = await verify(place.ledger, DEPLOYMENT)
    assert [finding.flaw for finding in report.findings] == [Flaw.CONTRADICTION]
    assert "PatientClaimed" in report.findings[0].detail


async def test_contradictions_in_the_last_block_are_found_too(place: Hospital) -> None:
    place.work(3, 1)
    place.ledger.mine([ConsentRevoked(place.patient, place.everything, place.doctors[0], Capacity.CONTROLLER, 1)])
    assert await flaws(place, exported=False) == [(Flaw.CONTRADICTION, None)]


async def test_answers_too_large_are_asked_for_in_parts(place: Hospital) -> None:
    place.work(20, 10)
    in_one_block = Counter(log["blockNumber"] for log in place.ledger.logs)
    place.ledger.largest_answer = max(in_one_block.values())
    told: list[tuple[int, int, int]] = []
    report = await verify(place.ledger, DEPLOYMENT, progress=lambda *now: told.append(now))
    assert report.good
    assert report.records == 20
    assert place.ledger.asked.count("eth_getLogs") > 5
    assert told == sorted(told)
    assert told[-1][1] == place.ledger.last.number
    place.ledger.largest_answer = 0
    with pytest.raises(NodeRefusedError):
        await verify(place.ledger, DEPLOYMENT)


async def test_verifying_up_to_an_earlier_block_ends_there(place: Hospital) -> None:
    place.work(6, 3)
    whole = await verify(place.ledger, DEPLOYMENT)
    up_to = await verify(place.ledger, DEPLOYMENT, end=place.ledger.last.number)
    assert up_to == whole


async def test_a_chain_that_moves_meanwhile_is_not_judged(place: Hospital, rng: random.Random) -> None:
    place.work(6, 3)
    number = place.ledger.last.number
    ref, timestamp = place.ledger.headers[number]
    place.ledger.headers[number] = (BlockRef(number, BlockHash(rng.randbytes(32))), timestamp)
    with pytest.raises(ChainMovedError):
        await verify(place.ledger, DEPLOYMENT)
    place.ledger.headers[number] = (ref, timestamp)

    def replace_end(*_now: int) -> None:
        place.ledger.headers[number] = (BlockRef(number, BlockHash(rng.randbytes(32))), timestamp)

    place.ledger.mine()
    number += 1
    timestamp = place.ledger.headers[number][1]
    with pytest.raises(ChainMovedError):
        await verify(place.ledger, DEPLOYMENT, progress=replace_end)


async def test_a_node_that_answers_otherwise_is_not_believed(place: Hospital) -> None:
    place.work(6, 3)
    logs = place.ledger.logs
    for changed in ([*logs[:3], logs[4], logs[3], *logs[5:]], [*logs, logs[-1]], [*logs[:-1], {}]):
        place.ledger.logs = changed
        with pytest.raises((MalformedAnswerError, KeyError)):
            await verify(place.ledger, DEPLOYMENT)
    place.ledger.logs = logs
    place.ledger.headers[2] = place.ledger.headers[1]
    with pytest.raises(MalformedAnswerError):
        await verify(place.ledger, DEPLOYMENT, end=2)


@pytest.mark.parametrize(("ahead_s", "found"), [(0, []), (CLOCK_SKEW_S, []), (CLOCK_SKEW_S + 1, [Flaw.UNAUTHORISED])])
async def test_p03_the_gateways_clock_may_lead_the_chains_but_not_by_much(
    place: Hospital, ahead_s: int, found: list[Flaw]
) -> None:
    consent = ConsentId(b"\x05" * 32)
    # The access is logged in the block after the grant's, whose time the ledger draws: the window begins after that.
    grant = place.grant_of(consent, place.doctors[0], Window(UnixTime(0), UnixTime(1)))
    place.ledger.mine([grant])
    bad = place.keep(basis=BasisId(consent), actor=place.doctors[0], purpose=Purpose.TREAT, action=Action.VIEW)
    place.ledger.record([bad.logged])
    logged_at = place.ledger.headers[-1][1]
    window = Window(UnixTime(logged_at + ahead_s), UnixTime(logged_at + 10_000))
    place.ledger.replace(grant, place.grant_of(consent, place.doctors[0], window))
    assert [flaw for flaw, _ in await flaws(place, exported=False)] == found


async def test_p03_what_was_stored_is_decided_again_by_the_role(place: Hospital) -> None:
    """A device that held it, one that did not, the same after its withdrawal, and records that say something else."""
    device, other = Address(b"\xde" * 20), Address(b"\xdf" * 20)
    role = role_id(Role.UPLOADER)
    place.ledger.mine([RoleSet(role, device, ALWAYS)])
    own: dict[str, Any] = {
        "basis": UPLOADER, "actor": device, "purpose": Purpose.TREAT, "action": Modification.STORE,
        "study_key": place.study,
    }  # fmt: skip
    good = place.keep(**own)
    forged = place.keep(**{**own, "actor": other})
    nobody = place.keep(**{**own, "patient": PatientKey(b"\x01" * 32)})
    by_consent = place.keep(**{**own, "basis": place.one_study, "actor": place.doctors[1]})
    looked = place.keep(**{**own, "action": Action.VIEW})
    place.ledger.mine([RoleWithdrawn(role, device)])
    late = place.keep(**own)
    place.ledger.mine()
    place.ledger.record([one.logged for one in (good, forged, nobody, by_consent, looked, late)])
    bad = [(Flaw.UNAUTHORISED, seq) for seq in (1, 2, 5)]
    assert sorted(await flaws(place, exported=False), key=str) == sorted(bad, key=str)
    told = [*bad, (Flaw.UNAUTHORISED, 3), (Flaw.UNAUTHORISED, 4)]
    assert sorted(await flaws(place, exported=True), key=str) == sorted(told, key=str)


async def test_p03_p14_a_stored_record_that_was_tampered_with_opens_no_commitment(
    place: Hospital, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    device = Address(b"\xde" * 20)
    place.ledger.mine([RoleSet(role_id(Role.UPLOADER), device, ALWAYS)])
    kept = place.keep(basis=UPLOADER, actor=device, purpose=Purpose.TREAT, action=Modification.STORE)
    place.ledger.mine()
    place.ledger.record([kept.logged])
    assert await flaws(place, exported=True) == []
    for bit in rng.sample(range(8 * len(kept.body)), run_size(40, 400)):
        body = bytearray(kept.body)
        body[bit // 8] ^= 1 << bit % 8
        place.kept[0] = replace(kept, body=bytes(body))
        lines = [json.dumps({**json.loads(kept.line), "record": bytes(body).hex()})]
        report = await verify(place.ledger, DEPLOYMENT, lines)
        assert Flaw.RECORD_MISSING in {finding.flaw for finding in report.findings}
