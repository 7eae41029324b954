"""fold is strict: an event that the contracts could not have emitted is a contradiction, never a guess."""

import random
from collections.abc import Sequence
from dataclasses import astuple, replace

import pytest

from app.core.consent.basis import NOBODY, actor_of, person, person_of, role_id
from app.core.consent.events import (
    AccessLogged,
    ConsentGranted,
    ConsentRevoked,
    ControllerMoved,
    DirectoryEntrySet,
    EmergencyOpened,
    EmergencyReviewed,
    Event,
    GuardianSet,
    MoveStarted,
    MoveVetoed,
    PatientClaimed,
    PatientEnrolled,
    PatientErased,
    RoleSet,
    RoleWithdrawn,
    TeamCreated,
)
from app.core.consent.fold import ContradictionError, fold, fold_all
from app.core.consent.grants import Consent, append, only_plain
from app.core.consent.state import GENESIS, INDEX_FROM, Guardian, Move, Revoked, State
from app.core.consent.terms import Action, Capacity, Effect, Finding, Role, Terms, Window
from app.core.identifiers import (
    Address,
    BasisId,
    BlockHash,
    BlockRef,
    Commitment,
    ConsentId,
    EmergencyId,
    Grantee,
    PatientKey,
    RoleId,
    Signer,
    StudyKey,
    UnixTime,
)
from app.core.keccak import keccak256

PATIENT = PatientKey(b"\x01" * 32)
OTHER = PatientKey(b"\x02" * 32)
ANNA, BEN, DOCTOR = (Signer(bytes([mark]) * 20) for mark in (0xA1, 0xB2, 0xD0))
PASSKEY = Signer(b"\x0f" * 84)
TIME = UnixTime(1_000)
WINDOW = Window(UnixTime(10), UnixTime(20))
STUDIES = tuple(StudyKey(bytes([mark]) * 32) for mark in (1, 2, 3))
REGISTRAR = role_id(Role.REGISTRAR)
TERMS = Terms(
    patient=PATIENT,
    grantee=person(Address(DOCTOR)),
    effect=Effect.PERMIT,
    actions=Action.VIEW,
    purposes=1,
    window=WINDOW,
    studies=(),
    epoch=0,
    consent_nonce=bytes(32),
)
ENROLLED: tuple[Event, ...] = (PatientEnrolled(PATIENT, Address(BEN), TIME),)
CLAIMED: tuple[Event, ...] = (*ENROLLED, PatientClaimed(PATIENT, Address(ANNA), ANNA))


def granted(terms: Terms = TERMS, name: int = 7, by: Signer = ANNA, capacity: int = 1) -> ConsentGranted:
    return ConsentGranted(ConsentId(bytes([name]) * 32), terms, actor_of(by), Capacity(capacity))


def revoked(name: int = 7, epoch: int = 1, by: Signer = ANNA, capacity: int = 1) -> ConsentRevoked:
    return ConsentRevoked(PATIENT, ConsentId(bytes([name]) * 32), actor_of(by), Capacity(capacity), epoch)


GUARDED: tuple[Event, ...] = (*CLAIMED, GuardianSet(PATIENT, Address(BEN), BEN, TIME))
MOVING: tuple[Event, ...] = (*CLAIMED, MoveStarted(PATIENT, BEN, TIME))
GRANTED: tuple[Event, ...] = (*CLAIMED, granted())
OF_AGE = UnixTime(5_000)
WARD: tuple[Event, ...] = (
    PatientEnrolled(PATIENT, Address(BEN), TIME, OF_AGE),
    PatientClaimed(PATIENT, Address(ANNA), ANNA),
)
SHAREABLE = replace(TERMS, actions=Action.VIEW | Action.SHARE, share_depth=1)
ERASED: tuple[Event, ...] = (*GUARDED, granted(SHAREABLE), PatientErased(PATIENT))
EMERGENCY = EmergencyId(b"\x0e" * 32)


def opened(actor: Signer = DOCTOR, name: EmergencyId = EMERGENCY, window: Window = WINDOW) -> EmergencyOpened:
    return EmergencyOpened(PATIENT, name, Address(actor), b"\x01" * 32, window, b"\x02" * 32)


