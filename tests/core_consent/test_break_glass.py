"""Break-glass: what an emergency opens, on the chain and before it lands, and what nothing opens."""

import random
from dataclasses import replace
from itertools import product

import pytest

from app.core.consent.basis import person, role_id
from app.core.consent.emergencies import OpenedHere, Opening, emergency_id, utc_day, written_hash
from app.core.consent.events import (
    ConsentGranted,
    EmergencyReviewed,
    Event,
    PatientEnrolled,
    PatientErased,
    RoleSet,
    RoleWithdrawn,
)
from app.core.consent.explaining import denials
from app.core.consent.fold import fold_all
from app.core.consent.mirror import Standing
from app.core.consent.policy import (
    AccessRequest,
    Deny,
    DenyReason,
    Permit,
    decide,
    decide_emergency,
    decide_standing,
    may_store,
)
from app.core.consent.state import GENESIS
from app.core.consent.terms import Action, Capacity, Effect, Finding, Purpose, Role, Window
from app.core.identifiers import Address, BasisId, BlockHash, BlockRef, EmergencyId, PatientKey, UnixTime
from app.core.keccak import keccak256
from tests.core_consent.test_fold import (
    ANNA,
    BEN,
    CLAIMED,
    DOCTOR,
    EMERGENCY,
    ENROLLED,
    OTHER,
    PATIENT,
    STUDIES,
    TERMS,
    granted,
    opened,
)

ACTOR = Address(DOCTOR)
NOW = UnixTime(15)  # inside test_fold's window, 10 to 20
LONG = Window(UnixTime(0), UnixTime(1_000))
ROLE = RoleSet(role_id(Role.EMERGENCY), ACTOR, LONG)
PHYSICIAN = RoleSet(role_id(Role.PHYSICIAN), ACTOR, LONG)
ASKED = AccessRequest(ACTOR, PATIENT, STUDIES[0], Action.VIEW, Purpose.ETREAT)
BROKEN = Permit(BasisId(EMERGENCY))
HERE = OpenedHere(PATIENT, ACTOR, EMERGENCY, Window(UnixTime(10), UnixTime(20)))
DENIAL = granted(replace(TERMS, effect=Effect.DENY, actions=Action(15), window=LONG, purposes=4095), name=9)


def reviewed(finding: Finding) -> EmergencyReviewed:
    return EmergencyReviewed(PATIENT, EMERGENCY, Address(BEN), finding, bytes(32))


def standing(final: list[Event], head: list[Event]) -> Standing:
    states = fold_all(GENESIS, final), fold_all(GENESIS, head)
    return Standing(*states, BlockRef(1, BlockHash(bytes(32))), NOW)


@pytest.mark.parametrize("before", [ENROLLED, CLAIMED, (*CLAIMED, PHYSICIAN, DENIAL)], ids=["new", "claimed", "denied"])
def test_it_opens_what_may_be_looked_at_whatever_the_consents(before: tuple[Event, ...]) -> None:
    state = fold_all(GENESIS, [*before, ROLE, opened()])
    for action, purpose in product(Action, Purpose):
        verdict = decide(state, replace(ASKED, action=action, purpose=purpose), NOW)
        opens = purpose is Purpose.ETREAT and action is not Action.SHARE
        assert (verdict == BROKEN) == opens
    assert denials(state, ASKED, NOW) == ()
    assert decide(state, replace(ASKED, actor=Address(ANNA)), NOW) != BROKEN
    assert decide(state, replace(ASKED, patient=OTHER), NOW) == Deny(DenyReason.PATIENT_UNKNOWN)
    for at, inside in ((9, False), (10, True), (19, True), (20, False)):
        assert (decide(state, ASKED, UnixTime(at)) == BROKEN) == inside


def test_denials_win_again_when_it_is_over() -> None:
    state = fold_all(GENESIS, [*CLAIMED, PHYSICIAN, DENIAL, ROLE, opened()])
    assert decide(state, ASKED, UnixTime(20)) == Deny(DenyReason.DENIED_BY_CONSENT)
    assert denials(state, ASKED, UnixTime(20)) == (DENIAL.consent,)


