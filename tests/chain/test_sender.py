"""Transactions in pieces: every step can be repeated, replaced or lost, and what became of it can be told."""

import pytest

from app.chain.contracts import CallData
from app.chain.nodes import LATEST, Nodes
from app.chain.quantities import to_data
from app.chain.rpc import Node, NodeRefusedError, NodeUnavailableError
from app.chain.sender import (
    Broadcast,
    Fees,
    Receipt,
    Signed,
    Signer,
    Unmined,
    Unsigned,
    account_nonce,
    broadcast,
    estimate_fees,
    fate,
    receipt,
    unsigned,
    with_margin,
)
from app.core.identifiers import Address, PatientKey, UnixTime
from tests.support.chain import Chain, signer
from tests.support.lying_node import lying_node

KEY = PatientKey(b"\x09" * 32)
CLAIM_KEY = Address(b"\x11" * 20)
REGISTRAR = signer("registrar")


async def prepared(chain: Chain, nonce: int | None = None, fees: Fees | None = None) -> Signed:
    """An enrolment as a caller stores it before it broadcasts."""
    call = chain.contracts.patients.enrol(KEY, CLAIM_KEY, UnixTime(await chain.time() + 3600))
    gas = with_margin(await chain.contracts.estimate_gas(chain.nodes, call, REGISTRAR.address))
    number = await account_nonce(chain.nodes, REGISTRAR.address) if nonce is None else nonce
    kept = fees or await estimate_fees(chain.nodes)
    return REGISTRAR.sign(unsigned(chain.deployment.chain_id, number, call, gas, kept))


async def what_became(chain: Chain, *versions: Signed) -> Receipt | Unmined:
    return await fate(chain.nodes, REGISTRAR.address, versions[0].account_nonce, [version.hash for version in versions])


async def test_a_broadcast_may_be_repeated_before_and_after_it_is_mined(chain: Chain) -> None:
    await chain.rpc("evm_setAutomine", False)
    signed = await prepared(chain)
    assert await what_became(chain, signed) is Unmined.DROPPED
    assert await broadcast(chain.nodes, signed.raw) is Broadcast.ACCEPTED
    assert await broadcast(chain.nodes, signed.raw) is Broadcast.ACCEPTED
    assert await what_became(chain, signed) is Unmined.PENDING
    assert await receipt(chain.nodes, signed.hash) is None
    await chain.mine()
    assert await broadcast(chain.nodes, signed.raw) is Broadcast.NONCE_TAKEN
    found = await what_became(chain, signed)
    assert isinstance(found, Receipt)
    assert (found.succeeded, found.block.number) == (True, await chain.height())


async def test_a_stuck_transaction_is_replaced_at_its_nonce(chain: Chain) -> None:
    await chain.rpc("evm_setAutomine", False)
    first = await prepared(chain)
    await broadcast(chain.nodes, first.raw)
    cheaper = await prepared(chain, first.account_nonce, Fees(first.fees.max_fee_wei - 1, first.fees.tip_wei))
    assert await broadcast(chain.nodes, cheaper.raw) is Broadcast.UNDERPRICED
    second = await prepared(chain, first.account_nonce, first.fees.raised(await estimate_fees(chain.nodes)))
    assert await broadcast(chain.nodes, second.raw) is Broadcast.ACCEPTED
    await chain.mine()
    assert await receipt(chain.nodes, first.hash) is None
    found = await what_became(chain, first, second)
    assert isinstance(found, Receipt)
    assert found.tx_hash == second.hash
    assert await what_became(chain, first) is Unmined.DISPLACED


async def test_a_fork_drops_a_transaction_and_the_same_bytes_bring_it_back(chain: Chain) -> None:
    signed = await prepared(chain)
    await broadcast(chain.nodes, signed.raw)
    await chain.settle()
    assert isinstance(await what_became(chain, signed), Receipt)
    await chain.reorg(1)
    assert await what_became(chain, signed) is Unmined.DROPPED
    assert await broadcast(chain.nodes, signed.raw) is Broadcast.ACCEPTED
    await chain.settle()
    again = await what_became(chain, signed)
    assert isinstance(again, Receipt)
    assert again.succeeded