def reviewed(reviewer: Signer = BEN, patient: PatientKey = PATIENT) -> EmergencyReviewed:
    return EmergencyReviewed(patient, EMERGENCY, Address(reviewer), Finding.JUSTIFIED, bytes(32))


CONTRADICTIONS: dict[str, tuple[Sequence[Event], Event]] = {
    "a role for nobody": ((), RoleSet(REGISTRAR, NOBODY, WINDOW)),
    "an empty role window": ((), RoleSet(REGISTRAR, Address(ANNA), Window(TIME, TIME))),
    "a role withdrawn that is not set": ((), RoleWithdrawn(REGISTRAR, Address(ANNA))),
    "an entry for nobody": ((), DirectoryEntrySet(NOBODY, b"\x01" * 32)),
    "a zero claim key": ((), PatientEnrolled(PATIENT, NOBODY, TIME)),
    "a zero patient": ((), PatientEnrolled(PatientKey(bytes(32)), Address(ANNA), TIME)),
    "enrolled when claimed": (CLAIMED, PatientEnrolled(PATIENT, Address(BEN), TIME)),
    "claimed before enrolled": ((), PatientClaimed(PATIENT, Address(ANNA), ANNA)),
    "claimed twice": (CLAIMED, PatientClaimed(PATIENT, Address(BEN), BEN)),
    "claimed by another actor than the signer's": (ENROLLED, PatientClaimed(PATIENT, Address(BEN), ANNA)),
    "claimed by too short a signer": (ENROLLED, PatientClaimed(PATIENT, NOBODY, Signer(b"\x01" * 19))),
    "claimed by too long a signer": (
        ENROLLED,
        PatientClaimed(PATIENT, actor_of(Signer(b"\x01" * 641)), Signer(b"\x01" * 641)),
    ),
    "claimed by nobody": (ENROLLED, PatientClaimed(PATIENT, NOBODY, Signer(bytes(20)))),
    "a move of an unknown patient": ((), MoveStarted(PATIENT, BEN, TIME)),
    "a move of an unclaimed patient": (ENROLLED, MoveStarted(PATIENT, BEN, TIME)),
    "a move to the same": (CLAIMED, MoveStarted(PATIENT, ANNA, TIME)),
    "a move to no signer": (CLAIMED, MoveStarted(PATIENT, Signer(b""), TIME)),
    "a veto of nothing": (CLAIMED, MoveVetoed(PATIENT)),
    "a veto after a veto": ((*MOVING, MoveVetoed(PATIENT)), MoveVetoed(PATIENT)),
    "moved without a move": (CLAIMED, ControllerMoved(PATIENT, Address(BEN), BEN)),
    "moved elsewhere": (MOVING, ControllerMoved(PATIENT, Address(DOCTOR), DOCTOR)),
    "moved to another actor": (MOVING, ControllerMoved(PATIENT, Address(DOCTOR), BEN)),
    "a guardian of an unclaimed patient": (ENROLLED, GuardianSet(PATIENT, Address(BEN), BEN, TIME)),
    "a guardian with another actor": (CLAIMED, GuardianSet(PATIENT, Address(ANNA), BEN, TIME)),
    "no guardian with an actor": (CLAIMED, GuardianSet(PATIENT, Address(BEN), Signer(b""), UnixTime(0))),
    "no guardian with a time": (CLAIMED, GuardianSet(PATIENT, NOBODY, Signer(b""), TIME)),
    "a consent for an unknown patient": ((), granted()),
    "a consent for an unclaimed patient": (ENROLLED, granted()),
    "a consent twice": (GRANTED, granted()),
    "a consent twice for different people": (GRANTED, granted(replace(TERMS, grantee=person(Address(BEN))))),
    "a consent that was revoked": ((*GRANTED, revoked()), granted(replace(TERMS, epoch=1))),
    "a consent that was revoked before it came": ((*CLAIMED, revoked()), granted(replace(TERMS, epoch=1))),
    "a consent of an old epoch": ((*CLAIMED, revoked(9)), granted()),
    "a consent of a later epoch": (CLAIMED, granted(replace(TERMS, epoch=1))),
    "a consent by a stranger": (CLAIMED, granted(by=BEN)),
    "a consent by nobody's guardian": (CLAIMED, granted(by=BEN, capacity=2)),
    "a consent by the controller as guardian": (GUARDED, granted(capacity=2)),
    "a consent in no capacity": (CLAIMED, granted(capacity=0)),
    "a consent to nobody": (CLAIMED, granted(replace(TERMS, grantee=Grantee(bytes(32))))),
    "a consent to nothing": (CLAIMED, granted(replace(TERMS, actions=Action(0)))),
    "a consent to what is unknown": (CLAIMED, granted(replace(TERMS, actions=Action(16)))),
    "a consent for no purpose": (CLAIMED, granted(replace(TERMS, purposes=0))),
    "a consent for an unknown purpose": (CLAIMED, granted(replace(TERMS, purposes=1 << 12))),
    "a consent for no time": (CLAIMED, granted(replace(TERMS, window=Window(TIME, TIME)))),
    "studies twice": (CLAIMED, granted(replace(TERMS, studies=(STUDIES[0], STUDIES[0])))),
    "studies descending": (CLAIMED, granted(replace(TERMS, studies=STUDIES[::-1]))),
    "a zero study": (CLAIMED, granted(replace(TERMS, studies=(StudyKey(bytes(32)), STUDIES[0])))),
    "too many studies": (
        CLAIMED,
        granted(replace(TERMS, studies=tuple(StudyKey(mark.to_bytes(32, "big")) for mark in range(1, 66)))),
    ),
    "a revocation for an unclaimed patient": (ENROLLED, revoked()),
    "a revocation twice": ((*GRANTED, revoked()), revoked(epoch=2)),
    "a tombstone twice": ((*CLAIMED, revoked()), revoked(epoch=2)),
    "a revocation that skips an epoch": (GRANTED, revoked(epoch=2)),
    "a revocation that repeats an epoch": (GRANTED, revoked(epoch=0)),
    "a revocation by a stranger": (GRANTED, revoked(by=BEN)),
    "a move to the same before a ward is of age": (WARD, MoveStarted(PATIENT, ANNA, OF_AGE)),
    "a ward of age before the time": (
        (*WARD, MoveStarted(PATIENT, BEN, OF_AGE)),
        ControllerMoved(PATIENT, Address(BEN), BEN),
    ),
    "another time of a ward": (
        (*WARD, MoveStarted(PATIENT, BEN, UnixTime(OF_AGE + 1))),
        ControllerMoved(PATIENT, Address(BEN), BEN, UnixTime(OF_AGE + 1)),
    ),
    "a ward that was none": (MOVING, ControllerMoved(PATIENT, Address(BEN), BEN, OF_AGE)),
    "a ward's guardian after the time": (WARD, GuardianSet(PATIENT, Address(BEN), BEN, UnixTime(OF_AGE + 1))),
    "a ward's controller as one": (WARD, granted()),
    "a ward's revocation by the controller as one": ((*WARD, granted(capacity=2)), revoked()),
    "erased before enrolled": ((), PatientErased(PATIENT)),
    "erased twice": (ERASED, PatientErased(PATIENT)),
    "enrolled when erased": (ERASED, PatientEnrolled(PATIENT, Address(BEN), TIME)),
    "claimed when erased": ((*ENROLLED, PatientErased(PATIENT)), PatientClaimed(PATIENT, Address(ANNA), ANNA)),
    "a move of an erased patient": (ERASED, MoveStarted(PATIENT, BEN, TIME)),
    "a consent of an erased patient": (ERASED, granted(name=8)),
    "a revocation of an erased patient": (ERASED, revoked()),
    "an emergency of an erased patient": (ERASED, opened()),
    "an emergency of an unknown patient": ((), opened()),
    "an emergency twice": ((*ENROLLED, opened()), opened(window=Window(TIME, OF_AGE))),
    "an emergency of nobody": (ENROLLED, opened(Signer(NOBODY))),
    "an emergency for no time": (ENROLLED, opened(window=Window(TIME, TIME))),
    "a review of nothing": (ENROLLED, reviewed()),
    "a review of another patient's": ((*ENROLLED, opened()), reviewed(patient=OTHER)),
    "a review twice": ((*ENROLLED, opened(), reviewed()), reviewed(ANNA)),
    "a review by the actor": ((*ENROLLED, opened()), reviewed(DOCTOR)),
    "a review by nobody": ((*ENROLLED, opened()), reviewed(Signer(NOBODY))),
}


