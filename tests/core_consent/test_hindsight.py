"""What an auditor asks afterwards: could this access have been permitted, and was this record's own question."""

import random
from dataclasses import replace

import pytest

from app.core.consent.basis import GUARDIAN, NO_STUDY, SELF, UPLOADER, person, role_id
from app.core.consent.events import (
    AccessLogged,
    ConsentGranted,
    EmergencyOpened,
    EmergencyReviewed,
    Event,
    GuardianSet,
    PatientClaimed,
    PatientEnrolled,
    PatientErased,
    RoleSet,
)
from app.core.consent.fold import fold, fold_all
from app.core.consent.hindsight import Span, could_break_glass, could_permit, does_break_glass, does_permit
from app.core.consent.policy import AccessRequest, Deny, permitting
from app.core.consent.state import GENESIS, State
from app.core.consent.terms import Action, Capacity, Effect, Finding, Modification, Purpose, Role, Terms, Window
from app.core.identifiers import (
    Address,
    BasisId,
    BlockHash,
    BlockRef,
    Commitment,
    ConsentId,
    EmergencyId,
    PatientKey,
    Signer,
    StudyDate,
    StudyKey,
    UnixTime,
)
from tests.core_consent.model import T0, Maker
from tests.core_consent.test_record import RECORD

PATIENT = PatientKey(b"\x01" * 32)
ANNA, BEN, DOCTOR = (Signer(bytes([mark]) * 20) for mark in (0xA1, 0xB2, 0xD0))
STUDY, OTHER_STUDY = StudyKey(b"\x05" * 32), StudyKey(b"\x06" * 32)
PERMIT, DENY = ConsentId(b"\x07" * 32), ConsentId(b"\x08" * 32)
TERMS = Terms(
    patient=PATIENT,
    grantee=person(Address(DOCTOR)),
    effect=Effect.PERMIT,
    actions=Action.VIEW,
    purposes=1 << Purpose.TREAT,
    window=Window(UnixTime(100), UnixTime(200)),
    studies=(),
    epoch=0,
    consent_nonce=bytes(32),
)
PLAYERS: list[Event] = [
    PatientEnrolled(PATIENT, Address(BEN), UnixTime(0)),
    PatientClaimed(PATIENT, Address(ANNA), ANNA),
    GuardianSet(PATIENT, Address(BEN), BEN, UnixTime(150)),
    RoleSet(role_id(Role.PHYSICIAN), Address(DOCTOR), Window(UnixTime(50), UnixTime(300))),
]


def state_with(*consents: tuple[ConsentId, Terms]) -> State:
    grants = [ConsentGranted(name, terms, Address(ANNA), Capacity.CONTROLLER) for name, terms in consents]
    return fold_all(GENESIS, [*PLAYERS, *grants])


def access(by: Signer = DOCTOR, basis: bytes = PERMIT, patient: PatientKey = PATIENT) -> AccessLogged:
    block = BlockRef(9, BlockHash(bytes(32)))
    return AccessLogged(BasisId(basis), Address(by), patient, 0, block, Commitment(bytes(32)))


def span(first: int, last: int) -> Span:
    return Span(UnixTime(first), UnixTime(last))


@pytest.mark.parametrize(
    ("decided", "expected"),
    [((90, 99), False), ((90, 100), True), ((150, 150), True), ((199, 250), True), ((200, 300), False)],
)
def test_some_time_in_the_span_must_lie_in_the_window(decided: tuple[int, int], *, expected: bool) -> None:
    assert could_permit(state_with((PERMIT, TERMS)), access(), span(*decided)) is expected


def test_a_role_that_begins_or_ends_in_the_span_is_enough() -> None:
    terms = replace(TERMS, window=Window(UnixTime(0), UnixTime(400)))
    state = state_with((PERMIT, terms))
    assert could_permit(state, access(), span(40, 60))
    assert could_permit(state, access(), span(299, 400))
    assert not could_permit(state, access(), span(300, 400))


