"""P19: the policy in Python and the policy in Solidity agree, over random histories of real transactions."""

import random
from collections import Counter
from collections.abc import Callable
from itertools import product

import pytest

from app.chain.kept import ConsentStatus
from app.core.consent.basis import GUARDIAN, NO_STUDY, NOBODY, role_id
from app.core.consent.digest import digest
from app.core.consent.emergencies import utc_day
from app.core.consent.fold import fold_all
from app.core.consent.grants import Consent
from app.core.consent.policy import AccessRequest, Permit, decide, emergency_basis
from app.core.consent.state import GENESIS, Revoked
from app.core.consent.terms import NO_PARENT, Action, Purpose, Role, TeamPart, Window
from app.core.identifiers import ConsentId, EmergencyId, UnixTime
from tests.core_consent.chain_play import PEOPLE, TEAMS, Play
from tests.support.chain import Chain, signer

_KINDS = ("shared on", "by team", "in bounds", "in an emergency", "of a ward", "erased")
_NEVER = Window(UnixTime(0), UnixTime(0))


@pytest.mark.soak
async def test_p19_decide_agrees_with_the_contract(
    chain: Chain, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    seen: Counter[str] = Counter()
    for _ in range(run_size(1, 60)):
        play = Play(chain, rng)
        await play.begin()
        # Longer where a kind of basis was not met yet: on small runs that is chance.
        for step in range(400):
            if step >= 80 and min(seen[kind] for kind in _KINDS) > 0:
                break
            await play.step()
            if step % 6 == 5:
                await _compare(play, seen)
                await _compare_state(play)
                await _compare_emergencies(play)
        assert digest(fold_all(GENESIS, play.events)) == digest(play.state)
    assert seen["permit"] > 30, seen
    assert seen["deny"] > 30, seen
    assert min(seen[kind] for kind in _KINDS) > 0, seen


async def _compare(play: Play, seen: Counter[str]) -> None:
    requests = play.requests()
    assert play.now == await play.chain.time()
    verdicts = await play.verdicts(requests)
    for request, by_contract in zip(requests, verdicts, strict=True):
        verdict = decide(play.state, request, play.now)
        basis = verdict.basis if isinstance(verdict, Permit) else None
        assert basis == by_contract, request
        seen["permit" if basis is not None else "deny"] += 1
        patient = play.state.patient(request.patient)
        consent = None if patient is None or basis is None else patient.consent(ConsentId(basis))
        seen["in an emergency"] += basis is not None and EmergencyId(basis) in play.state.emergencies
        seen["of a ward"] += patient is not None and bool(patient.ward_until) and basis == GUARDIAN
        seen["erased"] += patient is not None and patient.erased
        if isinstance(consent, Consent):
            seen["shared on"] += consent.line is not None
            seen["by team"] += consent.grantee in TEAMS
            seen["in bounds"] += consent.dates.bounded


async def _compare_state(play: Play) -> None:
    """Everything the contracts keep of a patient, beside what the events folded into."""
    contracts, nodes = play.chain.contracts, play.chain.nodes
    for name in PEOPLE:
        address = signer(name).address
        for role in (role_id(Role.PHYSICIAN), role_id(Role.EMERGENCY)):
            kept = await contracts.ask(nodes, contracts.roles.window(role, address))
            assert kept == (play.state.role_window(role, address) or _NEVER)
    for team in TEAMS:
        known = play.state.teams.get(team)
        assert await contracts.ask(nodes, contracts.teams.nonce(team)) == (0 if known is None else known.nonce)
        for name, part in product(PEOPLE, TeamPart):
            address = signer(name).address
            window = None if known is None else known.part(part).get(address)
            assert await contracts.ask(nodes, contracts.teams.window(team, address, part)) == (window or _NEVER)
    for key in play.patients:
        patient = play.state.patient(key)
        kept_patient = await contracts.ask(nodes, contracts.patients.patient(key))
        if patient is None:
            assert not any(kept_patient.claim_key)
            continue
        assert (kept_patient.ward_until, kept_patient.erased) == (patient.ward_until, patient.erased)
        assert await contracts.ask(nodes, contracts.patients.is_enrolled(key)) != patient.erased
        assert kept_patient.claim_key == (patient.claim_key or bytes(20))
        assert kept_patient.claim_until == patient.claim_until
        assert kept_patient.controller == patient.controller
        assert kept_patient.guardian_nonce == patient.guardian_nonce
        assert kept_patient.move_nonce == patient.move_nonce
        assert kept_patient.new_controller == (b"" if patient.move is None else patient.move.controller)
        assert kept_patient.move_ready_at == (0 if patient.move is None else patient.move.ready_at)
        guardian = patient.guardian
        assert kept_patient.guardian == (b"" if guardian is None else guardian.signer)
        assert kept_patient.guardian_until == (0 if guardian is None else guardian.until)
        assert await contracts.ask(nodes, contracts.consents.epoch(key)) == patient.epoch
        for name in PEOPLE:
            view = contracts.patients.capacity_of(key, signer(name).address)
            assert await contracts.ask(nodes, view) == patient.capacity_of(signer(name).address, play.now)
            acts = contracts.patients.may_act_as(key, signer(name).address)
            assert await contracts.ask(nodes, acts) == patient.may_act_as(signer(name).address, play.now)
        ids = await contracts.ask(nodes, contracts.consents.consent_ids(key))
        assert len(ids) == patient.granted
        live = [consent.id for consent in patient.live_consents()]
        assert [one for one in ids if one in live] == live
        for one in [*ids, *patient.revoked]:
            await _compare_consent(play, ConsentId(one))


async def _compare_emergencies(play: Play) -> None:
    contracts, nodes, state = play.chain.contracts.emergencies, play.chain.nodes, play.state
    assert set(state.emergencies) == set(play.opened)
    for one in state.emergencies.values():
        kept = await play.chain.contracts.ask(nodes, contracts.emergency(one.id))
        assert kept is not None
        assert (kept.patient, kept.actor, kept.window) == (one.patient, one.actor, one.window)
        review = one.review
        assert kept.finding == (None if review is None else review.finding)
        assert kept.reviewer == (NOBODY if review is None else review.reviewer)
        day = contracts.openings(one.actor, utc_day(one.window.start))
        assert await play.chain.contracts.ask(nodes, day) == state.openings_on(one.actor, one.window.start)
        asked = AccessRequest(one.actor, one.patient, NO_STUDY, Action.VIEW, Purpose.ETREAT)
        opens = await play.chain.contracts.ask(nodes, contracts.open_for(one.patient, one.actor))
        expected = emergency_basis(state, asked, play.now)
        assert opens == (None if expected is None else EmergencyId(expected))
    assert await play.chain.contracts.ask(nodes, contracts.emergency(EmergencyId(b"\x01" * 32))) is None


async def _compare_consent(play: Play, one: ConsentId) -> None:
    for patient in (play.state.patient(key) for key in play.patients):
        if patient is None:
            continue
        view = play.chain.contracts.consents.consent(patient.key, one)
        kept = await play.chain.contracts.ask(play.chain.nodes, view)
        standing = patient.consent(one)
        expected = ConsentStatus.UNUSED if standing is None else ConsentStatus.GRANTED
        if isinstance(standing, Revoked):
            expected = ConsentStatus.REVOKED
            standing = standing.consent
        assert kept.status is expected
        if standing is not None:
            assert (kept.dates, kept.share_depth) == (standing.dates, standing.share_depth)
            assert kept.parent == (NO_PARENT if standing.line is None else standing.line.parent)
            said = (kept.effect, kept.actions, kept.purposes, kept.window, kept.grantee, kept.studies)
            assert said == (
                standing.effect,
                standing.actions,
                standing.purposes,
                standing.window,
                standing.grantee,
                standing.studies,
            )
