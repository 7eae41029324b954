"""Who stands behind a digest: accounts, contract wallets and verified keys, as the contracts see it."""

from dataclasses import dataclass, field

import pytest
from coincurve import PrivateKey
from eth_abi.abi import encode

from app.chain.nodes import Nodes
from app.chain.rpc import NodeRefusedError, RpcError
from app.chain.wallets import stands_behind
from app.core.consent.basis import MAX_SIGNER_BYTES
from app.core.identifiers import Address, Signer
from app.core.signing.claim_code import claim_address, sign_digest
from app.core.signing.passkey import RelyingParty
from tests.support.authenticator import Authenticator

KEY = PrivateKey(bytes(31) + b"\x05")
ACCOUNT = claim_address(KEY)
DIGEST = bytes(range(32))
SIGNATURE = sign_digest(KEY, DIGEST)
FOREIGN = b"\x01" * 70
WALLET_MAGIC = bytes.fromhex("1626ba7e").ljust(32, b"\0")
VERIFIER_MAGIC = bytes.fromhex("024ad318").ljust(32, b"\0")
PASSKEY = b"\x33" * 64
PARTY = RelyingParty("http://localhost:8080", Address(b"\x99" * 20))


@dataclass(slots=True)
class Node:
    """A node that has this code everywhere, whose every call answers the same; it remembers what it was asked."""

    code: bytes = b"\x60"
    answer: bytes = b""
    asked: list[tuple[Address, bytes, int]] = field(default_factory=list)

    async def get_code(self, _address: Address) -> bytes:
        return self.code

    async def static_call(self, to: Address, data: bytes, gas: int) -> bytes:
        self.asked.append((to, data, gas))
        return self.answer


class DeadNode:
    """A node that cannot be asked."""

    async def get_code(self, _address: Address) -> bytes:
        raise RpcError("dead")

    async def static_call(self, _to: Address, _data: bytes, _gas: int) -> bytes:
        raise RpcError("dead")


async def test_a_key_needs_no_node() -> None:
    assert await stands_behind(DeadNode(), Signer(ACCOUNT), DIGEST, SIGNATURE, PARTY)
    with pytest.raises(RpcError):
        await stands_behind(DeadNode(), Signer(ACCOUNT), DIGEST, FOREIGN, PARTY)


async def test_an_account_without_code_is_not_asked() -> None:
    node = Node(code=b"", answer=WALLET_MAGIC)
    assert not await stands_behind(node, Signer(ACCOUNT), DIGEST, FOREIGN, PARTY)
    assert not node.asked


@pytest.mark.parametrize(
    ("answer", "believed"),
    [
        (WALLET_MAGIC, True),
        (WALLET_MAGIC + b"more", True),
        (VERIFIER_MAGIC, False),
        (WALLET_MAGIC[:31], False),
        (WALLET_MAGIC[:31] + b"\x01", False),
        (b"", False),
    ],
)
async def test_a_contract_wallet_says_so_itself(answer: bytes, *, believed: bool) -> None:
    node = Node(answer=answer)
    assert await stands_behind(node, Signer(ACCOUNT), DIGEST, FOREIGN, PARTY) is believed
    ((to, data, gas),) = node.asked
    assert (to, data[:4]) == (ACCOUNT, WALLET_MAGIC[:4])
    assert data[4:] == encode(["bytes32", "bytes"], [DIGEST, FOREIGN])
    assert 500_000 < gas < 540_000, "what the contracts give, and the cost of the call itself"


async def test_a_longer_signer_is_its_verifiers_to_judge() -> None:
    signer = Signer(ACCOUNT + PASSKEY)
    node = Node(answer=VERIFIER_MAGIC)
    assert await stands_behind(node, signer, DIGEST, FOREIGN, PARTY)
    ((to, data, _gas),) = node.asked
    assert (to, data[:4]) == (ACCOUNT, VERIFIER_MAGIC[:4])
    assert data[4:] == encode(["bytes", "bytes32", "bytes"], [PASSKEY, DIGEST, FOREIGN])
    # Whoever holds the key of the verifier's address signs for nobody else; nor does a wallet's word count there.
    for refusing in (Node(), Node(answer=WALLET_MAGIC), Node(code=b"", answer=VERIFIER_MAGIC)):
        assert not await stands_behind(refusing, signer, DIGEST, SIGNATURE, PARTY)


async def test_a_passkey_of_ours_is_judged_here_and_needs_no_node() -> None:
    device = Authenticator()
    signer, signature = PARTY.signer(device.key), device.sign(DIGEST).encoded()
    assert await stands_behind(DeadNode(), signer, DIGEST, signature, PARTY)
    # Whatever the verifier on the chain would say of these, it does not know our origin.
    elsewhere = Authenticator(private=device.private, origin="http://localhost:8081")
    for other in (elsewhere.sign(DIGEST).encoded(), device.sign(bytes(32)).encoded(), signature[:-1], b"", SIGNATURE):
        assert not await stands_behind(Node(answer=VERIFIER_MAGIC), signer, DIGEST, other, PARTY)
    for other in (signer[:-1], signer + b"\0", signer[:20]):
        assert not await stands_behind(Node(answer=VERIFIER_MAGIC), Signer(other), DIGEST, signature, PARTY)
        assert not await stands_behind(Node(answer=WALLET_MAGIC), Signer(other), DIGEST, signature, PARTY)


@pytest.mark.parametrize(
    "signer", [b"", ACCOUNT[:19], bytes(20), bytes(20) + PASSKEY, bytes([1]) * (MAX_SIGNER_BYTES + 1)]
)
async def test_what_the_contracts_would_not_bind_signs_nothing(signer: bytes) -> None:
    assert not await stands_behind(Node(answer=WALLET_MAGIC), Signer(signer), DIGEST, SIGNATURE, PARTY)


@pytest.mark.parametrize(
    ("refusal", "fails"),
    [
        (NodeRefusedError("node 1", 3, "", None), True),
        (NodeRefusedError("node 1", -32000, "execution reverted", None), True),
        (NodeRefusedError("node 1", -32000, "out of gas", None), True),
        (NodeRefusedError("node 1", -32015, "VM error", b""), True),
        (NodeRefusedError("node 1", -32603, "EVM error InvalidOperandOOG", None), True),
        (NodeRefusedError("node 1", -32005, "rate limit exceeded", None), False),
        (NodeRefusedError("node 1", -32000, "header not found", None), False),
    ],
)
async def test_a_node_that_refuses_is_no_wallet_that_does(
    monkeypatch: pytest.MonkeyPatch, refusal: NodeRefusedError, *, fails: bool
) -> None:
    async def refuse(*_arguments: object, **_options: object) -> object:
        raise refusal

    monkeypatch.setattr("app.chain.rpc.Node.call", refuse)
    nodes = Nodes.of(["http://127.0.0.1:1"])
    if fails:
        assert await nodes.static_call(ACCOUNT, b"", 1) == b""
    else:
        with pytest.raises(RpcError):
            await nodes.static_call(ACCOUNT, b"", 1)