def test_a_deny_leaves_the_rest() -> None:
    def deny(**change: object) -> State:
        terms = replace(TERMS, effect=Effect.DENY, actions=Action(15), **change)  # type: ignore[arg-type]
        return state_with((PERMIT, TERMS), (DENY, terms))

    whole = span(100, 199)
    assert not could_permit(deny(), access(), whole)
    assert could_permit(deny(window=Window(UnixTime(100), UnixTime(150))), access(), whole)
    assert not could_permit(deny(window=Window(UnixTime(100), UnixTime(150))), access(), span(100, 149))
    assert could_permit(deny(window=Window(UnixTime(150), UnixTime(200))), access(), whole)
    assert could_permit(deny(studies=(STUDY,)), access(), whole)
    assert not could_permit(deny(), access(basis=DENY), whole)


def test_patients_and_guardians() -> None:
    state = state_with()
    assert could_permit(state, access(ANNA, SELF), span(0, 0))
    assert not could_permit(state, access(BEN, SELF), span(0, 0))
    assert could_permit(state, access(BEN, GUARDIAN), span(149, 400))
    assert not could_permit(state, access(BEN, GUARDIAN), span(150, 400))
    assert not could_permit(state, access(ANNA, SELF, PatientKey(b"\x09" * 32)), span(0, 0))


def test_a_basis_that_never_was() -> None:
    assert not could_permit(state_with((PERMIT, TERMS)), access(basis=DENY), span(0, 400))
    assert not could_permit(state_with((PERMIT, TERMS)), access(by=ANNA), span(0, 400))


def test_a_record_is_judged_by_its_own_question() -> None:
    state = state_with((PERMIT, replace(TERMS, studies=(STUDY,))))
    record = replace(RECORD, action=Action.VIEW, purpose=Purpose.TREAT, study_key=STUDY)
    at = UnixTime(150)
    assert does_permit(state, access(), record, at)
    assert does_permit(state, access(), replace(record, study_key=None), at)
    assert not does_permit(state, access(), record, UnixTime(200))
    assert not does_permit(state, access(), replace(record, action=Action.RETRIEVE), at)
    assert not does_permit(state, access(), replace(record, purpose=Purpose.HRESCH), at)
    assert not does_permit(state, access(), replace(record, study_key=OTHER_STUDY), at)
    everything = state_with((PERMIT, TERMS))
    assert does_permit(everything, access(), replace(record, study_key=None), at)
    assert does_permit(everything, access(), record, at)


EMERGENCY = EmergencyId(b"\x0e" * 32)
GLASS = EmergencyOpened(PATIENT, EMERGENCY, Address(BEN), bytes(32), Window(UnixTime(100), UnixTime(200)), bytes(32))
ON_CALL = RoleSet(role_id(Role.EMERGENCY), Address(BEN), Window(UnixTime(50), UnixTime(150)))


def test_an_emergency_need_not_be_in_the_state_that_decided() -> None:
    """But the role must be held there, the accessor and patient be its own, and some time lie in both windows."""
    landed = fold_all(GENESIS, [*PLAYERS, ON_CALL, GLASS])
    for state in (fold_all(GENESIS, [*PLAYERS, ON_CALL]), fold_all(GENESIS, [ON_CALL]), landed):
        asked = access(BEN, EMERGENCY)
        for decided, expected in (((0, 99), False), ((0, 100), True), ((149, 400), True), ((150, 400), False)):
            assert could_break_glass(state, asked, GLASS, span(*decided)) is expected
        late = replace(ON_CALL.window, start=UnixTime(200), end=UnixTime(300))
        assert not could_break_glass(fold_all(state, [replace(ON_CALL, window=late)]), asked, GLASS, span(0, 400))
        for other in (
            replace(asked, accessor=Address(DOCTOR)),
            replace(asked, patient=PatientKey(b"\x09" * 32)),
            replace(asked, basis=BasisId(PERMIT)),
        ):
            assert not could_break_glass(state, other, GLASS, span(0, 400))
    assert not could_break_glass(fold_all(GENESIS, PLAYERS), access(BEN, EMERGENCY), GLASS, span(0, 400))


def test_an_emergency_ends_with_the_finding_and_the_patient() -> None:
    before = fold_all(GENESIS, [*PLAYERS, ON_CALL, GLASS])
    for event, stands in (
        (EmergencyReviewed(PATIENT, EMERGENCY, Address(ANNA), Finding.JUSTIFIED, bytes(32)), True),
        (EmergencyReviewed(PATIENT, EMERGENCY, Address(ANNA), Finding.NOT_JUSTIFIED, bytes(32)), False),
        (PatientErased(PATIENT), False),
    ):
        assert could_break_glass(fold(before, event), access(BEN, EMERGENCY), GLASS, span(0, 400)) is stands


