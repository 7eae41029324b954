"""The patient's code: read as people write it, and every slip of one digit or two that change places shows."""

import random as chance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.crockford import ALPHABET
from app.core.patient_code import RANDOM_BYTES, make_patient_code, read_patient_code, show_patient_code
from app.core.signing.claim_code import claim_address, claim_key, recovery_hash

_RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(_RANDOM)
def test_a_code_is_read_however_it_is_written(random: bytes) -> None:
    digits = make_patient_code(random)
    shown = show_patient_code(digits)
    assert len(shown) == 14
    assert read_patient_code(shown) == digits
    assert read_patient_code(shown.lower().replace("-", " ").replace("0", "o").replace("1", "i")) == digits


@given(_RANDOM)
def test_every_wrong_digit_and_every_exchange_shows(random: bytes) -> None:
    digits = make_patient_code(random)
    for at, right in enumerate(digits):
        for wrong in set(ALPHABET) - {right}:
            assert read_patient_code(digits[:at] + wrong + digits[at + 1 :]) is None
        for other in (at + 1, at + 2):
            if other < len(digits) and digits[other] != right:
                swapped = list(digits)
                swapped[at], swapped[other] = swapped[other], swapped[at]
                assert read_patient_code("".join(swapped)) is None


def test_a_guess_is_seldom_a_code_and_codes_are_spread_evenly(rng: chance.Random) -> None:
    guesses = ["".join(rng.choices(ALPHABET, k=12)) for _ in range(20_000)]
    assert sum(read_patient_code(guess) is not None for guess in guesses) < 60  # one in 1021
    made = {make_patient_code(rng.randbytes(RANDOM_BYTES)) for _ in range(2_000)}
    assert len(made) == 2_000
    assert all({code[at] for code in made} == set(ALPHABET) for at in range(10))


@pytest.mark.parametrize("text", ["", "0000", "0" * 11, "0" * 13, "U" * 12, "é" * 12])
def test_what_is_no_code_is_not_read(text: str) -> None:
    assert read_patient_code(text) is None


@pytest.mark.parametrize("size", [0, RANDOM_BYTES - 1, RANDOM_BYTES + 1])
def test_a_code_takes_its_random_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        make_patient_code(bytes(size))


@given(st.text(ALPHABET, min_size=26, max_size=26), st.text(ALPHABET, min_size=26, max_size=26))
def test_a_recovery_is_found_by_its_code_alone_and_by_no_claim_key(one: str, other: str) -> None:
    assert (recovery_hash(one) == recovery_hash(other)) == (one == other)
    assert recovery_hash(one)[-20:] != claim_address(claim_key(one))
    assert one.encode() not in recovery_hash(one)
