"""P6: grants count only once final, revocations and denials from the head; a permit needs both states."""

import random
from collections import Counter
from collections.abc import Callable

import pytest

from app.core.consent.basis import role_id
from app.core.consent.events import ConsentGranted, PatientEnrolled, RoleSet, RoleWithdrawn
from app.core.consent.fold import fold_all
from app.core.consent.mirror import Block, Extended, Kept, Mirror, Standing, extend
from app.core.consent.passing_by import plain_verdicts
from app.core.consent.policy import AccessRequest, Deny, DenyReason, Permit, decide_standing, decide_storing
from app.core.consent.state import GENESIS
from app.core.consent.terms import Action, Purpose, Role, Window
from app.core.identifiers import Address, BasisId, BlockHash, BlockRef, ConsentId, PatientKey, UnixTime
from tests.core_consent.forks import Forks
from tests.core_consent.model import T0, Maker, lineage, permits
from tests.core_consent.test_hindsight import DENY, DOCTOR, PATIENT, PERMIT, STUDY, TERMS, state_with


def test_p06_permits_need_both_states(rng: random.Random, run_size: Callable[[int, int], int]) -> None:
    seen: Counter[str] = Counter()
    for _ in range(run_size(50, 3_000)):
        forks = Forks(rng, Maker(rng, patients=2, people=3, studies=2))
        for _ in range(rng.randrange(20, 70)):
            forks.step()
        standing = forks.mirror.standing
        assert standing.block == forks.mirror.head.ref
        final_events, head_events = forks.final_events, forks.events
        grants = [event for event in head_events if isinstance(event, ConsentGranted)]
        chosen = rng.sample(grants, len(grants) // 2)
        revoked_here = {(event.terms.patient, event.consent) for event in chosen}
        for request in forks.maker.requests():
            now = forks.maker.time()
            verdict = decide_standing(standing, request, now, revoked_here)
            if request.action is Action.SEARCH:
                quick = plain_verdicts(standing, request.actor, request.purpose, now, revoked_here)(request.patient)
                assert quick in (None, isinstance(verdict, Permit)), (quick, verdict)
                seen[f"quick {quick}"] += 1
            final, head = permits(final_events, request, now), permits(head_events, request, now)
            both = [basis for basis in head or () if basis in (final or ())]
            here = [
                basis
                for basis in both
                if any((request.patient, one) in revoked_here for one in lineage(head_events, ConsentId(basis)))
            ]
            left = [basis for basis in both if basis not in here]
            if left:
                assert verdict == Permit(left[0])
                seen["permit"] += 1
                continue
            assert isinstance(verdict, Deny)
            if both:
                assert verdict.reason is DenyReason.REVOKED_HERE
            elif head is None or (head and final is None):
                assert verdict.reason is DenyReason.DENIED_BY_CONSENT
            elif head:
                assert verdict.reason is DenyReason.NOT_FINAL
            seen[verdict.reason.value] += 1
    wanted = {"permit", "revoked-here", "denied-by-consent", "not-final", "no-consent", "no-role", "patient-unknown"}
    wanted |= {"quick False", "quick None"}
    assert wanted <= set(seen), seen


def test_p06_one_basis_must_permit_in_both_states() -> None:
    """One that is final but revoked at the head, and one that only the head has, permit nothing together."""
    ended, begun = state_with((PERMIT, TERMS)), state_with((DENY, TERMS))
    request = AccessRequest(Address(DOCTOR), PATIENT, STUDY, Action.VIEW, Purpose.TREAT)
    here = BlockRef(9, BlockHash(bytes(32)))
    for final, head, expected in ((ended, begun, False), (ended, ended, True), (begun, begun, True)):
        standing = Standing(final, head, here, UnixTime(150))
        verdict = decide_standing(standing, request, UnixTime(150), frozenset())
        assert verdict == (
            Permit(BasisId(PERMIT if head is ended else DENY)) if expected else Deny(DenyReason.NOT_FINAL)
        )


@pytest.mark.parametrize(("final", "head"), [(True, True), (True, False), (False, True), (False, False)])
def test_p06_storing_needs_the_role_in_both_states(rng: random.Random, *, final: bool, head: bool) -> None:
    forks = Forks(rng, Maker(rng))
    device, key = Address(b"\xde" * 20), PatientKey(b"\x0b" * 32)
    role, now = role_id(Role.UPLOADER), UnixTime(T0 + 100)
    given = RoleSet(role, device, Window(UnixTime(T0), UnixTime(T0 + 1_000)))
    enrolled = PatientEnrolled(key, Address(b"\xc1" * 20), now)
    forks.grow([enrolled, given] if final else [enrolled])
    forks.settle(1)
    if head != final:
        forks.grow([given if head else RoleWithdrawn(role, device)])
    verdict = decide_storing(forks.mirror.standing, device, key, now)
    assert isinstance(verdict, Permit) == (final and head)
    if isinstance(verdict, Deny):
        assert verdict.reason is (DenyReason.NOT_FINAL if head else DenyReason.NO_ROLE)


def test_p06_final_stays_behind_when_finality_stalls(rng: random.Random) -> None:
    """Blocks beyond what is kept leave the final state where it was: less is permitted, never more."""
    forks = Forks(rng, Maker(rng), max_depth=3)
    for _ in range(10):
        forks.grow()
    assert [kept.ref.number for kept in forks.mirror.pending] == [8, 9, 10]
    assert forks.mirror.final.ref.number == 0
    forks.settle(5)  # none of those up to 5 is kept any more
    assert forks.mirror.final.ref.number == 0
    assert forks.mirror.standing.final is GENESIS
    forks.settle(9)
    assert forks.mirror.final.ref.number == 9
    assert forks.mirror.final.state == fold_all(GENESIS, forks.final_events)
    assert [kept.ref.number for kept in forks.mirror.pending] == [10]


def test_p06_finality_does_not_go_back(rng: random.Random) -> None:
    forks = Forks(rng, Maker(rng))
    for _ in range(6):
        forks.grow()
    forks.settle(4)
    before = forks.mirror
    forks.settle(2)
    assert forks.mirror == before


def test_following_shares_structure_and_leaves_the_old_mirror_alone(rng: random.Random) -> None:
    forks = Forks(rng, Maker(rng))
    forks.grow()
    before = forks.mirror
    kept = before.head
    block: Block = forks.block([])
    result = extend(before, block)
    assert isinstance(result, Extended)
    after: Mirror = result.mirror
    assert before.head is kept
    assert after.head == Kept(block.ref, block.timestamp, kept.state)
    assert after.head.state is kept.state
