"""P16: kill -9 at every point, and more than one submitter."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import psycopg
import pytest

from app.store.engine import Database, open_database
from app.store.leadership import Leadership
from app.store.outbox import CallState
from tests.loops_submit.conftest import Site, on_both
from tests.support.needs import PROJECT


class Killable:
    """Submitters in processes of their own, one at a time."""

    def __init__(self, site: Site) -> None:
        arguments = [site.url, site.chain.anvil.url, str(site.chain.deployment_path)]
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.loops_submit.zygote", *arguments],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._last = 0

    def start(self, die_at: int) -> int:
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(f"{die_at}\n")
        self._zygote.stdin.flush()
        self._last = int(self._zygote.stdout.readline())
        return self._last

    def close(self) -> None:
        """Ends the submitter too, where a test failed before it did: it holds the pipe that is read to its end here."""
        if self._last and alive(self._last):
            os.kill(self._last, signal.SIGKILL)
        self._zygote.kill()
        self._zygote.communicate()


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def dead(pid: int, within_s: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while alive(pid):  # noqa: ASYNC110 - it is no child of ours, so it cannot be waited for
                await asyncio.sleep(0.01)
    return not alive(pid)


@pytest.fixture
async def killable(site: Site) -> AsyncIterator[Killable]:
    processes = Killable(site)
    yield processes
    processes.close()


async def test_p16_killed_at_each_effect_in_turn(
    site: Site, killable: Killable, run_size: Callable[[int, int], int]
) -> None:
    for effect in range(1, run_size(13, 60)):
        await site.look(16)
        pid = killable.start(effect)
        async with asyncio.timeout(120):
            while alive(pid) and site.unsettled():  # noqa: ASYNC110 - processes and tables have no events
                await asyncio.sleep(0.02)
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
            assert await dead(pid, within_s=60)
    pid = killable.start(0)
    await site.until_settled(CallState.FINAL, mine=True)
    os.kill(pid, signal.SIGKILL)
    await dead(pid, within_s=60)
    await site.check()


async def test_p16_killed_at_random_while_the_chain_forks(
    site: Site, killable: Killable, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    begun_at = await site.chain.height()  # what anvil has loaded it does not take back
    for _ in range(run_size(6, 500)):
        await site.look(rng.randrange(40))
        pid = killable.start(0)
        await asyncio.sleep(rng.random() * 0.5)
        if rng.random() < 0.5 and await site.chain.height() >= begun_at + 3:
            await site.chain.reorg(rng.randrange(1, 4))
        os.kill(pid, signal.SIGKILL)
        assert await dead(pid, within_s=60)
    async with site.submitting():
        await site.until_settled(CallState.FINAL, mine=True)
    await site.check()


class NoLock(Leadership):
    """Both believe that they lead."""

    async def hold(self) -> bool:
        return True


@on_both
async def test_p16_of_two_submitters_one_leads_and_the_other_takes_over(site: Site) -> None:
    other = open_database(site.url)
    try:
        first = site.submitter()
        second = site.submitter(leadership=Leadership(other, "submitter"))
        running = [asyncio.create_task(first.run())]
        await site.look(20)
        await site.until_settled()
        running.append(asyncio.create_task(second.run()))
        await asyncio.sleep(0.5)
        assert [first.state().leading, second.state().leading] == [True, False]
        running[0].cancel()
        await site.look(20)
        await site.until_settled()
        assert second.state().leading
        running[1].cancel()
        await asyncio.gather(*running, return_exceptions=True)
    finally:
        other.close()
    await site.check()


@on_both
async def test_p16_two_submitters_that_both_believe_they_lead(site: Site) -> None:
    async with (
        site.submitting(leadership=NoLock(site.database, "a")),
        site.submitting(leadership=NoLock(site.database, "b")),
    ):
        for _ in range(10):
            await site.look(10)
            await asyncio.sleep(0.1)
        await site.until_settled(CallState.FINAL, mine=True)
    await site.check()


@pytest.mark.postgres
@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_p16_a_leader_that_lost_its_connection_leads_no_more(site: Site) -> None:
    def leaders(database: Database) -> list[int]:
        with database.engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted")
            return [row[0] for row in found]

    one, two = Leadership(site.database, "submitter"), Leadership(site.database, "submitter")
    assert await one.hold()
    assert not await two.hold()
    with psycopg.connect(site.url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", leaders(site.database))
    assert not await one.hold()
    async with asyncio.timeout(20):
        # PostgreSQL says that a connection is ended before it lets its locks go
        while not await two.hold():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert not await one.hold()
    await one.release()
    await two.release()