@pytest.mark.parametrize(
    ("change", "opens"),
    [
        ([], True),
        ([reviewed(Finding.JUSTIFIED)], True),
        ([reviewed(Finding.NOT_JUSTIFIED)], False),
        ([RoleWithdrawn(ROLE.role, ACTOR)], False),
        ([replace(ROLE, window=Window(UnixTime(0), NOW))], False),
        ([PatientErased(PATIENT)], False),
        # One that landed later stands in its place, good or not.
        ([opened(name=EmergencyId(b"\x0f" * 32), window=Window(UnixTime(0), UnixTime(1)))], False),
    ],
    ids=["as it is", "justified", "unjustified", "no role", "role over", "erased", "replaced"],
)
def test_it_ends_by_nothing_but(change: list[Event], *, opens: bool) -> None:
    head: list[Event] = [*CLAIMED, ROLE, opened(), *change]
    verdict = decide(fold_all(GENESIS, head), ASKED, NOW)
    assert (verdict == BROKEN) == opens
    # On the chain it needs both states, like any permit.
    before: list[Event] = [*CLAIMED, ROLE, opened()]
    for final, now in ((before, head), (head, before), (head, head)):
        permitted = decide_standing(standing(final, now), ASKED, NOW, frozenset()) == BROKEN
        assert permitted == opens
    assert decide_standing(standing([*CLAIMED, ROLE], before), ASKED, NOW, frozenset()) == Deny(DenyReason.NOT_FINAL)


def test_a_consent_still_permits_while_the_emergency_is_not_final() -> None:
    consent = granted(replace(TERMS, purposes=1 << Purpose.ETREAT))
    final: list[Event] = [*CLAIMED, PHYSICIAN, ROLE, consent]
    verdict = decide_standing(standing(final, [*final, opened()]), ASKED, NOW, frozenset())
    assert verdict == Permit(BasisId(consent.consent))
    assert decide_standing(standing([*final, opened()], final), ASKED, NOW, frozenset()) == verdict


def test_nothing_is_decided_for_the_erased() -> None:
    device = Address(b"\xde" * 20)
    uploader = RoleSet(role_id(Role.UPLOADER), device, LONG)
    granted_all = granted(replace(TERMS, purposes=4095, actions=Action.VIEW))
    state = fold_all(GENESIS, [*CLAIMED, PHYSICIAN, uploader, granted_all, ROLE, opened(), PatientErased(PATIENT)])
    erased = Deny(DenyReason.PATIENT_ERASED)
    for actor, action, purpose in product((ACTOR, Address(ANNA)), Action, Purpose):
        assert decide(state, AccessRequest(actor, PATIENT, STUDIES[0], action, purpose), NOW) == erased
    assert may_store(state, device, PATIENT, NOW) == erased
    assert denials(state, ASKED, NOW) == ()


@pytest.mark.parametrize(
    ("final", "head", "enrolling", "expected"),
    [
        ([*ENROLLED, ROLE], [*ENROLLED, ROLE], False, BROKEN),
        ([*ENROLLED, ROLE], [*CLAIMED, ROLE, DENIAL], False, BROKEN),
        ([ROLE], [*ENROLLED, ROLE], False, BROKEN),
        ([ROLE], [ROLE], True, BROKEN),
        ([ROLE], [ROLE], False, Deny(DenyReason.PATIENT_UNKNOWN)),
        ([*ENROLLED, ROLE], [*ENROLLED], False, Deny(DenyReason.NO_ROLE)),
        ([*ENROLLED], [*ENROLLED, ROLE], False, Deny(DenyReason.NO_ROLE)),
        ([*ENROLLED, ROLE], [*ENROLLED, ROLE, PatientErased(PATIENT)], True, Deny(DenyReason.PATIENT_ERASED)),
        ([*ENROLLED, ROLE, PatientErased(PATIENT)], [*ENROLLED, ROLE], True, Deny(DenyReason.PATIENT_ERASED)),
        ([*ENROLLED, ROLE], [*ENROLLED, ROLE, opened()], False, BROKEN),
        ([*ENROLLED, ROLE], [*ENROLLED, ROLE, opened(), reviewed(Finding.JUSTIFIED)], False, BROKEN),
        (
            [*ENROLLED, ROLE],
            [*ENROLLED, ROLE, opened(), reviewed(Finding.NOT_JUSTIFIED)],
            False,
            Deny(DenyReason.FOUND_UNJUSTIFIED),
        ),
        (
            [*ENROLLED, ROLE, opened(), reviewed(Finding.NOT_JUSTIFIED)],
            [*ENROLLED, ROLE],
            False,
            Deny(DenyReason.FOUND_UNJUSTIFIED),
        ),
    ],
)
def test_one_that_was_opened_here(
    final: list[Event], head: list[Event], expected: Permit | Deny, *, enrolling: bool
) -> None:
    on = standing(final, head)
    assert decide_emergency(on, HERE, ASKED, NOW, enrolling_here=enrolling) == expected
    wrong: list[tuple[AccessRequest, int]] = [
        (replace(ASKED, actor=Address(ANNA)), NOW),
        (replace(ASKED, patient=OTHER), NOW),
        (replace(ASKED, purpose=Purpose.TREAT), NOW),
        (replace(ASKED, action=Action.SHARE), NOW),
        (replace(ASKED, action=Action(0)), NOW),
        (ASKED, 9),
        (ASKED, 20),
    ]
    for request, at in wrong:
        assert isinstance(decide_emergency(on, HERE, request, UnixTime(at), enrolling_here=True), Deny)


