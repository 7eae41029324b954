"""Several nodes as one: a quorum must say the same, nobody may say otherwise, and a hanging node slows nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.chain.nodes import DisagreementError, Nodes, QuorumError, WrongChainError
from app.chain.rpc import Node, NodeRefusedError, NodeUnavailableError, RpcError
from app.core.identifiers import Address
from tests.support.chain import Chain
from tests.support.lying_node import lying_node

NOWHERE = "http://127.0.0.1:9"
DOWN = NodeUnavailableError("down")


def asked(*answers: object) -> Callable[[Node], Awaitable[Any]]:
    """Each node's answer by its place; an exception is raised, "hang" never answers."""

    async def ask(node: Node) -> object:
        answer = answers[int(node.label.split()[1]) - 1]
        if answer == "hang":
            await asyncio.sleep(3600)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ask


def nodes(count: int, quorum: int | None = None) -> Nodes:
    made = Nodes.of([NOWHERE] * count, quorum=quorum)
    return Nodes(made.nodes, made.quorum, grace_s=0.05)


@pytest.mark.parametrize(
    ("answers", "agreed"),
    [
        ([1], 1),
        ([None], None),
        ([1, 1], 1),
        ([1, None], None),
        ([1, 1, None], 1),
        ([1, None, None], None),
        ([1, DOWN, 1], 1),
        (["hang", 1, 1], 1),
        ([0, 0, 0], 0),
        (["hang", (), ()], ()),
    ],
)
async def test_a_quorum_decides(answers: list[object], agreed: Any) -> None:
    assert await nodes(len(answers)).agreed(asked(*answers)) == agreed


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([DOWN], NodeUnavailableError),
        ([1, 2], DisagreementError),
        ([1, 1, 2], DisagreementError),
        ([1, DOWN], QuorumError),
        ([1, DOWN, DOWN], QuorumError),
        ([NodeRefusedError("node 1", 3, "", None)] * 3, NodeRefusedError),
        ([1, NodeRefusedError("node 2", 3, "", None)], QuorumError),
    ],
)
async def test_without_agreement_there_is_no_answer(answers: list[object], error: type[Exception]) -> None:
    with pytest.raises(error):
        await nodes(len(answers)).agreed(asked(*answers))


async def test_the_first_usable_answer_in_order() -> None:
    assert await nodes(3).first(asked(DOWN, 2, 3)) == 2
    with pytest.raises(NodeRefusedError):
        await nodes(3).first(asked(NodeRefusedError("node 1", 3, "", None), 2, 3))
    with pytest.raises(QuorumError):
        await nodes(2).first(asked(DOWN, DOWN))


@pytest.mark.parametrize(("count", "quorum"), [(0, None), (2, 1), (4, 2), (3, 4)])
def test_a_quorum_is_a_majority(count: int, quorum: int | None) -> None:
    with pytest.raises(ValueError, match="majority"):
        Nodes.of([NOWHERE] * count, quorum=quorum)


async def test_one_node_of_another_chain_is_enough_to_refuse(chain: Chain) -> None:
    await chain.nodes.check_chain(31337)
    with pytest.raises(WrongChainError, match="node 1 serves chain 31337, not 1"):
        await chain.nodes.check_chain(1)
    async with lying_node(chain.anvil.node) as other:
        other.twist = lambda _method, _params, _result: "0x2"
        async with Nodes.of([chain.anvil.url, chain.anvil.url, other.url]) as three:
            with pytest.raises(WrongChainError, match="node 3"):
                await three.check_chain(31337)
    async with Nodes.of([NOWHERE, NOWHERE]) as dead:
        with pytest.raises(RpcError):
            await dead.check_chain(31337)


async def test_code_and_calls_for_contract_wallets(chain: Chain) -> None:
    assert await chain.nodes.get_code(chain.deployment.address("AccessLog"))
    assert await chain.nodes.get_code(Address(b"\x01" * 20)) == b""
    log = chain.contracts.log
    assert await chain.nodes.static_call(log.address, log.next_seq().call.data, 100_000) == bytes(32)
    assert await chain.nodes.static_call(log.address, b"\xff\xff\xff\xff", 100_000) == b""


async def test_a_failing_node_is_logged_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    three = nodes(3)
    for _ in range(3):
        await three.agreed(asked(1, 1, DOWN))
    for _ in range(2):
        await three.agreed(asked(1, 1, 1))
    assert [record.getMessage() for record in caplog.records] == ["node 3 fails: down", "node 3 answers again"]
