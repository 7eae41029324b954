"""Who is told of what, as a table over the events of the chain."""

from dataclasses import replace

import pytest

from app.core.consent.basis import person, role_id
from app.core.consent.events import (
    ConsentGranted,
    ConsentRevoked,
    ControllerMoved,
    EmergencyOpened,
    EmergencyReviewed,
    Event,
    GuardianSet,
    MoveStarted,
    MoveVetoed,
    PatientClaimed,
    PatientEnrolled,
    RoleSet,
    TeamCreated,
    TeamPartSet,
)
from app.core.consent.fold import fold, fold_all
from app.core.consent.state import GENESIS, State
from app.core.consent.terms import Action, Capacity, Effect, Finding, Purpose, Role, TeamPart, Terms, Window
from app.core.identifiers import Address, ConsentId, EmergencyId, Grantee, PatientKey, Signer, UnixTime
from app.core.notices.from_chain import URGENT, acting_for, holders, new_controller, notices_of, settled_by
from app.core.notices.kinds import ALWAYS, OPTIONAL, Due, NoticeKind, Settled

NOW = UnixTime(1_000)
ANNE, SPOUSE, DESK, NIGHT_DESK, DOCTOR, NURSE, GONE, NEXT = (Address(bytes([n]) * 20) for n in range(1, 9))
NOBODY, NO_SIGNER = Address(bytes(20)), Signer(b"")
KEY = PatientKey(b"\x70" * 32)
TEAM = Grantee(b"\x71" * 32)
CONSENT, OTHER = ConsentId(b"\x72" * 32), ConsentId(b"\x73" * 32)
ALWAYS_OPEN, OVER = Window(UnixTime(0), UnixTime(9_999)), Window(UnixTime(0), NOW)
_TERMS = Terms(
    patient=KEY,
    grantee=person(DOCTOR),
    effect=Effect.PERMIT,
    actions=Action.VIEW,
    purposes=1 << Purpose.TREAT,
    window=ALWAYS_OPEN,
    studies=(),
    epoch=0,
    consent_nonce=bytes(32),
)
_SPOUSE_IS_GUARDIAN = GuardianSet(KEY, SPOUSE, Signer(SPOUSE), UnixTime(2_000))
_BEFORE: tuple[Event, ...] = (
    RoleSet(role_id(Role.REGISTRAR), DESK, ALWAYS_OPEN),
    RoleSet(role_id(Role.REGISTRAR), NIGHT_DESK, OVER),
    RoleSet(role_id(Role.PHYSICIAN), DOCTOR, ALWAYS_OPEN),
    TeamCreated(TEAM),
    TeamPartSet(TEAM, NURSE, TeamPart.MEMBER, ALWAYS_OPEN, 1),
    TeamPartSet(TEAM, GONE, TeamPart.MEMBER, OVER, 2),
    TeamPartSet(TEAM, DESK, TeamPart.LEAD, ALWAYS_OPEN, 3),
    PatientEnrolled(KEY, Address(b"\x09" * 20), UnixTime(9_999)),
    PatientClaimed(KEY, ANNE, Signer(ANNE)),
)
STATE = fold_all(GENESIS, _BEFORE)
GUARDED = fold(STATE, _SPOUSE_IS_GUARDIAN)


def told(state: State, event: Event, now: UnixTime = NOW) -> set[tuple[str, bytes]]:
    return {(due.kind.value, bytes(due.recipient)) for due in dues(state, event, now)}


def dues(state: State, event: Event, now: UnixTime = NOW) -> list[Due]:
    return notices_of(event, state, fold(state, event), now)


def granted(**changed: object) -> ConsentGranted:
    return ConsentGranted(CONSENT, replace(_TERMS, **changed), ANNE, Capacity.CONTROLLER)  # type: ignore[arg-type]


def after(state: State, *events: Event) -> State:
    return fold_all(state, events)


