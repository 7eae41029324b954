"""P5 and P6 on a real chain: grants count once final, revocations at the head, a fork takes back what it held."""

import random
from collections.abc import Callable

import pytest

from app.core.identifiers import PatientKey
from app.loops.catch_up import HistoryError
from tests.loops_follow.following import following, rules
from tests.support.chain import Chain
from tests.support.consents import claimed, grant, revoke, terms

KEY = PatientKey(b"\x05" * 32)


@pytest.mark.parametrize("depth", [1, 2, 7, 20])
async def test_p05_a_fork_that_removes_a_grant_denies_at_its_first_head(
    chain: Chain, rng: random.Random, depth: int
) -> None:
    patient = await claimed(chain, KEY)
    await chain.mine(3)
    subject = await following(chain, rules(3, max_depth=64))
    await subject.step()
    await grant(chain, patient, terms(patient, "physician1", rng))
    await chain.mine(depth - 1)
    await subject.step()
    assert subject.permits(patient) is (depth > 3)
    before = subject.follower.health().head
    await chain.reorg(depth)
    if depth <= 3:
        await subject.step()
    else:
        # Deeper than what counts as final here: nothing is permitted, and the mirror is rebuilt.
        assert isinstance(await subject.failing_step(), HistoryError)
        assert subject.follower.standing() is None
        await subject.step()
    health = subject.follower.health()
    assert health.head is not None
    assert before is not None
    assert health.head.number == before.number
    assert health.head.hash != before.hash
    assert not subject.permits(patient)
    assert (health.reorganisations, health.rebuilds) == ((1, 1) if depth <= 3 else (0, 2))


async def test_p05_a_fork_within_what_is_kept_denies_without_a_rebuild(
    chain: Chain, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    """Grant, bury it under blocks, lose it in a fork that begins right below it: deeper each time."""
    patient = await claimed(chain, KEY)
    subject = await following(chain, rules(64, max_depth=128))
    await subject.step()
    for depth in range(1, run_size(8, 65)):
        await grant(chain, patient, terms(patient, "physician1", rng))
        await chain.mine(depth - 1)
        standing = await subject.step()
        assert standing is not None
        assert len(list(standing.head.consents())) == 1
        await chain.reorg(depth)
        standing = await subject.step()
        assert standing is not None
        assert not list(standing.head.consents())
        assert subject.follower.health().deepest_reorganisation == depth
    assert subject.follower.health().rebuilds == 1


async def test_p06_a_grant_waits_for_finality_and_a_revocation_does_not(chain: Chain, rng: random.Random) -> None:
    patient = await claimed(chain, KEY)
    await chain.mine(4)
    subject = await following(chain, rules(4))
    await subject.step()
    consent = await grant(chain, patient, terms(patient, "physician1", rng))
    for _ in range(4):
        await subject.step()
        assert not subject.permits(patient)
        await chain.mine()
    await subject.step()
    assert subject.permits(patient)
    await revoke(chain, patient, consent)
    await subject.step()
    assert not subject.permits(patient)


async def test_p06_finality_may_be_the_chains_own(chain: Chain, rng: random.Random) -> None:
    patient = await claimed(chain, KEY)
    await chain.mine(2)
    subject = await following(chain, rules(None))
    await subject.step()
    await grant(chain, patient, terms(patient, "physician1", rng))
    await subject.step()
    assert not subject.permits(patient)
    await chain.mine(2)  # the embedded chain calls a block final two blocks later
    await subject.step()
    assert subject.permits(patient)
    final = subject.follower.final_block()
    assert final is not None
    assert final.number == await chain.height() - 2


async def test_a_revocation_undone_by_a_fork_comes_back(chain: Chain, rng: random.Random) -> None:
    patient = await claimed(chain, KEY)
    consent = await grant(chain, patient, terms(patient, "physician1", rng))
    await chain.mine(2)
    subject = await following(chain, rules(2))
    await subject.step()
    assert subject.permits(patient)
    await revoke(chain, patient, consent)
    await subject.step()
    assert not subject.permits(patient)
    await chain.reorg(1)
    await subject.step()
    assert subject.permits(patient)
