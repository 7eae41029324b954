"""The policy against a slow second opinion, over random histories."""

import random
from collections import Counter
from collections.abc import Callable, Iterator

from app.core.consent.basis import GUARDIAN, role_id
from app.core.consent.basis import person as grantee_of
from app.core.consent.fold import fold_all
from app.core.consent.grants import Consent
from app.core.consent.mirror import Standing
from app.core.consent.policy import AccessRequest, Deny, DenyReason, Permit, Verdict, decide, holds_role, permitting
from app.core.consent.state import GENESIS, State
from app.core.consent.terms import Capacity, Role
from app.core.identifiers import BlockHash, BlockRef, ConsentId, EmergencyId, UnixTime
from tests.core_consent.model import T0, Maker, permits


def test_decide_agrees_with_the_rules_read_afresh(rng: random.Random, run_size: Callable[[int, int], int]) -> None:
    verdicts, found = {True: 0, False: 0}, Counter[str]()
    for _ in range(run_size(16, 2_000)):
        maker = Maker(rng, patients=2, people=4)
        events = maker.history(rng.randrange(150))
        state = fold_all(GENESIS, events)
        for request in maker.requests():
            now = maker.time()
            expected = permits(events, request, now)
            bases = permitting(state, request, now)
            verdict = decide(state, request, now)
            if expected:
                assert bases == expected
                assert verdict == Permit(expected[0])
            else:
                assert isinstance(bases, Deny)
                assert verdict == bases
                assert (bases.reason is DenyReason.DENIED_BY_CONSENT) == (expected is None)
            verdicts[isinstance(verdict, Permit)] += 1
            found.update(_kinds_of(state, request, verdict))
    assert min(verdicts.values()) > 100
    assert {"by team", "in bounds", "shared on", "in an emergency", "of a ward"} <= set(found), found


def _kinds_of(state: State, request: AccessRequest, verdict: Verdict) -> Iterator[str]:
    """What the consent that decides is, so that the histories are seen to reach every kind."""
    patient = state.patient(request.patient)
    if isinstance(verdict, Permit):
        yield from ["in an emergency"] if EmergencyId(verdict.basis) in state.emergencies else []
        yield from ["of a ward"] if patient is not None and patient.ward_until and verdict.basis == GUARDIAN else []
    consent = patient.consent(ConsentId(verdict.basis)) if patient is not None and isinstance(verdict, Permit) else None
    if isinstance(consent, Consent):
        yield from ["by team"] if consent.grantee != grantee_of(request.actor) else []
        yield from ["in bounds"] if consent.dates.bounded else []
        yield from ["shared on"] if consent.line is not None else []


def test_patients_of_an_actor_are_those_it_may_ask_about(rng: random.Random) -> None:
    asked = 0
    for _ in range(30):
        maker = Maker(rng)
        events = maker.history(rng.randrange(80))
        state = fold_all(GENESIS, events)
        now = maker.time()
        for request in maker.requests():
            if isinstance(decide(state, request, now), Permit):
                assert request.patient in state.patients_of(request.actor)
                asked += 1
        for person in maker.actors:
            assert state.count_of(person) >= len(state.patients_of(person))
            for key in maker.patients:
                assert state.concerns(person, key) == (key in state.patients_of(person))
                patient = state.patient(key)
                controls = patient is not None and patient.actor == person
                guards = patient is not None and patient.guardian is not None and patient.guardian.actor == person
                grantees = [grantee_of(person), *(t for t in maker.teams if t in state.ever_named_as(person))]
                named = patient is not None and bool(patient.consents_for(grantees))
                broken = [one for one in state.emergencies_of(key) if one.actor == person]
                assert (key in state.patients_of(person)) == (controls or guards or named or bool(broken))
                assert state.last_emergency(key, person) == (broken[-1] if broken else None)
                assert (key in state.patients_controlled_by(person)) == controls
                if patient is not None:
                    capacity = patient.capacity_of(person, now)
                    in_charge = controls and now < patient.ward_until
                    assert (capacity is Capacity.CONTROLLER) == (controls and not patient.ward_until)
                    if capacity is Capacity.GUARDIAN and not in_charge:
                        assert patient.guardian is not None
                        assert guards
                        assert now < patient.guardian.until
                    assert not in_charge or capacity is Capacity.GUARDIAN
    assert asked > 100


def test_a_role_counts_in_both_states_and_inside_its_window(rng: random.Random) -> None:
    maker = Maker(rng, people=3)
    held = 0
    for _ in range(60):
        events = maker.history(30)
        final = rng.randrange(len(events))
        states = fold_all(GENESIS, events[:final]), fold_all(GENESIS, events)
        standing = Standing(*states, BlockRef(1, BlockHash(bytes(32))), UnixTime(T0))
        now = maker.time()
        for person in maker.actors:
            windows = [state.role_window(role_id(Role.PHYSICIAN), person) for state in states]
            expected = all(window is not None and window.start <= now < window.end for window in windows)
            assert holds_role(standing, Role.PHYSICIAN, person, now) == expected
            held += expected
    assert held > 5
