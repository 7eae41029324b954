"""The head as a quorum sees it, with nodes at different heights, on different forks, or of different opinions."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.chain.heads import poll_heads
from app.chain.nodes import DisagreementError, Nodes, QuorumError
from app.chain.rpc import NodeUnavailableError
from tests.support.chain import Chain
from tests.support.lying_node import LyingNode, lying_node


@dataclass(slots=True)
class Three:
    """Three nodes over one chain, each of which may show an older head."""

    nodes: Nodes
    each: tuple[LyingNode, LyingNode, LyingNode]
    chain: Chain

    async def lag(self, *blocks: int) -> None:
        """How far behind each node is: it has no later block, and calls the one before its head final."""
        height = await self.chain.height()
        for node, behind in zip(self.each, blocks, strict=True):
            top = height - behind
            shown = {
                "latest": await self.chain.rpc("eth_getBlockByNumber", hex(top), False),
                "finalized": await self.chain.rpc("eth_getBlockByNumber", hex(top - 1), False),
            }

            def twist(_method: str, params: list[Any], result: Any, shown: Any = shown, top: int = top) -> Any:
                if not params:
                    return result
                later = result is not None and int(result["number"], 16) > top
                return shown.get(params[0], None if later else result)

            node.twist = twist


@pytest.fixture
async def three(chain: Chain) -> AsyncIterator[Three]:
    await chain.mine(6)
    behind = chain.anvil.node
    async with (
        lying_node(behind) as one,
        lying_node(behind) as two,
        lying_node(behind) as last,
        Nodes.of([one.url, two.url, last.url]) as nodes,
    ):
        yield Three(nodes, (one, two, last), chain)


@pytest.mark.parametrize(
    ("behind", "head", "final"),
    [((0, 0, 0), 0, 1), ((2, 0, 0), 0, 1), ((0, 1, 3), 1, 2), ((4, 4, 0), 4, 5), ((1, 2, 2), 2, 3)],
)
async def test_the_head_is_the_highest_that_a_quorum_has(
    three: Three, behind: tuple[int, int, int], head: int, final: int
) -> None:
    await three.lag(*behind)
    heads = await poll_heads(three.nodes, 31337, final_tag=True)
    height = await three.chain.height()
    assert heads.head.ref.number == height - head
    assert heads.final is not None
    assert heads.final.number == height - final


async def test_finality_is_asked_for_only_when_it_is_used(three: Three) -> None:
    assert (await poll_heads(three.nodes, 31337, final_tag=False)).final is None


@pytest.mark.parametrize("tag", ["latest", "finalized"])
async def test_two_blocks_of_one_number_are_a_disagreement(three: Three, tag: str) -> None:
    def other(_method: str, params: list[Any], result: Any) -> Any:
        return result | {"hash": "0x" + "ab" * 32} if params[:1] == [tag] else result

    three.each[1].twist = other
    with pytest.raises(DisagreementError):
        await poll_heads(three.nodes, 31337, final_tag=True)


async def test_a_node_further_on_must_have_the_same_block_below(three: Three) -> None:
    await three.lag(1, 3, 0)

    def other(_method: str, params: list[Any], result: Any) -> Any:
        is_number = params and params[0].startswith("0x")
        return result | {"hash": "0x" + "ab" * 32} if is_number else result

    three.each[2].twist = other
    with pytest.raises(DisagreementError):
        await poll_heads(three.nodes, 31337, final_tag=False)


async def test_too_few_nodes_tell_no_head(three: Three) -> None:
    for node in three.each[:2]:
        node.twist = lambda _method, _params, _result: None
    with pytest.raises(QuorumError):
        await poll_heads(three.nodes, 31337, final_tag=False)
    async with Nodes.of([three.each[0].url]) as one:
        with pytest.raises(NodeUnavailableError):
            await poll_heads(one, 31337, final_tag=False)