async def test_a_revert_is_a_receipt_that_did_not_succeed(chain: Chain) -> None:
    call = chain.contracts.patients.enrol(KEY, CLAIM_KEY, UnixTime(0))
    sent = await chain.submit(REGISTRAR, call)
    await chain.settle()
    found = await receipt(chain.nodes, sent)
    assert found is not None
    assert not found.succeeded


async def test_an_account_that_cannot_pay_is_told(chain: Chain) -> None:
    await chain.rpc("anvil_setBalance", to_data(REGISTRAR.address), "0x1")
    signed = REGISTRAR.sign(Unsigned(chain.deployment.chain_id, 0, CLAIM_KEY, b"", 21_000, Fees(10**12, 10**9)))
    assert await broadcast(chain.nodes, signed.raw) is Broadcast.UNFUNDED
    assert await broadcast(chain.nodes, b"\x02") is Broadcast.REFUSED


async def test_the_receipt_of_another_transaction_is_not_taken(chain: Chain) -> None:
    signed = await prepared(chain)
    await broadcast(chain.nodes, signed.raw)
    await chain.settle()
    async with lying_node(chain.anvil.node) as liar:
        liar.twist = lambda _method, _params, result: result | {"transactionHash": "0x" + "ab" * 32}
        async with Nodes.of([liar.url]) as nodes:
            with pytest.raises(NodeUnavailableError):
                await receipt(nodes, signed.hash)


async def test_the_nonce_counts_what_waits_only_when_asked(chain: Chain) -> None:
    await chain.rpc("evm_setAutomine", False)
    before = await account_nonce(chain.nodes, REGISTRAR.address)
    await broadcast(chain.nodes, (await prepared(chain)).raw)
    assert await account_nonce(chain.nodes, REGISTRAR.address, LATEST) == before
    assert await account_nonce(chain.nodes, REGISTRAR.address, "pending") == before + 1


def test_signing_repeats_to_the_byte_and_shows_no_key() -> None:
    one = Signer.of(b"\x01" * 32)
    transaction = unsigned(31337, 7, CallData(CLAIM_KEY, b"\x01"), 50_000, Fees(2, 1))
    assert one.sign(transaction) == one.sign(transaction)
    assert one.sign(transaction).hash != one.sign(unsigned(1, 7, CallData(CLAIM_KEY, b"\x01"), 50_000, Fees(2, 1))).hash
    assert ("01" * 32) not in repr(one)
    with pytest.raises(ValueError, match="not a private key") as refused:
        Signer.of(b"\xff" * 32)
    assert "ff" * 8 not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        ("already known", Broadcast.ACCEPTED),
        ("AlreadyKnown", Broadcast.ACCEPTED),
        ("transaction already imported", Broadcast.ACCEPTED),
        ("nonce too low: next nonce 5, tx nonce 4", Broadcast.NONCE_TAKEN),
        ("OldNonce, Current nonce: 1", Broadcast.NONCE_TAKEN),
        ("replacement transaction underpriced", Broadcast.UNDERPRICED),
        ("transaction underpriced: gas tip cap 0, minimum needed 1", Broadcast.UNDERPRICED),
        ("max fee per gas less than block base fee", Broadcast.UNDERPRICED),
        ("insufficient funds for gas * price + value", Broadcast.UNFUNDED),
        ("Upfront cost exceeds account balance", Broadcast.UNFUNDED),
        ("intrinsic gas too low", Broadcast.REFUSED),
        ("", Broadcast.REFUSED),
    ],
)
async def test_what_nodes_say_to_a_transaction(monkeypatch: pytest.MonkeyPatch, words: str, meaning: Broadcast) -> None:
    async def refuse(_node: Node, *_call: object) -> object:
        raise NodeRefusedError("node 1", -32000, words, None)

    monkeypatch.setattr(Node, "call", refuse)
    async with Nodes.of(["http://127.0.0.1:9"]) as nodes:
        assert await broadcast(nodes, b"any") is meaning


def test_raised_fees_replace_and_capped_fees_do_not_exceed() -> None:
    market = Fees(50, 2)
    raised = Fees(100, 10).raised(market)
    assert raised.max_fee_wei >= 110
    assert raised.tip_wei >= 11
    assert Fees(1, 1).raised(market) == market
    assert raised.capped(60) == Fees(60, raised.tip_wei)
    assert Fees(100, 90).capped(60) == Fees(60, 60)
