"""keccak-256: the same digest whichever way it is had, on every thread, and the public way where the other is not."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from Crypto.Hash import keccak

from app.core.keccak import keccak256, plain_keccak256, quickest

EMPTY = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_a_known_digest() -> None:
    assert keccak256(b"").hex() == EMPTY
    assert plain_keccak256(b"").hex() == EMPTY


def test_the_quick_way_is_taken() -> None:
    assert quickest(keccak) is not plain_keccak256


def test_both_ways_agree_around_every_block_boundary() -> None:
    for length in range(420):
        data = bytes(number % 251 for number in range(length))
        assert keccak256(data) == plain_keccak256(data)


def test_threads_do_not_share_a_state() -> None:
    inputs = [bytes([number]) * 20_000 for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(keccak256, inputs)) == [plain_keccak256(data) for data in inputs]


def _library(**functions: Any) -> Any:
    real: Any = vars(keccak)["_raw_keccak_lib"]
    names = ("keccak_init", "keccak_reset", "keccak_absorb", "keccak_digest", "keccak_destroy")
    return SimpleNamespace(
        _raw_keccak_lib=SimpleNamespace(**{name: functions.get(name, getattr(real, name)) for name in names})
    )


def test_a_library_without_the_functions_is_used_as_it_is_meant() -> None:
    assert quickest(SimpleNamespace()) is plain_keccak256


@pytest.mark.parametrize("name", ["keccak_reset", "keccak_absorb", "keccak_digest"])
def test_functions_that_fail_are_not_used(name: str) -> None:
    assert quickest(_library(**{name: lambda *_given: 1})) is plain_keccak256


@pytest.mark.parametrize("name", ["keccak_absorb", "keccak_digest"])
def test_functions_that_do_nothing_are_not_used(name: str) -> None:
    assert quickest(_library(**{name: lambda *_given: 0})) is plain_keccak256


def test_no_memory_for_a_state_is_no_digest() -> None:
    with pytest.raises(MemoryError):
        quickest(_library(keccak_init=lambda *_given: 1))
