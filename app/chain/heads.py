"""Where the chain's head is, as a quorum of nodes sees it."""

from dataclasses import dataclass

from app.chain.blocks import Header, header_by_number, read_header
from app.chain.nodes import LATEST, DisagreementError, Nodes, QuorumError, WrongChainError
from app.chain.quantities import quantity
from app.chain.rpc import Call, Node, NodeRefusedError, RpcError
from app.core.identifiers import BlockRef


@dataclass(frozen=True, slots=True)
class Heads:
    """The highest block that a quorum has, and the highest that a quorum calls final (None unless asked for)."""

    head: Header
    final: BlockRef | None


@dataclass(frozen=True, slots=True)
class _Seen:
    chain_id: int
    head: Header
    final: BlockRef | None


async def poll_heads(nodes: Nodes, chain_id: int, *, final_tag: bool) -> Heads:
    """One look at every node. ``final_tag`` asks for the chain's own ``finalized`` block too.

    Raises WrongChainError, DisagreementError, QuorumError, or another RpcError of a single node.
    """

    async def look(node: Node) -> _Seen:
        calls = [Call("eth_chainId"), Call("eth_getBlockByNumber", (LATEST, False))]
        if final_tag:
            calls.append(Call("eth_getBlockByNumber", ("finalized", False)))
        answers = await node.batch(calls)
        for answer in answers:
            if isinstance(answer, NodeRefusedError):
                raise answer
        final = read_header(answers[2]).ref if final_tag else None
        return _Seen(quantity(answers[0], "the chain id"), read_header(answers[1]), final)

    answers = await nodes.each(look)
    seen = [answer for _node, answer in answers if not isinstance(answer, RpcError)]
    for node, answer in answers:
        if not isinstance(answer, RpcError) and answer.chain_id != chain_id:
            raise WrongChainError(f"{node.label} serves another chain")
    if len(seen) < nodes.quorum:
        if len(answers) == 1 and isinstance(answers[0][1], RpcError):
            raise answers[0][1]
        raise QuorumError("too few nodes told their head")
    head = await _head(nodes, [one.head for one in seen])
    return Heads(head, _final(nodes, [one.final for one in seen if one.final is not None]) if final_tag else None)


async def _head(nodes: Nodes, heads: list[Header]) -> Header:
    number = sorted((head.ref.number for head in heads), reverse=True)[nodes.quorum - 1]
    there = [head for head in heads if head.ref.number == number]
    if any(head != there[0] for head in there):
        raise DisagreementError("the nodes disagree about the head")
    if len(there) >= nodes.quorum:
        return there[0]
    # Some nodes are further on: they must have the same block at that number.
    agreed = await nodes.agreed(lambda node: header_by_number(node, number))
    if agreed != there[0]:
        raise DisagreementError("the nodes disagree about the head")
    return agreed


def _final(nodes: Nodes, finals: list[BlockRef]) -> BlockRef:
    number = sorted((final.number for final in finals), reverse=True)[nodes.quorum - 1]
    there = [final for final in finals if final.number == number]
    if any(final != there[0] for final in there):
        raise DisagreementError("the nodes disagree about the final block")
    return there[0]
