"""What counts as a passkey's signature: each field wrong once, and nothing else wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st

from app.core.identifiers import Address, Signer
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
from tests.support.authenticator import (
    ATTESTED,
    BACKED_UP,
    BACKUP_ELIGIBLE,
    EXTENDED,
    ORDER,
    PRESENT,
    VERIFIED,
    Answer,
    Authenticator,
    websafe,
)

DIGEST = bytes(range(32))
DEVICE = Authenticator()
PARTY = RelyingParty("http://localhost:8080", Address(b"\xaa" * 20))
GOOD = DEVICE.sign(DIGEST)
_NUMBERS = st.integers(0, 2**256 - 1)


def _with_client(**members: object) -> bytes:
    return DEVICE.sign(DIGEST, client_data=DEVICE.client_data("webauthn.get", DIGEST, **members)).encoded()


def _with_flags(flags: int, more: bytes = b"") -> bytes:
    return DEVICE.sign(DIGEST, authenticator_data=DEVICE.authenticator_data(flags, more)).encoded()


def _raw_client(text: bytes) -> bytes:
    return DEVICE.sign(DIGEST, client_data=text).encoded()


def _elsewhere(**where: str) -> bytes:
    device = Authenticator(private=DEVICE.private, **where)
    return device.sign(DIGEST).encoded()


def _plain_client() -> str:
    return DEVICE.client_data("webauthn.get", DIGEST).decode()


WELL_SIGNED: dict[str, Callable[[], bytes]] = {
    "as Chromium writes it": GOOD.encoded,
    "crossOrigin left out": lambda: _with_client(crossOrigin=None),
    "a member more": lambda: _with_client(other_keys_can_be_added_here="see the standard"),
    "members in another order": lambda: _raw_client(
        f'{{"origin":"{DEVICE.origin}","challenge":"{websafe(DIGEST)}","type":"webauthn.get"}}'.encode()
    ),
    "a passkey that could be copied": lambda: _with_flags(PRESENT | VERIFIED | BACKUP_ELIGIBLE),
    "a passkey that is copied": lambda: _with_flags(PRESENT | VERIFIED | BACKUP_ELIGIBLE | BACKED_UP),
    "with extensions": lambda: _with_flags(PRESENT | VERIFIED | EXTENDED, b"\xa0"),
}

# One thing wrong in each.
BADLY_SIGNED: dict[str, Callable[[], bytes]] = {
    "another challenge": lambda: DEVICE.sign(bytes(32)).encoded(),
    "made at registration": lambda: _with_client(type="webauthn.create"),
    "no type": lambda: _with_client(type=None),
    "no challenge": lambda: _with_client(challenge=None),
    "a padded challenge": lambda: _with_client(challenge=websafe(DIGEST) + "="),
    "no origin": lambda: _with_client(origin=None),
    "another port": lambda: _elsewhere(origin="http://localhost:8081"),
    "another scheme": lambda: _elsewhere(origin="https://localhost:8080"),
    "another page": lambda: _elsewhere(origin="http://localhost:8080.example.org"),
    "a trailing slash": lambda: _elsewhere(origin="http://localhost:8080/"),
    "in a frame": lambda: _with_client(crossOrigin=True),
    "crossOrigin in words": lambda: _with_client(crossOrigin="false"),
    "crossOrigin as a number": lambda: _with_client(crossOrigin=0),
    "in a frame of another page": lambda: _with_client(topOrigin="https://example.org"),
    "for another host": lambda: _elsewhere(rp_id="localhost.example.org"),
    "nobody present": lambda: _with_flags(VERIFIED),
    "nobody verified": lambda: _with_flags(PRESENT),
    "no flags": lambda: _with_flags(0),
    "copied though it cannot be": lambda: _with_flags(PRESENT | VERIFIED | BACKED_UP),
    "credential data announced": lambda: _with_flags(PRESENT | VERIFIED | ATTESTED),
    "extensions announced and none there": lambda: _with_flags(PRESENT | VERIFIED | EXTENDED),
    "bytes that nobody announced": lambda: _with_flags(PRESENT | VERIFIED, b"\xa0"),
    "authenticator data cut": lambda: DEVICE.sign(
        DIGEST, authenticator_data=DEVICE.authenticator_data()[:-1]
    ).encoded(),
    "authenticator data too long": lambda: _with_flags(PRESENT | VERIFIED | EXTENDED, bytes(512 - 36)),
    "client data too long": lambda: _with_client(more="x" * 1024),
    "a member twice": lambda: _raw_client(_plain_client().replace("{", '{"origin":"https://a.b",').encode()),
    "no JSON": lambda: _raw_client(_plain_client()[:-1].encode()),
    "JSON of another kind": lambda: _raw_client(f"[{_plain_client()}]".encode()),
    "the right words inside a string": lambda: _raw_client(
        _plain_client().replace('"type":"webauthn.get"', '"x":{"type":"webauthn.get"}').encode()
    ),
    "no UTF-8": lambda: _raw_client(_plain_client().replace("{", '{"x":"\xff",').encode("latin-1")),
    "spaces that the contract does not expect": lambda: _raw_client(_plain_client().replace(":", ": ", 1).encode()),
    "type elsewhere": lambda: GOOD.encoded(type_index=GOOD.client_data.find(b'"type"') + 1),
    "type out of bounds": lambda: GOOD.encoded(type_index=2**256 - 1),
    "challenge elsewhere": lambda: GOOD.encoded(challenge_index=GOOD.client_data.find(b'"challenge"') - 1),
    "challenge out of bounds": lambda: GOOD.encoded(challenge_index=2**64),
    "high s": lambda: GOOD.encoded(s=max(GOOD.s, ORDER - GOOD.s)),
    "s zero": lambda: GOOD.encoded(s=0),
    "r zero": lambda: GOOD.encoded(r=0),
    "r out of range": lambda: GOOD.encoded(r=ORDER),
    "another r": lambda: GOOD.encoded(r=GOOD.r ^ 1),
    "another s": lambda: GOOD.encoded(s=min(GOOD.s, ORDER - GOOD.s) ^ 1),
    "another passkey": lambda: Authenticator().sign(DIGEST).encoded(),
    "authenticator data of another assertion": lambda: GOOD.encoded(
        authenticator_data=Authenticator(count=7).authenticator_data()
    ),
    "client data of another assertion": lambda: GOOD.encoded(client_data=GOOD.client_data[:-1] + b',"x":1}'),
    "a wallet's signature": lambda: bytes(64) + b"\x1b",
    "nothing": lambda: b"",
    "the word in front": lambda: (32).to_bytes(32) + GOOD.encoded(),
    "a byte more": lambda: GOOD.encoded() + b"\0",
    "a byte less": lambda: GOOD.encoded()[:-1],
    "a gap": lambda: _with_a_gap(GOOD),
    "both parts at one place": lambda: _heads(GOOD, 192, 192) + GOOD.encoded()[192:],
    "a part far outside": lambda: _heads(GOOD, 2**255, 288) + GOOD.encoded()[192:],
    "padding that is not zero": lambda: GOOD.encoded()[:-1] + b"\x01",
}


def _heads(answer: Answer, data_at: int, client_at: int) -> bytes:
    return answer.encoded()[:128] + data_at.to_bytes(32) + client_at.to_bytes(32)


def _with_a_gap(answer: Answer) -> bytes:
    return _heads(answer, 224, 320) + bytes(32) + answer.encoded()[192:]


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
        assert signed_by(PARTY, DEVICE.key, DIGEST, _with_client(more="x" * more)) is believed
    for length, believed in ((MAX_AUTHENTICATOR_DATA_BYTES, True), (MAX_AUTHENTICATOR_DATA_BYTES + 1, False)):
        signature = _with_flags(PRESENT | VERIFIED | EXTENDED, bytes(length - 37))
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
    for other in (bytes(64), key[:63], key + b"\0", key[:32] + bytes(32), b"\xff" * 64, b""):
        assert not is_key(other)
