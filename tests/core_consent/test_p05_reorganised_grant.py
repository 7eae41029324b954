"""P5, in the core: a reorganisation that removes a grant denies at the first new head."""

import random

import pytest

from app.core.consent.basis import NO_STUDY, person, role_id
from app.core.consent.events import ConsentGranted, PatientClaimed, PatientEnrolled, RoleSet
from app.core.consent.policy import AccessRequest, Deny, DenyReason, Permit, decide_standing
from app.core.consent.terms import Action, Capacity, Effect, Purpose, Role, Terms, Window
from app.core.identifiers import Address, ConsentId, UnixTime
from tests.core_consent.forks import Forks
from tests.core_consent.model import T0, Maker

_ALWAYS = Window(UnixTime(0), UnixTime(2 * T0))


@pytest.mark.parametrize("depth", [1, 2, 7, 64])
def test_p05_a_grant_that_is_gone_denies_at_once(rng: random.Random, depth: int) -> None:
    forks = Forks(rng, Maker(rng, people=2))
    patient, (doctor, controller) = forks.maker.patients[0], forks.maker.people
    forks.grow([RoleSet(role_id(Role.PHYSICIAN), Address(doctor), _ALWAYS)])
    claimed = PatientClaimed(patient, Address(controller), controller)
    forks.grow([PatientEnrolled(patient, Address(rng.randbytes(20)), UnixTime(T0)), claimed])
    forks.settle(2)
    terms = Terms(
        patient=patient,
        grantee=person(Address(doctor)),
        effect=Effect.PERMIT,
        actions=Action.VIEW,
        purposes=1 << Purpose.TREAT,
        window=_ALWAYS,
        studies=(),
        epoch=0,
        consent_nonce=rng.randbytes(32),
    )
    granted = ConsentGranted(ConsentId(rng.randbytes(32)), terms, Address(controller), Capacity.CONTROLLER)
    request = AccessRequest(Address(doctor), patient, NO_STUDY, Action.VIEW, Purpose.TREAT)

    forks.grow([granted])
    for _ in range(depth - 1):
        forks.grow([])
    assert decide_standing(forks.mirror.standing, request, UnixTime(T0), set()) == Deny(DenyReason.NOT_FINAL)
    before = forks.mirror.standing
    forks.reorganise(depth)
    forks.grow([])
    assert decide_standing(forks.mirror.standing, request, UnixTime(T0), set()) == Deny(DenyReason.NO_CONSENT)
    # Even if that grant had been final in the state we hold, the head alone denies.
    assert before.head.patient(patient) != forks.mirror.standing.head.patient(patient)

    forks.grow([granted])
    forks.settle(len(forks.blocks))
    permitted = decide_standing(forks.mirror.standing, request, UnixTime(T0), set())
    assert permitted == Permit(granted.consent)  # type: ignore[arg-type]  # the basis is the consent's id
