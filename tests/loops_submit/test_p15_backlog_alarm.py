"""P15: a record reaches the chain in time or an alarm fires, and past a set backlog access stops."""

import asyncio

import pytest

from app.core.identifiers import UnixTime
from app.loops.backlog_watch import BacklogState, BacklogWatch
from app.store.journal import Backlog
from app.store.leadership import Leadership
from tests.loops_submit.conftest import Site
from tests.support.chain import signer


def test_p15_the_alarm_fires_once_and_is_lifted_once() -> None:
    backlog = [Backlog(0, None, UnixTime(1_000))]
    alarms: list[BacklogState] = []
    watch = BacklogWatch(lambda: backlog[0], 600, alarms.append)
    for now, waiting, oldest in (
        *((1_000, 0, None), (1_500, 2, 1_000), (1_600, 2, 1_000)),  # just in time
        *((1_601, 2, 1_000), (1_700, 3, 1_000), (1_701, 1, 1_700), (1_702, 0, None)),
    ):
        backlog[0] = Backlog(waiting, None if oldest is None else UnixTime(oldest), UnixTime(now))
        watch.look(UnixTime(now))
    assert alarms == [BacklogState(2, 601, late=True), BacklogState(1, 1, late=False)]


def test_p15_a_backlog_that_nobody_can_read_is_late_too() -> None:
    watch = BacklogWatch(lambda: Backlog(0, None, UnixTime(1_000)), 600, lambda _state: None)
    assert not watch.state(UnixTime(1_600)).late
    assert watch.state(UnixTime(1_601)).late


@pytest.mark.parametrize("cause", ["another leads and does nothing", "no money", "fees too high", "no blocks"])
async def test_p15_an_alarm_fires_whatever_keeps_a_record_from_the_chain(site: Site, cause: str) -> None:
    other = Leadership(site.database, "submitter")
    if cause == "another leads and does nothing":
        assert await other.hold()
    elif cause == "no money":
        await site.chain.rpc("anvil_setBalance", "0x" + signer("recorder").address.hex(), "0x0")
    elif cause == "fees too high":
        await site.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**15))
        await site.chain.mine()
    else:
        await site.chain.rpc("evm_setAutomine", False)
    await site.look(3, at=1_700_000_000)  # long ago
    alarms: asyncio.Queue[BacklogState] = asyncio.Queue()
    async with site.submitting(alarm=alarms.put_nowait) as submitter:
        state = await asyncio.wait_for(alarms.get(), 10)
        assert (state.waiting, state.late, submitter.state().backlog.late) == (3, True, True)
        assert await site.logged() == []
        if cause == "no blocks":
            await site.until_settled(mine=True)
            assert not (await asyncio.wait_for(alarms.get(), 10)).late
    await other.release()