_REVOKED = ConsentRevoked(KEY, CONSENT, ANNE, Capacity.CONTROLLER, 1)
EMERGENCY = EmergencyId(b"\x74" * 32)
_OPENED = EmergencyOpened(KEY, EMERGENCY, DOCTOR, b"\x01" * 32, Window(UnixTime(900), UnixTime(1_900)), b"\x02" * 32)
_AUDITED = fold_all(
    STATE,
    [RoleSet(role_id(Role.AUDITOR), who, ALWAYS_OPEN) for who in (NEXT, DOCTOR)]
    + [RoleSet(role_id(Role.EMERGENCY), DOCTOR, ALWAYS_OPEN)],
)
_MOVE = MoveStarted(KEY, Signer(NEXT), UnixTime(3_000))


@pytest.mark.parametrize(
    ("state", "event", "expected"),
    [
        (STATE, granted(), {("consent-granted", KEY), ("consent-granted", DOCTOR)}),
        (STATE, granted(grantee=TEAM), {("consent-granted", KEY), ("consent-granted", NURSE)}),
        (STATE, granted(effect=Effect.DENY), {("consent-granted", KEY)}),
        (after(STATE, granted()), _REVOKED, {("consent-revoked", KEY), ("consent-revoked", DOCTOR)}),
        (after(STATE, granted(grantee=TEAM)), _REVOKED, {("consent-revoked", KEY), ("consent-revoked", NURSE)}),
        (after(STATE, granted(effect=Effect.DENY)), _REVOKED, {("consent-revoked", KEY)}),
        (STATE, _REVOKED, {("consent-revoked", KEY)}),  # of a consent that never came
        (STATE, _MOVE, {("recovery-started", ANNE), ("recovery-started", DESK)}),
        (GUARDED, _MOVE, {("recovery-started", who) for who in (ANNE, SPOUSE, DESK)}),
        (after(GUARDED, _MOVE), MoveVetoed(KEY), {("recovery-vetoed", who) for who in (ANNE, SPOUSE, DESK)}),
        (
            after(GUARDED, _MOVE),
            ControllerMoved(KEY, NEXT, Signer(NEXT)),
            {("recovery-finished", who) for who in (ANNE, NEXT, SPOUSE, DESK)},
        ),
        (STATE, _SPOUSE_IS_GUARDIAN, {("guardian-named", ANNE), ("guardian-named", SPOUSE)}),
        (
            GUARDED,
            GuardianSet(KEY, NURSE, Signer(NURSE), UnixTime(2_000)),
            {("guardian-named", who) for who in (ANNE, SPOUSE, NURSE)},
        ),
        (
            GUARDED,
            GuardianSet(KEY, NOBODY, NO_SIGNER, UnixTime(0)),
            {("guardian-named", ANNE), ("guardian-named", SPOUSE)},
        ),
        (
            _AUDITED,
            _OPENED,
            {("break-glass", KEY), ("break-glass", NEXT), ("break-glass", DOCTOR), ("review-due", NEXT)},
        ),
        (STATE, RoleSet(role_id(Role.AUDITOR), GONE, ALWAYS_OPEN), set()),
        (STATE, TeamPartSet(TEAM, GONE, TeamPart.MEMBER, None, 4), set()),
    ],
)
def test_who_is_told(state: State, event: Event, expected: set[tuple[str, bytes]]) -> None:
    assert told(state, event) == expected
    assert all(due.patient == KEY for due in dues(state, event))


def test_a_guardian_whose_time_is_over_is_not_told() -> None:
    assert ("recovery-started", bytes(SPOUSE)) not in told(GUARDED, _MOVE, UnixTime(2_000))


def test_what_may_have_to_be_stopped_is_urgent() -> None:
    assert isinstance(_MOVE, URGENT)
    assert isinstance(_OPENED, URGENT)
    assert not isinstance(granted(), URGENT)


def test_a_review_is_due_when_the_emergency_is_over_and_not_once_it_is_closed() -> None:
    found = {(due.kind, due.due_at) for due in dues(_AUDITED, _OPENED)}
    assert found == {(NoticeKind.BREAK_GLASS, 0), (NoticeKind.REVIEW_DUE, 1_900)}
    review = EmergencyReviewed(KEY, EMERGENCY, NEXT, Finding.JUSTIFIED, bytes(32))
    assert settled_by(review) == Settled(NoticeKind.REVIEW_DUE, KEY, EMERGENCY)
    assert all(due.about == EMERGENCY for due in dues(_AUDITED, _OPENED))
    assert settled_by(_OPENED) is None


