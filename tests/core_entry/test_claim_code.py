"""The one-time code: read as people write it, one key for each, and a signature that the contract takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.signing.claim_code import (
    RANDOM_BYTES,
    claim_address,
    claim_key,
    invitation_hash,
    make_code,
    read_code,
    recovery_hash,
    sign_digest,
)
from app.core.signing.signature import recover

_RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(_RANDOM)
def test_a_code_is_read_however_it_is_written(random: bytes) -> None:
    code = make_code(random)
    digits = read_code(code)
    assert digits is not None
    assert len(digits) == 26
    spoken = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert read_code(spoken) == digits


@given(_RANDOM, _RANDOM)
def test_two_codes_have_two_keys(one: bytes, other: bytes) -> None:
    first, second = read_code(make_code(one)), read_code(make_code(other))
    assert first is not None
    assert second is not None
    assert (first == second) == (claim_address(claim_key(first)) == claim_address(claim_key(second)))


@given(_RANDOM, _RANDOM)
def test_what_is_stored_of_a_code_finds_it_for_one_use_alone(one: bytes, other: bytes) -> None:
    first, second = read_code(make_code(one)), read_code(make_code(other))
    assert first is not None
    assert second is not None
    assert (first == second) == (invitation_hash(first) == invitation_hash(second))
    assert len({invitation_hash(first), recovery_hash(first), bytes(claim_key(first).secret)}) == 3
    assert len(invitation_hash(first)) == 32


@given(_RANDOM, st.binary(min_size=32, max_size=32))
def test_its_key_signs_what_its_address_recovers(random: bytes, digest: bytes) -> None:
    digits = read_code(make_code(random))
    assert digits is not None
    key = claim_key(digits)
    assert recover(digest, sign_digest(key, digest)) == claim_address(key)


@pytest.mark.parametrize("text", ["", "ABC", "U" * 26, "0" * 25, "0" * 27, "é" * 26])
def test_what_is_no_code_is_not_read(text: str) -> None:
    assert read_code(text) is None


def test_a_code_takes_all_its_random_bytes() -> None:
    with pytest.raises(ValueError, match="26 random bytes"):
        make_code(bytes(RANDOM_BYTES - 1))