def test_a_ward_looks_for_the_family_and_not_as_the_patient() -> None:
    end = UnixTime(100)
    ward = PatientEnrolled(PATIENT, Address(BEN), UnixTime(50), end)
    state = fold_all(GENESIS, [ward, *CLAIMED[1:]])
    asked = AccessRequest(Address(ANNA), PATIENT, STUDIES[0], Action.VIEW, Purpose.PATRQT)
    assert isinstance(decide(state, asked, NOW), Deny)
    for purpose in (Purpose.FAMRQT, Purpose.PWATRNY):
        assert isinstance(decide(state, replace(asked, purpose=purpose), UnixTime(end - 1)), Permit)
        assert isinstance(decide(state, replace(asked, purpose=purpose), end), Deny)
    consent = ConsentGranted(DENIAL.consent, replace(TERMS, grantee=person(ACTOR)), Address(ANNA), Capacity.GUARDIAN)
    state = fold_all(state, [consent, PHYSICIAN])
    assert isinstance(decide(state, replace(ASKED, purpose=Purpose.TREAT), NOW), Permit)


def test_the_id_is_the_hash_of_the_words_that_the_contract_encodes(rng: random.Random) -> None:
    opening = Opening(PATIENT, rng.randbytes(32), Window(UnixTime(7), UnixTime(9)), rng.randbytes(32))
    contract = Address(rng.randbytes(20))
    words = [
        keccak256(b"consentry.emergency.v1"), (31337).to_bytes(32, "big"), bytes(12) + contract, PATIENT,
        bytes(12) + ACTOR, opening.reason_hash, (7).to_bytes(32, "big"), (9).to_bytes(32, "big"), opening.salt,
    ]  # fmt: skip
    assert emergency_id(opening, ACTOR, 31337, contract) == keccak256(b"".join(words))
    changed = {
        emergency_id(one, actor, chain_id, to)
        for one, actor, chain_id, to in [
            (opening, ACTOR, 31337, contract),
            (replace(opening, patient=PatientKey(b"\x07" * 32)), ACTOR, 31337, contract),
            (replace(opening, window=Window(UnixTime(7), UnixTime(10))), ACTOR, 31337, contract),
            (opening, Address(ANNA), 31337, contract),
            (opening, ACTOR, 1, contract),
            (opening, ACTOR, 31337, ACTOR),
        ]
    }
    assert len(changed) == 6


def test_what_is_written_down_is_hashed_with_its_salt() -> None:
    salt = b"\x05" * 32
    assert written_hash(salt, "Notfall, bewußtlos") == keccak256(salt + "Notfall, bewußtlos".encode())
    assert written_hash(b"\x06" * 32, "a") != written_hash(salt, "a")
    with pytest.raises(ValueError, match="32 bytes"):
        written_hash(salt[1:], "a")
    assert [utc_day(UnixTime(at)) for at in (0, 86_399, 86_400)] == [0, 0, 1]