def identities(state: State, event: Event) -> set[bytes]:
    return {due.identity for due in dues(state, event)}


@pytest.mark.parametrize(
    "event",
    [granted(), _MOVE, _SPOUSE_IS_GUARDIAN, ControllerMoved(KEY, NEXT, Signer(NEXT))],
)
def test_the_same_event_in_another_block_is_the_same_notice(event: Event) -> None:
    state = after(STATE, _MOVE) if isinstance(event, ControllerMoved) else STATE
    assert identities(state, event) == identities(state, event)
    assert len(identities(state, event)) == len(dues(state, event)), "each recipient has a notice of their own"


def test_another_move_and_another_controller_are_news() -> None:
    first = identities(STATE, _MOVE)
    second = identities(after(STATE, _MOVE), _MOVE)
    other = identities(STATE, replace(_MOVE, controller=Signer(NURSE)))
    later = identities(STATE, replace(_MOVE, ready_at=UnixTime(4_000)))
    assert not first & second
    assert not first & other
    assert first == later, "mined a block later is the same move"
    # A veto names no controller, but is of one move
    assert not identities(after(STATE, _MOVE), MoveVetoed(KEY)) & identities(
        after(STATE, _MOVE, MoveVetoed(KEY), _MOVE), MoveVetoed(KEY)
    )


def test_a_recipient_found_twice_is_told_once() -> None:
    state = after(STATE, RoleSet(role_id(Role.REGISTRAR), ANNE, ALWAYS_OPEN))
    assert [due.recipient for due in dues(state, _MOVE)].count(ANNE) == 1


def test_for_whom_somebody_comes_to_act() -> None:
    assert new_controller(PatientClaimed(KEY, ANNE, Signer(ANNE))) == (KEY, ANNE)
    assert new_controller(ControllerMoved(KEY, NEXT, Signer(NEXT))) == (KEY, NEXT)
    assert new_controller(_MOVE) is None


def test_a_wards_controller_acts_until_the_ward_is_of_age() -> None:
    ward = fold_all(
        GENESIS,
        [
            PatientEnrolled(KEY, Address(b"\x09" * 20), UnixTime(9_999), UnixTime(1_500)),
            PatientClaimed(KEY, ANNE, Signer(ANNE)),
        ],
    )
    assert acting_for(ward.patient(KEY), UnixTime(1_499)) == [ANNE]
    assert acting_for(ward.patient(KEY), UnixTime(1_500)) == []


@pytest.mark.parametrize(
    ("state", "expected"),
    [(GENESIS, []), (after(GENESIS, _BEFORE[-2]), []), (STATE, [ANNE]), (GUARDED, [ANNE, SPOUSE])],
)
def test_who_acts_for_a_patient(state: State, expected: list[Address]) -> None:
    assert acting_for(state.patient(KEY), NOW) == expected


def test_who_holds_a_role() -> None:
    assert holders(STATE, Role.REGISTRAR, NOW) == [DESK]
    assert holders(STATE, Role.AUDITOR, NOW) == []


def test_an_identity_depends_on_kind_recipient_and_cause_and_on_where_one_ends() -> None:
    one = Due(NoticeKind.CONSENT_GRANTED, ANNE, KEY, b"ab")
    others = [
        replace(one, kind=NoticeKind.CONSENT_REVOKED),
        replace(one, recipient=SPOUSE),
        replace(one, about=b"a"),
        replace(one, recipient=Address(ANNE + b"a"), about=b"b"),
    ]
    assert len({due.identity for due in (one, *others)}) == 5
    assert replace(one, patient=PatientKey(bytes(32))).identity == one.identity


def test_every_kind_is_told_always_or_by_choice() -> None:
    assert {*ALWAYS, *OPTIONAL} == set(NoticeKind)
    security = ("recovery", "guardian", "break", "review")
    assert all(kind in ALWAYS for kind in NoticeKind if kind.value.startswith(security))
