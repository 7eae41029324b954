"""P3 under break-glass: an emergency may land after what it permitted, stale snapshots are told and bounded, and the
records of erased patients verify without anything that opens them.
"""

import random
from dataclasses import replace
from typing import Any

import pytest

from app.chain.quantities import MalformedAnswerError
from app.core.consent.basis import role_id
from app.core.consent.events import EmergencyOpened, EmergencyReviewed, PatientErased, RoleSet, RoleWithdrawn
from app.core.consent.terms import Action, Finding, Purpose, Role, Window
from app.core.identifiers import Address, BasisId, EmergencyId, PatientKey, UnixTime
from app.verify import Flaw, Report, verify
from app.verify.glass import UnderGlass
from app.verify.replay import CLOCK_SKEW_S, LARGEST_SNAPSHOT_AGE_S
from tests.core_consent.test_events import DEPLOYMENT
from tests.verify.ledger import ALWAYS, Hospital, Kept, hospital

ER, AUDITOR = Address(b"\xe0" * 20), Address(b"\xad" * 20)
EMERGENCY = EmergencyId(b"\x0e" * 32)
ROLE = role_id(Role.EMERGENCY)


@pytest.fixture
def place(rng: random.Random) -> Hospital:
    made = hospital(rng)
    made.ledger.mine([RoleSet(ROLE, ER, ALWAYS)])
    return made


def opened(place: Hospital, **change: Any) -> EmergencyOpened:
    """From now, for an hour."""
    now = place.ledger.headers[-1][1]
    window = Window(now, UnixTime(now + 3600))
    return replace(EmergencyOpened(place.patient, EMERGENCY, ER, bytes(32), window, bytes(32)), **change)


def looked(place: Hospital, **change: Any) -> Kept:
    """Whoever opened it looks, before anything is on the chain."""
    said = {"basis": BasisId(EMERGENCY), "actor": ER, "purpose": Purpose.ETREAT, "action": Action.VIEW}
    return place.keep(**{**said, **change})


async def report_of(place: Hospital, *, exported: bool, **bounds: Any) -> Report:
    return await verify(place.ledger, DEPLOYMENT, place.lines if exported else None, **bounds)


async def flaws(place: Hospital, *, exported: bool, **bounds: Any) -> list[tuple[Flaw, int | None]]:
    report = await report_of(place, exported=exported, **bounds)
    return [(finding.flaw, finding.seq) for finding in report.findings]


@pytest.mark.parametrize("record_first", [True, False])
@pytest.mark.parametrize("exported", [True, False])
async def test_p03_an_emergency_may_land_after_what_it_permitted(
    place: Hospital, *, record_first: bool, exported: bool
) -> None:
    glass, kept = opened(place), [looked(place), looked(place)]
    if record_first:
        place.ledger.record([one.logged for one in kept])
        place.ledger.mine([glass])
    else:
        place.ledger.mine([glass])
        place.ledger.record([one.logged for one in kept])
    report = await report_of(place, exported=exported)
    assert report.good, report.lines()
    assert report.glass == UnderGlass(2, 0, 2, 0)
    assert await report_of(place, exported=exported, states_kept=1) == report
    stale = ", 0 on a stale snapshot" if exported else ""
    assert f"2 under break-glass{stale}, 2 of them not reviewed" in report.lines()
    # Whoever reviews it afterwards takes nothing back; but an auditor reads what was found.
    for finding, expected in ((Finding.JUSTIFIED, UnderGlass(2)), (Finding.NOT_JUSTIFIED, UnderGlass(2, 0, 0, 2))):
        place.ledger.mine([EmergencyReviewed(place.patient, EMERGENCY, AUDITOR, finding, bytes(32))])
        report = await report_of(place, exported=exported)
        assert report.good
        assert report.glass == expected
        del place.ledger.logs[-1], place.ledger.events[-1]
    assert "2 found not justified" in report.lines()[-2]


WRONG: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"actor": AUDITOR}, {}),
    ({"patient": PatientKey(b"\x01" * 32)}, {}),
    ({"basis": BasisId(b"\x0f" * 32)}, {}),
    ({}, {"actor": AUDITOR}),
    ({}, {"window": Window(UnixTime(0), UnixTime(10))}),
    ({}, {"window": Window(UnixTime(1 << 40), UnixTime(1 << 41))}),
]


@pytest.mark.parametrize(("access", "emergency"), WRONG)
async def test_p03_no_other_emergency_permits_it(
    place: Hospital, access: dict[str, Any], emergency: dict[str, Any]
) -> None:
    glass, kept = opened(place, **emergency), looked(place, **access)
    place.ledger.mine([glass])
    place.ledger.record([kept.logged])
    for exported in (True, False):
        assert await flaws(place, exported=exported) == [(Flaw.UNAUTHORISED, 0)]