def test_the_record_of_an_emergency_is_judged_by_its_own_question() -> None:
    state, asked = fold_all(GENESIS, [*PLAYERS, ON_CALL]), access(BEN, EMERGENCY)
    record = replace(RECORD, action=Action.RETRIEVE, purpose=Purpose.ETREAT)
    for at, expected in ((99, False), (100, True), (149, True), (150, False)):
        assert does_break_glass(state, asked, GLASS, record, UnixTime(at)) is expected
    at = UnixTime(120)
    assert not does_break_glass(fold_all(GENESIS, PLAYERS), asked, GLASS, record, at)
    for change in ({"action": Action.SHARE}, {"action": Modification.STORE}, {"purpose": Purpose.TREAT}):
        assert not does_break_glass(state, asked, GLASS, replace(record, **change), at)


def test_storing_stands_on_the_role_and_on_nothing_else() -> None:
    """Of an enrolled patient, claimed or not; and no consent stands for it, nor it for looking."""
    newborn = PatientKey(b"\x0b" * 32)
    device = Address(b"\xde" * 20)
    role = RoleSet(role_id(Role.UPLOADER), device, Window(UnixTime(100), UnixTime(200)))
    claimed = state_with((PERMIT, replace(TERMS, grantee=person(device))))
    state = fold_all(claimed, [role, PatientEnrolled(newborn, Address(BEN), UnixTime(0))])
    stored = replace(RECORD, action=Modification.STORE)
    for patient in (PATIENT, newborn):
        made = AccessLogged(UPLOADER, device, patient, 0, BlockRef(1, BlockHash(bytes(32))), Commitment(bytes(32)))
        for decided, expected in (((90, 99), False), ((90, 100), True), ((199, 250), True), ((200, 300), False)):
            assert could_permit(state, made, span(*decided)) is expected
            assert not could_permit(state, replace(made, accessor=Address(DOCTOR)), span(*decided))
            assert not could_permit(state, replace(made, patient=PatientKey(b"\x0c" * 32)), span(*decided))
        assert does_permit(state, made, stored, UnixTime(150))
        assert not does_permit(state, made, stored, UnixTime(200))
        assert not does_permit(state, made, replace(RECORD, action=Action.VIEW), UnixTime(150))
        for basis in (BasisId(PERMIT), SELF):
            assert not does_permit(state, replace(made, basis=basis), stored, UnixTime(150))


# Every day at or beside a bound that the maker sets.
_DAYS = [None, *map(StudyDate, (20191231, 20200101, 20200614, 20200615, 20200616, 20201231, 20210101))]


def test_what_was_permitted_is_always_found_authorised(rng: random.Random) -> None:
    """Completeness, and soundness against trying every question at every second."""
    found = {True: 0, False: 0}
    for _ in range(40):
        maker = Maker(rng, patients=2, people=3, studies=2)
        state = fold_all(GENESIS, maker.history(rng.randrange(60)))
        bases = {SELF, GUARDIAN, *(BasisId(consent.id) for consent in state.consents())}
        for basis in sorted(bases):
            first = T0 + rng.randrange(-40, 40)
            decided = span(first, first + rng.randrange(20))
            patient, actor = rng.choice(maker.patients), rng.choice(maker.actors)
            expected = any(
                basis in bases
                for now in range(decided.first, decided.last + 1)
                for study in (*maker.studies, NO_STUDY)
                for action in Action
                for purpose in (Purpose.TREAT, Purpose.PATRQT, Purpose.FAMRQT)
                for date in _DAYS
                for request in [AccessRequest(actor, patient, study, action, purpose, date)]
                for bases in [permitting(state, request, UnixTime(now))]
                if not isinstance(bases, Deny)
            )
            asked = replace(access(basis=basis, patient=patient), accessor=actor)
            assert could_permit(state, asked, decided) == expected
            found[expected] += 1
    assert min(found.values()) > 3, found
