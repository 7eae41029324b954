"""P7, in the core: what does not fit the history is never skipped and never guessed."""

import random

import pytest

from app.core.consent.events import ConsentRevoked
from app.core.consent.fold import fold_all
from app.core.consent.mirror import (
    BeyondHead,
    Block,
    Contradiction,
    Extended,
    ParentMismatch,
    TooDeep,
    begin,
    extend,
    finalize,
    roll_back,
)
from app.core.consent.state import GENESIS
from app.core.consent.terms import Capacity
from app.core.identifiers import Address, BlockHash, BlockRef, ConsentId, UnixTime
from tests.core_consent.forks import START, Forks
from tests.core_consent.model import T0, Maker


@pytest.fixture
def forks(rng: random.Random) -> Forks:
    forks = Forks(rng, Maker(rng), max_depth=4)
    for _ in range(6):
        forks.grow()
    forks.settle(3)
    return forks


def test_p07_a_missing_block_is_a_mismatch(forks: Forks) -> None:
    block = forks.block([])
    forks.blocks.append(block)
    after_next = forks.block([])
    assert extend(forks.mirror, after_next) == ParentMismatch(forks.mirror.head.ref)


def test_p07_another_fork_is_a_mismatch(forks: Forks, rng: random.Random) -> None:
    head = forks.mirror.head.ref
    stranger = BlockHash(rng.randbytes(32))
    next_ref = BlockRef(head.number + 1, BlockHash(rng.randbytes(32)))
    assert extend(forks.mirror, Block(next_ref, stranger, UnixTime(T0), ())) == ParentMismatch(head)
    wrong_number = BlockRef(head.number + 2, next_ref.hash)
    assert extend(forks.mirror, Block(wrong_number, head.hash, UnixTime(T0), ())) == ParentMismatch(head)


def test_p07_a_missing_log_is_a_contradiction(rng: random.Random) -> None:
    """Leave out one log that later ones build upon: the mirror stops where the gap shows."""
    shown = 0
    for _ in range(40):
        maker = Maker(rng, patients=1)
        events = maker.history(30)
        left_out = rng.randrange(len(events))
        mirror = begin(START, UnixTime(T0), GENESIS, 4)
        block = Block(BlockRef(1, BlockHash(rng.randbytes(32))), START.hash, UnixTime(T0), tuple(events))
        assert isinstance(extend(mirror, block), Extended)
        gap = tuple(events[:left_out] + events[left_out + 1 :])
        result = extend(mirror, Block(block.ref, block.parent_hash, block.timestamp, gap))
        if isinstance(result, Contradiction):
            assert result.block == block.ref
            assert ": " in result.rule
            shown += 1
        else:
            # What nothing builds upon is missed only by comparing nodes (P8).
            assert isinstance(result, Extended)
            assert result.mirror.head.state == fold_all(GENESIS, gap)
    assert shown > 5


def test_p07_a_reorganisation_deeper_than_kept_is_told(forks: Forks) -> None:
    for depth in range(3):
        ref = forks.blocks[5 - depth].ref
        assert forks.mirror.ref_at(ref.number) == ref
    assert forks.mirror.ref_at(3) == forks.blocks[2].ref
    assert forks.mirror.ref_at(2) is None
    assert roll_back(forks.mirror, forks.blocks[1].ref) == TooDeep(forks.blocks[3].ref)
    unknown = BlockRef(5, BlockHash(bytes(32)))
    assert roll_back(forks.mirror, unknown) == TooDeep(forks.blocks[3].ref)
    forks.reorganise(3)
    assert forks.mirror.head == forks.mirror.final
    assert roll_back(forks.mirror, unknown) == TooDeep(forks.blocks[2].ref)


def test_p07_what_is_not_reached_is_not_final(forks: Forks) -> None:
    assert finalize(forks.mirror, 7) == BeyondHead(forks.blocks[5].ref)


def test_p07_a_block_that_contradicts_leaves_the_mirror_as_it_was(forks: Forks) -> None:
    before = forks.mirror
    patient = forks.maker.patients[0]
    false = ConsentRevoked(patient, ConsentId(bytes(32)), Address(forks.maker.people[0]), Capacity.CONTROLLER, 99)
    good = forks.maker.history(1, forks.events)
    result = extend(before, forks.block([*good, false]))
    assert isinstance(result, Contradiction)
    assert forks.mirror is before


def test_a_mirror_keeps_at_least_one_block() -> None:
    with pytest.raises(ValueError, match="max_depth"):
        begin(START, UnixTime(T0), GENESIS, 0)