@pytest.mark.parametrize("case", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_what_cannot_follow_is_a_contradiction(case: tuple[Sequence[Event], Event]) -> None:
    before, event = case
    state = fold_all(GENESIS, before)
    with pytest.raises(ContradictionError) as caught:
        fold(state, event)
    assert str(caught.value).startswith(type(event).__name__ + ": ")
    assert PATIENT.hex() not in str(caught.value)


def patient_in(state: State) -> tuple[int, int, int, int]:
    patient = state.patients[PATIENT]
    return patient.epoch, patient.granted, patient.move_nonce, patient.guardian_nonce


def test_packed_consents_say_whether_they_are_one_plain_one() -> None:
    everything = Consent(
        id=ConsentId(b"\x01" * 32),
        patient=PATIENT,
        grantee=TERMS.grantee,
        ordinal=0,
        epoch=0,
        effect=Effect.PERMIT,
        actions=Action.VIEW,
        purposes=1,
        window=WINDOW,
        studies=(),
        capacity=Capacity.CONTROLLER,
    )
    named = replace(everything, studies=STUDIES)
    assert only_plain(append(b"", everything)) == (everything.id, Effect.PERMIT, Action.VIEW, 1, *astuple(WINDOW))
    assert only_plain(b"") is None
    assert only_plain(append(append(b"", everything), everything)) is None
    assert only_plain(append(b"", named)) is None


def test_a_patient_from_enrolment_to_a_new_controller() -> None:
    state = fold_all(GENESIS, ENROLLED)
    again = fold(state, PatientEnrolled(PATIENT, Address(DOCTOR), TIME))
    unclaimed = again.patients[PATIENT]
    assert (unclaimed.claim_key, unclaimed.claim_until, unclaimed.claimed) == (Address(DOCTOR), TIME, False)
    assert unclaimed.capacity_of(NOBODY, TIME) is Capacity.NONE

    state = fold(again, PatientClaimed(PATIENT, actor_of(PASSKEY), PASSKEY))
    claimed = state.patients[PATIENT]
    assert claimed.actor == keccak256(PASSKEY)[12:]
    assert (claimed.claim_key, claimed.claim_until, claimed.controller) == (None, 0, PASSKEY)
    assert state.patients_of(actor_of(PASSKEY)) == {PATIENT}

    state = fold(state, MoveStarted(PATIENT, BEN, TIME))
    state = fold(state, MoveStarted(PATIENT, ANNA, UnixTime(2_000)))
    assert state.patients[PATIENT].move == Move(ANNA, UnixTime(2_000))
    vetoed = fold(state, MoveVetoed(PATIENT))
    assert vetoed.patients[PATIENT].move is None
    assert patient_in(vetoed) == (0, 0, 2, 0)

    moved = fold(state, ControllerMoved(PATIENT, Address(ANNA), ANNA))
    assert moved.patients[PATIENT].actor == Address(ANNA)
    assert moved.patients[PATIENT].move is None
    assert moved.patients_of(actor_of(PASSKEY)) == frozenset()
    assert moved.patients_controlled_by(Address(ANNA)) == {PATIENT}


def test_a_claim_key_finds_who_waits_for_it() -> None:
    before, ben, anna = UnixTime(TIME - 1), Address(BEN), Address(ANNA)
    state = fold_all(GENESIS, ENROLLED)
    first = state.claimable_with(ben, before)
    assert first is not None
    assert first.key == PATIENT
    assert state.claimable_with(ben, TIME) is None
    assert state.claimable_with(anna, before) is None
    # A registrar may use a claim key twice, and replace it.
    state = fold(state, PatientEnrolled(OTHER, ben, TIME))
    state = fold(state, PatientEnrolled(PATIENT, anna, TIME))
    found = state.claimable_with(anna, before), state.claimable_with(ben, before)
    assert [None if one is None else one.key for one in found] == [PATIENT, OTHER]
    state = fold(state, PatientClaimed(PATIENT, anna, ANNA))
    assert state.claimable_with(anna, before) is None
    assert dict(state.claiming) == {ben: (OTHER,)}
    again = fold_all(GENESIS, (PatientEnrolled(PATIENT, ben, TIME), PatientEnrolled(OTHER, ben, TIME)))
    again = fold(again, PatientClaimed(PATIENT, anna, ANNA))
    assert dict(again.claiming) == {ben: (OTHER,)}


def test_guardians_come_and_go() -> None:
    state = fold_all(GENESIS, GUARDED)
    assert state.patients[PATIENT].guardian == Guardian(BEN, Address(BEN), TIME)
    assert state.patients_of(Address(BEN)) == {PATIENT}
    assert state.patients_controlled_by(Address(BEN)) == frozenset()
    replaced = fold(state, GuardianSet(PATIENT, Address(DOCTOR), DOCTOR, TIME))
    assert replaced.patients_of(Address(BEN)) == frozenset()
    both = fold(state, GuardianSet(PATIENT, Address(ANNA), ANNA, TIME))
    removed = fold(both, GuardianSet(PATIENT, NOBODY, Signer(b""), UnixTime(0)))
    assert removed.patients[PATIENT].guardian is None
    assert removed.patients_of(Address(ANNA)) == {PATIENT}  # still the controller
    assert patient_in(removed) == (0, 0, 0, 3)
    by_guardian = fold(state, granted(by=BEN, capacity=2))
    (consent,) = by_guardian.patients[PATIENT].live_consents()
    assert consent.capacity is Capacity.GUARDIAN


def test_a_ward_is_acted_for_until_of_age_and_then_acts() -> None:
    before, anna = UnixTime(OF_AGE - 1), Address(ANNA)
    state = fold_all(GENESIS, WARD)
    ward = state.patients[PATIENT]
    assert ward.capacity_of(anna, before) is Capacity.GUARDIAN
    assert ward.capacity_of(anna, OF_AGE) is Capacity.NONE
    assert (ward.may_act_as(anna, before), ward.may_act_as(anna, OF_AGE)) == ((False, True), (False, False))
    assert fold(state, granted(capacity=2)).patients[PATIENT].live_consents()[0].capacity is Capacity.GUARDIAN
    # A guardian of one's own ends no later, and then has the rights of one.
    state = fold(state, GuardianSet(PATIENT, Address(BEN), BEN, OF_AGE))
    assert fold(state, granted(by=BEN, capacity=2)).patients[PATIENT].granted == 1
    assert state.patients[PATIENT].may_act_as(Address(BEN), before) == (False, True)
    # The record goes to the person, who may have the same key already.
    state = fold(state, MoveStarted(PATIENT, ANNA, UnixTime(OF_AGE + 1)))
    assert fold(state, ControllerMoved(PATIENT, anna, ANNA, OF_AGE)).patients[PATIENT].ward_until == OF_AGE
    state = fold(state, ControllerMoved(PATIENT, anna, ANNA))
    assert state.patients[PATIENT].ward_until == 0
    assert state.patients[PATIENT].capacity_of(anna, OF_AGE) is Capacity.CONTROLLER
    assert state.patients[PATIENT].may_act_as(anna, OF_AGE) == (True, False)


def test_a_ward_is_claimed_before_it_is_of_age() -> None:
    key, late = Address(BEN), UnixTime(10 * OF_AGE)
    state = fold_all(GENESIS, [PatientEnrolled(PATIENT, key, late, OF_AGE)])
    assert state.claimable_with(key, UnixTime(OF_AGE - 1)) is not None
    assert state.claimable_with(key, OF_AGE) is None
    state = fold(state, PatientEnrolled(PATIENT, key, late))
    assert state.claimable_with(key, OF_AGE) is not None
    assert state.patients[PATIENT].ward_until == 0


def test_nobody_acts_for_the_erased() -> None:
    state = fold_all(GENESIS, ERASED)
    patient = state.patients[PATIENT]
    assert (patient.erased, patient.claimed, patient.controller, patient.guardian) == (True, False, b"", None)
    assert patient.capacity_of(Address(ANNA), TIME) is Capacity.NONE
    assert patient.may_act_as(Address(BEN), UnixTime(0)) == (False, False)
    assert patient.guardian_nonce == 1
    assert dict(state.acting) == {}
    assert [consent.id[0] for consent in patient.live_consents()] == [7]
    # What was given before can be shared on; it opens nothing.
    shared = replace(TERMS, grantee=person(Address(BEN)), parent=ConsentId(b"\x07" * 32))
    assert fold(state, granted(shared, 8, DOCTOR, 3)).patients[PATIENT].granted == 2
    with pytest.raises(ContradictionError):
        fold(state, granted(replace(shared, actions=Action.RETRIEVE), 8, DOCTOR, 3))
    moving = fold_all(GENESIS, [*MOVING, PatientErased(PATIENT)]).patients[PATIENT]
    assert (moving.move, moving.move_nonce) == (None, 1)
    assert fold_all(GENESIS, [*WARD, PatientErased(PATIENT)]).patients[PATIENT].ward_until == 0
    unclaimed = fold_all(GENESIS, [*ENROLLED, PatientErased(PATIENT)])
    assert dict(unclaimed.claiming) == {}
    assert unclaimed.claimable_with(Address(BEN), UnixTime(0)) is None


def test_emergencies_are_found_counted_and_closed_once() -> None:
    later = EmergencyId(b"\x0f" * 32)
    next_day = Window(UnixTime(86_400), UnixTime(86_401))
    state = fold_all(GENESIS, [*ENROLLED, opened(), opened(name=later, window=next_day)])
    doctor = Address(DOCTOR)
    assert [one.id for one in state.emergencies_of(PATIENT)] == [EMERGENCY, later]
    assert state.emergencies_of(OTHER) == []
    last = state.last_emergency(PATIENT, doctor)
    assert last is not None
    assert last.id == later
    assert state.last_emergency(PATIENT, Address(BEN)) is None
    assert state.last_emergency(OTHER, doctor) is None
    assert [state.openings_on(doctor, UnixTime(at)) for at in (0, 86_399, 86_400, 172_800)] == [1, 1, 1, 0]
    assert state.patients_of(doctor) == {PATIENT}
    assert state.concerns(doctor, PATIENT)
    assert state.count_of(doctor) == 1
    # It can be closed when the patient is erased, too.
    state = fold_all(state, [PatientErased(PATIENT), reviewed()])
    review = state.emergencies[EMERGENCY].review
    assert review is not None
    assert (review.finding, review.reviewer) == (Finding.JUSTIFIED, Address(BEN))
    assert state.emergencies[later].review is None


def test_consents_are_kept_in_order_and_end_once() -> None:
    team = Grantee(b"\x09" * 32)
    events = [
        *CLAIMED,
        TeamCreated(team),
        granted(replace(TERMS, studies=STUDIES), name=1),
        granted(replace(TERMS, grantee=team, effect=Effect.DENY), name=2),
        granted(name=3),
    ]
    state = fold_all(GENESIS, events)
    patient = state.patients[PATIENT]
    assert [consent.id[0] for consent in patient.live_consents()] == [1, 2, 3]
    assert [consent.id[0] for consent in patient.consents_for([person(Address(DOCTOR))])] == [1, 3]
    assert {consent.id[0] for consent in state.consents()} == {1, 2, 3}
    first = patient.consent(ConsentId(b"\x01" * 32))
    assert first == Consent(
        id=ConsentId(b"\x01" * 32),
        patient=PATIENT,
        grantee=TERMS.grantee,
        ordinal=0,
        epoch=0,
        effect=Effect.PERMIT,
        actions=Action.VIEW,
        purposes=1,
        window=WINDOW,
        studies=STUDIES,
        capacity=Capacity.CONTROLLER,
    )
    # A study key may hold the bytes of an id: only the id itself is one.
    assert patient.consent(ConsentId(STUDIES[1])) is not None
    assert patient.consent(ConsentId(STUDIES[2])) == patient.live_consents()[2]

    state = fold(state, revoked(1))
    assert state.patients[PATIENT].consent(first.id) == Revoked(first, Capacity.CONTROLLER)
    assert state.patients_of(Address(DOCTOR)) == {PATIENT}
    state = fold(state, revoked(3, epoch=2))
    assert state.patients_of(Address(DOCTOR)) == frozenset()
    state = fold(state, revoked(5, epoch=3))
    patient = state.patients[PATIENT]
    assert patient.consent(ConsentId(b"\x05" * 32)) == Revoked(None, Capacity.CONTROLLER)
    assert patient_in(state) == (3, 3, 0, 0)
    assert [consent.grantee for consent in patient.live_consents()] == [team]


def test_an_id_hidden_in_a_study_key_is_not_found() -> None:
    state = fold_all(GENESIS, [*CLAIMED, granted(replace(TERMS, studies=STUDIES), name=9)])
    assert state.patients[PATIENT].consent(ConsentId(STUDIES[0])) is None
    assert fold(state, granted(name=1)).patients[PATIENT].granted == 2


def test_a_patient_with_many_grants_finds_each(rng: random.Random) -> None:
    """From INDEX_FROM grants on there is an index; before and after it the same is found, revoked and refused."""
    state = fold_all(GENESIS, CLAIMED)
    people = [person(Address(rng.randbytes(20))) for _ in range(9)]
    live: list[ConsentId] = []
    epoch = 0
    for _ in range(2 * INDEX_FROM):
        terms = replace(TERMS, grantee=rng.choice(people), epoch=epoch)
        event = ConsentGranted(ConsentId(rng.randbytes(32)), terms, Address(ANNA), Capacity.CONTROLLER)
        state = fold(state, event)
        live.append(event.consent)
        if rng.random() < 0.3:
            gone = live.pop(rng.randrange(len(live)))
            epoch += 1
            state = fold(state, ConsentRevoked(PATIENT, gone, Address(ANNA), Capacity.CONTROLLER, epoch))
            again = replace(event, consent=gone, terms=replace(terms, epoch=epoch))
            with pytest.raises(ContradictionError):
                fold(state, again)
        patient = state.patients[PATIENT]
        assert [consent.id for consent in patient.live_consents()] == live
        for name in rng.sample(live, min(3, len(live))):
            found = patient.consent(name)
            assert isinstance(found, Consent)
            assert found.id == name
            with pytest.raises(ContradictionError):
                fold(state, replace(event, consent=name, terms=replace(terms, epoch=epoch)))
        assert patient.consent(ConsentId(rng.randbytes(32))) is None
        assert (patient.ids is None) == (patient.granted < INDEX_FROM)


def test_one_grantee_is_one_object_for_all_patients() -> None:
    other = replace(TERMS, patient=OTHER, grantee=Grantee(bytes(bytearray(TERMS.grantee))))
    assert other.grantee is not TERMS.grantee
    enrolled = PatientEnrolled(OTHER, Address(BEN), TIME)
    claimed = PatientClaimed(OTHER, Address(ANNA), ANNA)
    state = fold_all(GENESIS, [*GRANTED, enrolled, claimed, granted(other, name=8)])
    keys = [next(iter(state.patients[key].live)) for key in (PATIENT, OTHER)]
    assert keys[0] is keys[1]
    assert state.patients_of(Address(DOCTOR)) == {PATIENT, OTHER}


def test_roles_and_directory() -> None:
    state = fold(GENESIS, RoleSet(REGISTRAR, Address(ANNA), WINDOW))
    state = fold(state, RoleSet(REGISTRAR, Address(ANNA), Window(TIME, UnixTime(2_000))))
    assert state.role_window(REGISTRAR, Address(ANNA)) == Window(TIME, UnixTime(2_000))
    assert state.role_window(RoleId(bytes(32)), Address(ANNA)) is None
    state = fold(state, RoleWithdrawn(REGISTRAR, Address(ANNA)))
    assert state.role_window(REGISTRAR, Address(ANNA)) is None
    named = fold(state, DirectoryEntrySet(Address(ANNA), b"\x01" * 32))
    assert named.directory[Address(ANNA)] == b"\x01" * 32
    assert fold(named, DirectoryEntrySet(Address(ANNA), bytes(32))) == state
    assert fold(state, DirectoryEntrySet(Address(ANNA), bytes(32))) == state


def test_an_access_changes_nothing(rng: random.Random) -> None:
    block = BlockRef(1, BlockHash(bytes(32)))
    access = AccessLogged(BasisId(bytes(32)), Address(ANNA), PATIENT, 0, block, Commitment(bytes(32)))
    state = fold_all(GENESIS, GRANTED)
    assert fold(state, access) is state


def test_actors_and_grantees() -> None:
    assert person_of(person(Address(ANNA))) == Address(ANNA)
    assert person_of(Grantee(b"\x01" + bytes(31))) is None
    assert actor_of(Signer(b"")) == NOBODY
    with pytest.raises(ValueError, match="20 bytes"):
        actor_of(Signer(b"\x01"))
    with pytest.raises(ValueError, match="20 bytes"):
        person(Address(b"\x01" * 21))