@pytest.mark.parametrize("change", [{"purpose": Purpose.TREAT}, {"action": Action.SHARE}])
async def test_p03_the_record_tells_what_the_emergency_does_not_open(place: Hospital, change: dict[str, Any]) -> None:
    glass, kept = opened(place), looked(place, **change)
    place.ledger.mine([glass])
    place.ledger.record([kept.logged])
    assert await flaws(place, exported=False) == []
    assert await flaws(place, exported=True) == [(Flaw.UNAUTHORISED, 0)]


async def test_p03_what_ended_it_before_the_decision_block(place: Hospital) -> None:
    place.ledger.mine([opened(place)])
    before = looked(place)
    place.ledger.mine([EmergencyReviewed(place.patient, EMERGENCY, AUDITOR, Finding.NOT_JUSTIFIED, bytes(32))])
    unjustified = looked(place)
    again = EmergencyId(b"\x0f" * 32)
    place.ledger.mine([opened(place, emergency=again)])
    place.ledger.mine([RoleWithdrawn(ROLE, ER)])
    without_role = looked(place, basis=BasisId(again))
    place.ledger.mine([RoleSet(ROLE, ER, ALWAYS)])
    held = looked(place, basis=BasisId(again))
    place.ledger.mine([PatientErased(place.patient)])
    erased = looked(place, basis=BasisId(again))
    place.ledger.mine()
    place.ledger.record([one.logged for one in (before, unjustified, without_role, held, erased)])
    for exported in (True, False):
        assert await flaws(place, exported=exported) == [(Flaw.UNAUTHORISED, seq) for seq in (1, 2, 4)]


async def test_p03_a_stale_snapshot_is_for_emergencies_and_for_a_while(place: Hospital) -> None:
    """The decision block is the head that the gateway last saw; the chain went on without it."""
    glass = opened(place)
    at = UnixTime(place.ledger.headers[-1][1] + LARGEST_SNAPSHOT_AGE_S)
    fine = looked(place, at=at, snapshot_age_s=LARGEST_SNAPSHOT_AGE_S)
    too_old = looked(place, at=at, snapshot_age_s=LARGEST_SNAPSHOT_AGE_S + 1)
    by_consent = place.keep(
        basis=BasisId(place.everything), actor=place.doctors[0], purpose=Purpose.TREAT, action=Action.VIEW,
        at=at, snapshot_age_s=LARGEST_SNAPSHOT_AGE_S,
    )  # fmt: skip
    older_than_it_says = looked(place, at=UnixTime(at + CLOCK_SKEW_S), snapshot_age_s=600)
    place.ledger.mine([glass])
    ref, _ = place.ledger.headers[-1]
    place.ledger.headers[-1] = (ref, UnixTime(at + 100 - LARGEST_SNAPSHOT_AGE_S))
    place.ledger.mine()
    place.ledger.headers[-1] = (place.ledger.last, UnixTime(at + 60))
    place.ledger.record([one.logged for one in (fine, too_old, by_consent, older_than_it_says)])
    assert await flaws(place, exported=False) == []
    report = await report_of(place, exported=True)
    assert [(finding.flaw, finding.seq) for finding in report.findings] == [(Flaw.SNAPSHOT, seq) for seq in (1, 2, 3)]
    assert report.glass == UnderGlass(3, 4, 3, 0)
    assert "3 under break-glass, 4 on a stale snapshot, 3 of them not reviewed" in report.lines()


async def test_p03_p14_records_of_erased_patients_verify_with_nothing_that_opens_them(place: Hospital) -> None:
    place.work(5, 2)
    gone = place.keep(basis=BasisId(b"\x01" * 32))
    place.ledger.record([gone.logged])
    assert await flaws(place, exported=True) == [(Flaw.UNAUTHORISED, 5)]
    place.kept.clear()
    assert [flaw for flaw, _ in await flaws(place, exported=True)] == [Flaw.RECORD_MISSING] * 5 + [
        Flaw.RECORD_MISSING,
        Flaw.UNAUTHORISED,
    ]
    place.ledger.mine([PatientErased(place.patient)])
    report = await report_of(place, exported=True)
    assert [(finding.flaw, finding.seq) for finding in report.findings] == [(Flaw.UNAUTHORISED, 5)]
    assert report.erased == 6
    assert "6 records of erased patients, closed for good" in report.lines()


async def test_a_node_that_changes_its_story_is_not_believed(place: Hospital) -> None:
    """What it gave ahead must come again, and nothing else."""
    place.ledger.mine([opened(place), PatientErased(place.patient)])
    assert await flaws(place, exported=False) == []
    logs = place.ledger.logs
    glass, erased = logs[-2:]
    for ahead, later in (
        ([*logs[:-1]], logs),
        ([*logs[:-2], erased], logs),
        (logs, logs[:-1]),
        (logs, [*logs[:-2], erased]),
        ([*logs[:-2], {**glass, "data": glass["data"][:-1] + "1"}, erased], logs),
    ):
        place.ledger.logs, place.ledger.told_next = ahead, later
        with pytest.raises(MalformedAnswerError):
            await report_of(place, exported=False)
