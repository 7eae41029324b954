"""The mirror from nothing: every event since the deployment block folded up to a final one (P9)."""

from collections.abc import Callable
from functools import partial

from app.chain.blocks import Header, header_by_number
from app.chain.deployment import Deployment, check
from app.chain.heads import Heads
from app.chain.history import stretches
from app.chain.nodes import QuorumError
from app.core.consent.fold import ContradictionError, fold
from app.core.consent.mirror import Mirror, begin
from app.core.consent.state import GENESIS
from app.loops.catch_up import HistoryError, Source
from app.loops.listening import Listener

# Blocks done, blocks in all.
Progress = Callable[[int, int], None]


async def rebuild(
    source: Source,
    deployment: Deployment,
    final_number: int,
    max_depth: int,
    progress: Progress,
    listener: Listener | None = None,
) -> Mirror:
    """A mirror whose final block has that number, or is the deployment's when that is higher. ``listener`` is told of
    the events on the way that it has not heard of.

    Raises RpcError, DeploymentError (the contracts are not there), or HistoryError when the events contradict each
    other or the chain was reorganised meanwhile.
    """
    await check(deployment, source.nodes)
    first = deployment.block.number
    final = await _final(source, max(final_number, first))
    state = GENESIS
    wanted_after = None if listener is None else listener.resume_after()
    progress(0, final.ref.number - first)
    async for stretch in stretches(source.nodes, source.addresses, first + 1, final.ref.number):
        for log in stretch.logs:
            event = source.reader.event(log.address, log.topics, log.data)
            if event is None:
                continue
            before = state
            try:
                state = fold(before, event)
            except ContradictionError as contradiction:
                raise HistoryError(f"the chain's events contradict each other ({contradiction})") from None
            if listener is not None and wanted_after is not None and log.block.number > wanted_after:
                listener.replayed(log.block.number, before, event, state)
        progress(stretch.last - first, final.ref.number - first)
    if await _final(source, final.ref.number) != final:
        raise HistoryError("the final block changed while its history was read")
    return begin(final.ref, final.timestamp, state, max_depth)


def final_number(heads: Heads, confirmations: int | None) -> int:
    """Up to which block the chain is final: its own word, or so many blocks below the head (P6)."""
    if confirmations is not None:
        return heads.head.ref.number - confirmations
    if heads.final is None:
        raise ValueError("the nodes were not asked for their final block")
    return heads.final.number


async def _final(source: Source, number: int) -> Header:
    header = await source.nodes.agreed(partial(header_by_number, number=number))
    if header is None:
        raise QuorumError("too few nodes have the final block")
    return header
