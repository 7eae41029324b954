"""Recovering signers: the same accounts as eth-account, and none of the signatures that have a twin."""

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from hypothesis import given
from hypothesis import strategies as st

from app.core.keccak import keccak256
from app.core.signing.signature import eip191_digest, recover

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_KEYS = st.integers(1, _ORDER - 1).map(lambda number: number.to_bytes(32))


@given(_KEYS, st.text(max_size=200))
def test_agrees_with_eth_account(key: bytes, text: str) -> None:
    account = Account.from_key(key)
    signature = bytes(account.sign_message(encode_defunct(text=text)).signature)
    found = recover(eip191_digest(text), signature)
    assert found is not None
    assert found == bytes.fromhex(account.address[2:])


@given(_KEYS, st.binary(min_size=32, max_size=32))
def test_the_high_twin_is_refused(key: bytes, digest: bytes) -> None:
    signed = Account.unsafe_sign_hash(digest, key)
    low = signed.r.to_bytes(32) + signed.s.to_bytes(32) + bytes([signed.v])
    high = signed.r.to_bytes(32) + (_ORDER - signed.s).to_bytes(32) + bytes([55 - signed.v])
    assert recover(digest, low) is not None
    assert recover(digest, high) is None


@pytest.mark.parametrize(
    ("r", "s", "v"),
    [
        (0, 1, 27),
        (1, 0, 27),
        (_ORDER, 1, 27),
        (1, _ORDER, 27),
        (2**256 - 1, 2**256 - 1, 27),
        (1, _ORDER // 2 + 1, 27),
        (1, 1, 0),
        (1, 1, 1),
        (1, 1, 26),
        (1, 1, 29),
        (5, 1, 27),  # no point of the curve has this x
    ],
)
def test_what_is_out_of_range_is_no_signature(r: int, s: int, v: int) -> None:
    assert recover(bytes(32), r.to_bytes(32) + s.to_bytes(32) + bytes([v])) is None


@pytest.mark.parametrize("length", [0, 1, 64, 66, 130])
def test_what_has_another_length_is_no_signature(length: int) -> None:
    assert recover(bytes(32), b"\x1b" * length) is None


def test_the_digest_counts_bytes_and_not_characters() -> None:
    assert eip191_digest("é") == keccak256(b"\x19Ethereum Signed Message:\n2" + "é".encode())
