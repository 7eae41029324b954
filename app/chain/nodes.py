"""Several nodes asked as one: they must agree, and until they do nothing is known.

Each question goes to every node at once. An answer counts when a quorum gave it and no node gave another one; a node
that is silent, broken or does not have the block yet gives no answer. One node is a quorum of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from app.chain.quantities import MalformedAnswerError, data, quantity, to_data, to_quantity
from app.chain.rpc import Limits, Node, NodeRefusedError, NodeUnavailableError, RpcError
from app.core.identifiers import Address

T = TypeVar("T")

LATEST = "latest"
# How the EVM ends a call other than by a revert, in the nodes' words.
_CODE_FAILS = ("evm error", "out of gas", "outofgas", "opcode", "invalid jump", "stack", "static")
# Once a quorum has answered, the others have this long to contradict it: a hanging node must not slow every question.
_GRACE_S = 0.3


class DisagreementError(RpcError):
    """Two nodes gave different answers to one question."""


class WrongChainError(RpcError):
    """A node serves another chain than the configured one."""


class QuorumError(NodeUnavailableError):
    """Too few nodes gave a usable answer."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The configured nodes in order of preference. ``quorum`` is how many must say the same."""

    nodes: tuple[Node, ...]
    quorum: int
    grace_s: float = _GRACE_S

    @classmethod
    def of(cls, urls: Sequence[str], limits: Limits | None = None, quorum: int | None = None) -> Self:
        """Nodes at these addresses; the quorum is their majority unless given. Raises ValueError."""
        needed = len(urls) // 2 + 1 if quorum is None else quorum
        if not urls or not len(urls) // 2 < needed <= len(urls):
            raise ValueError("the quorum must be a majority of the nodes")
        kept = limits or Limits()
        return cls(tuple(Node(url, f"node {at}", kept) for at, url in enumerate(urls, 1)), needed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Drops every pooled connection."""
        for node in self.nodes:
            await node.close()

    async def each(self, ask: Callable[[Node], Awaitable[T]]) -> list[tuple[Node, T | RpcError]]:
        """What each node makes of one question, as far as it came in time: failures are values."""
        asked = {asyncio.ensure_future(_answered(node, ask)): node for node in self.nodes}
        waiting = set(asked)
        loop = asyncio.get_running_loop()
        until: float | None = None
        try:
            while waiting:
                left = None if until is None else max(0.0, until - loop.time())
                done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    break
                given = sum(not isinstance(one.result(), RpcError) for one in asked.keys() - waiting)
                if until is None and given >= self.quorum:
                    until = loop.time() + self.grace_s
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        for one in waiting:
            asked[one].note("slower than the others")
        late = NodeUnavailableError("a node answered later than the others")
        return [(node, late if one in waiting else one.result()) for one, node in asked.items()]

    async def agreed(self, ask: Callable[[Node], Awaitable[T | None]]) -> T | None:
        """The answer that a quorum gives and nobody contradicts; None when a quorum answered but too few have it.

        Raises DisagreementError, QuorumError, or a NodeRefusedError when every answer was a refusal.
        """
        answers = [answer for _node, answer in await self.each(ask)]
        given = [answer for answer in answers if not isinstance(answer, RpcError)]
        if len(given) < self.quorum:
            refusals = [answer for answer in answers if isinstance(answer, NodeRefusedError)]
            if refusals and not given and len(refusals) >= self.quorum:
                raise refusals[0]
            if len(self.nodes) == 1 and isinstance(answers[0], RpcError):
                raise answers[0]
            raise QuorumError("too few nodes gave a usable answer")
        known = [answer for answer in given if answer is not None]
        if any(answer != known[0] for answer in known):
            raise DisagreementError("the nodes disagree")
        return known[0] if len(known) >= self.quorum else None

    async def first(self, ask: Callable[[Node], Awaitable[T]]) -> T:
        """The first usable answer in order of preference. A refusal is an answer: it is raised, not asked again.

        For what is checked elsewhere (a simulation, a fee, a broadcast), never for what is believed.
        Raises NodeRefusedError or QuorumError.
        """
        for node in self.nodes:
            answer = await _answered(node, ask)
            if isinstance(answer, NodeRefusedError):
                raise answer
            if not isinstance(answer, RpcError):
                return answer
            if len(self.nodes) == 1:
                raise answer
        raise QuorumError("no node gave a usable answer")

    async def check_chain(self, chain_id: int) -> None:
        """Raises WrongChainError when any node serves another chain, QuorumError when too few can be asked."""

        async def ask(node: Node) -> int:
            return quantity(await node.call("eth_chainId"), "the chain id")

        answers = await self.each(ask)
        for node, answer in answers:
            if not isinstance(answer, RpcError) and answer != chain_id:
                raise WrongChainError(f"{node.label} serves chain {answer}, not {chain_id}")
        if sum(not isinstance(answer, RpcError) for _node, answer in answers) < self.quorum:
            raise QuorumError("too few nodes could be asked for their chain")

    async def get_code(self, address: Address) -> bytes:
        """The code at an address at the head, agreed; empty where there is none. Raises RpcError."""

        async def ask(node: Node) -> bytes:
            return data(await node.call("eth_getCode", to_data(address), LATEST), "the code")

        return await self.agreed(ask) or b""

    async def static_call(self, to: Address, data_: bytes, gas: int) -> bytes:
        """What the contract at ``to`` answers at the head, agreed; b"" where its code fails. Raises RpcError, also when
        the nodes refuse for a reason of their own.
        """
        call = {"to": to_data(to), "data": to_data(data_), "gas": to_quantity(gas)}

        async def ask(node: Node) -> bytes:
            try:
                return data(await node.call("eth_call", call, LATEST), "the call's answer")
            except NodeRefusedError as refused:
                if refused.reverted or any(words in refused.reason.lower() for words in _CODE_FAILS):
                    return b""
                raise

        return await self.agreed(ask) or b""


async def _answered(node: Node, ask: Callable[[Node], Awaitable[T]]) -> T | RpcError:
    try:
        answer = await ask(node)
    except NodeRefusedError as refused:  # an answer, and the asker's to judge
        node.note(None)
        return refused
    except RpcError as error:
        node.note(str(error))
        return error
    except MalformedAnswerError as error:
        node.note(f"a malformed answer: {error}")
        return NodeUnavailableError(f"{node.label} gave a malformed answer: {error}")
    node.note(None)
    return answer
