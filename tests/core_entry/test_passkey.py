"""What counts as a passkey's signature: each field wrong once, and nothing else wrong."""

import json
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st

from app.core.identifiers import Signer
from app.core.signing.passkey import (
    MAX_AUTHENTICATOR_DATA_BYTES,
    MAX_CLIENT_DATA_BYTES,
    Assertion,
    RelyingParty,
    decode,
    encode,
    is_key,
    signed_by,
)
from tests.support.authenticator import EXTENDED, PRESENT, VERIFIED, Authenticator
from tests.support.needs import PROJECT
from tests.support.passkey_cases import (
    BADLY_SIGNED,
    DEVICE,
    DIGEST,
    GOOD,
    PARTY,
    WELL_SIGNED,
    with_client,
    with_flags,
)

_NUMBERS = st.integers(0, 2**256 - 1)


@pytest.mark.parametrize("case", WELL_SIGNED)
def test_a_good_one_is_believed(case: str) -> None:
    assert signed_by(PARTY, DEVICE.key, DIGEST, WELL_SIGNED[case]())


@pytest.mark.parametrize("case", BADLY_SIGNED)
def test_one_wrong_thing_is_enough(case: str) -> None:
    assert not signed_by(PARTY, DEVICE.key, DIGEST, BADLY_SIGNED[case]())


def test_it_stands_for_one_digest_one_key_and_one_place() -> None:
    signature = GOOD.encoded()
    assert not signed_by(PARTY, DEVICE.key, DIGEST[::-1], signature)
    assert not signed_by(PARTY, Authenticator().key, DIGEST, signature)
    assert not signed_by(PARTY, DEVICE.key[:32] + bytes(32), DIGEST, signature), "no point of the curve"
    assert not signed_by(RelyingParty("https://localhost", PARTY.verifier), DEVICE.key, DIGEST, signature)


def test_a_long_one_is_believed_up_to_its_bounds() -> None:
    room = MAX_CLIENT_DATA_BYTES - len(DEVICE.client_data("webauthn.get", DIGEST, more=""))
    for more, believed in ((room, True), (room + 1, False)):
        assert signed_by(PARTY, DEVICE.key, DIGEST, with_client(more="x" * more)) is believed
    for length, believed in ((MAX_AUTHENTICATOR_DATA_BYTES, True), (MAX_AUTHENTICATOR_DATA_BYTES + 1, False)):
        signature = with_flags(PRESENT | VERIFIED | EXTENDED, bytes(length - 37))
        assert signed_by(PARTY, DEVICE.key, DIGEST, signature) is believed


@given(_NUMBERS, _NUMBERS, _NUMBERS, _NUMBERS, st.binary(max_size=100), st.binary(max_size=100))
def test_the_encoding_is_solidity_s_and_is_read_back(
    r: int, s: int, at: int, type_at: int, data: bytes, client: bytes
) -> None:
    assertion = Assertion(r, s, at, type_at, data, client)
    encoded = encode(assertion)
    types = "(bytes32,bytes32,uint256,uint256,bytes,bytes)"
    assert encoded == abi_encode([types], [(r.to_bytes(32), s.to_bytes(32), at, type_at, data, client)])[32:]
    assert decode(encoded) == assertion


@given(st.binary(max_size=600))
def test_garbage_is_refused_quietly(garbage: bytes) -> None:
    assert not signed_by(PARTY, DEVICE.key, DIGEST, garbage)


@given(st.data())
def test_no_flipped_bit_is_overlooked(data: Any) -> None:
    signature = bytearray(GOOD.encoded())
    signature[data.draw(st.integers(0, len(signature) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not signed_by(PARTY, DEVICE.key, DIGEST, bytes(signature))


def test_which_signers_are_passkeys_of_ours() -> None:
    signer = PARTY.signer(DEVICE.key)
    assert PARTY.key_of(signer) == DEVICE.key
    for other in (signer[:-1], signer + b"\0", signer[:20], b"\xab" + signer[1:], b""):
        assert PARTY.key_of(Signer(other)) is None


@pytest.mark.parametrize(
    ("origin", "rp_id"),
    [
        ("https://images.example.org", "images.example.org"),
        ("https://images.example.org:8443", "images.example.org"),
        ("http://localhost:8080", "localhost"),
        ("", ""),
    ],
)
def test_the_relying_party_is_the_host_of_the_origin(origin: str, rp_id: str) -> None:
    assert RelyingParty(origin, PARTY.verifier).rp_id == rp_id


def test_a_key_is_a_point_of_the_curve() -> None:
    key = DEVICE.key
    assert is_key(key)
    for other in (
        bytes(64),
        key[:32] + b"\0" + key[32:],
        key[:63],
        key + b"\0",
        key[:32] + bytes(32),
        b"\xff" * 64,
        b"",
    ):
        assert not is_key(other)


_VECTORS = json.loads((PROJECT / "tests" / "vectors" / "passkey.json").read_text())


@pytest.mark.parametrize("case", _VECTORS["cases"], ids=lambda case: case["name"])
def test_the_contract_s_vectors(case: dict[str, Any]) -> None:
    """What the contract's own tests say of these signatures, we say too."""
    party = RelyingParty(_VECTORS["origin"], PARTY.verifier)
    key = bytes.fromhex(_VECTORS["x"][2:] + _VECTORS["y"][2:])
    challenge, signature = bytes.fromhex(_VECTORS["challenge"][2:]), bytes.fromhex(case["signature"][2:])
    assert signed_by(party, key, challenge, signature) is case["good"]
