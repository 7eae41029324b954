"""PasskeyVerifier on a real chain: whatever the gateway takes for a passkey's signature, the contract takes."""

import random
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

from app.chain.wallets import stands_behind
from app.core.identifiers import Address, Signer
from app.core.signing.passkey import RelyingParty, decode, encode, signed_by
from tests.support.authenticator import ORDER, Authenticator
from tests.support.chain import Chain
from tests.support.passkey_cases import BADLY_SIGNED, DEVICE, DIGEST, GOOD, WELL_SIGNED, with_client, with_flags

_NOBODY = RelyingParty("", Address(b"\x01" * 20))
# What the contract lets pass: it knows no origin, reads no JSON, and decodes the way Solidity does.
_ONLY_THE_GATEWAY_REFUSES = {
    "no origin",
    "another port",
    "another scheme",
    "another page",
    "a trailing slash",
    "in a frame",
    "crossOrigin in words",
    "crossOrigin as a number",
    "in a frame of another page",
    "credential data announced",
    "extensions announced and none there",
    "bytes that nobody announced",
    "authenticator data too long",
    "client data too long",
    "a member twice",
    "no JSON",
    "JSON of another kind",
    "the right words inside a string",
    "the right challenge inside of something else",
    "no UTF-8",
    "a byte more",
    "a byte less",
    "a gap",
    "padding that is not zero",
}
_MUTATIONS = 250


async def _contract_takes(chain: Chain, signature: bytes, key: bytes = DEVICE.key) -> bool:
    """As the registries ask it, in the same gas. To a party that is not ours the node is asked."""
    signer = Signer(chain.deployment.address("PasskeyVerifier") + key)
    return await stands_behind(chain.nodes, signer, DIGEST, signature, _NOBODY)


def _gateway_takes(signature: bytes, key: bytes = DEVICE.key) -> bool:
    return signed_by(Authenticator.party(_NOBODY.verifier), key, DIGEST, signature)


async def test_both_take_the_good_ones(chain: Chain) -> None:
    for case, made in WELL_SIGNED.items():
        signature = made()
        assert (_gateway_takes(signature), await _contract_takes(chain, signature)) == (True, True), case
    longest = [with_client(more="x" * 850), with_flags(0x85, bytes(512 - 37))]
    for signature in longest:
        assert (_gateway_takes(signature), await _contract_takes(chain, signature)) == (True, True)


async def test_what_the_contract_refuses_the_gateway_refuses(chain: Chain) -> None:
    contract_takes = set()
    for case, made in BADLY_SIGNED.items():
        signature = made()
        assert not _gateway_takes(signature), case
        if await _contract_takes(chain, signature):
            contract_takes.add(case)
    assert contract_takes == _ONLY_THE_GATEWAY_REFUSES


async def test_of_garbage_and_mutations_none_is_taken_by_the_gateway_alone(chain: Chain, rng: random.Random) -> None:
    both = 0
    for _ in range(_MUTATIONS):
        key, signature = _mutated(rng)
        ours = _gateway_takes(signature, key)
        if ours or rng.random() < 0.5:
            theirs = await _contract_takes(chain, signature, key)
            assert theirs or not ours, signature.hex()
            both += ours and theirs
    assert both > 0, "some are good, or nothing was compared"


async def test_no_key_that_is_none_verifies(chain: Chain) -> None:
    for key in (bytes(64), DEVICE.key[:63], DEVICE.key + b"\0", b"\xff" * 64, b""):
        assert not await _contract_takes(chain, GOOD.encoded(), key)


def _mutated(rng: random.Random) -> tuple[bytes, bytes]:
    """A passkey and a signature: good, garbage, with bits flipped, or with its fields moved about."""
    device = Authenticator(private=derive_private_key(rng.randrange(1, ORDER), SECP256R1()))
    signature = device.sign(DIGEST).encoded()
    assertion = decode(signature)
    assert assertion is not None
    kind = rng.randrange(6)
    if kind < 2:
        return device.key, signature if kind else rng.randbytes(rng.randrange(700))
    if kind == 2:
        flipped = bytearray(signature)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        return device.key, bytes(flipped)
    if kind == 3:
        return device.key, signature[: rng.randrange(len(signature))] + rng.randbytes(rng.randrange(3))
    if kind == 4:
        return device.key, encode(replace(assertion, s=ORDER - assertion.s))
    field = rng.choice(["type_index", "challenge_index"])
    changes: dict[str, Any] = {field: rng.choice([0, 1, rng.randrange(300), 2**256 - 1])}
    return device.key, encode(replace(assertion, **changes))
