"""Brings the log and the patients' signed messages to the chain, from one gateway at a time.

Two lanes: the RECORDER's carries the log's batches, the RELAYER's what patients signed. Neither waits for the other.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from app.chain.rpc import RpcError
from app.core.identifiers import UnixTime
from app.loops.backlog_watch import BacklogState, BacklogWatch
from app.loops.lane import Lane, Trouble
from app.loops.log_planner import LogPlanner
from app.store.engine import ConflictError, StoreUnavailableError
from app.store.leadership import Leadership

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Seconds between two looks: while something is under way, and while nothing is."""

    busy_s: float = 0.2
    idle_s: float = 1.0


@dataclass(frozen=True, slots=True)
class SubmitterState:
    """For readiness and people. ``trouble`` names what keeps each lane from going on; empty when nothing does."""

    leading: bool
    backlog: BacklogState
    trouble: tuple[Trouble, ...]


class Submitter:
    """``run`` until cancelled. ``wake`` from any thread when something new waits."""

    def __init__(
        self,
        *,
        recorder: Lane,
        planner: LogPlanner,
        relayer: Lane,
        leadership: Leadership,
        watch: BacklogWatch,
        rhythm: Rhythm | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._recorder = recorder
        self._planner = planner
        self._relayer = relayer
        self._leadership = leadership
        self._watch = watch
        self._rhythm = rhythm or Rhythm()
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = {lane: asyncio.Event() for lane in (recorder, relayer)}
        self._failing: dict[Lane, Trouble] = {}
        self._leading = False

    def wake(self) -> None:
        """Something waits for the chain. Safe from any thread; before ``run`` and after it does nothing."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop has just been closed
                loop.call_soon_threadsafe(self._set_woken)

    def state(self) -> SubmitterState:
        """As it is now. Costs nothing."""
        found = (
            self._failing.get(self._recorder) or self._planner.trouble or self._recorder.trouble,
            self._failing.get(self._relayer) or self._relayer.trouble,
        )
        trouble = tuple(dict.fromkeys(one for one in found if one is not None))
        return SubmitterState(self._leading, self._watch.state(self._now()), trouble)

    async def run(self) -> None:
        """Never ends by itself; whatever fails is tried again. On cancellation lets another gateway lead."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._go(self._recorder, self._record_step))
                tasks.create_task(self._go(self._relayer, self._relayer.step))
                tasks.create_task(self._keep_watch())
        finally:
            self._loop, self._leading = None, False
            await self._leadership.release()

    async def _record_step(self) -> None:
        await self._recorder.step()
        # As many batches as there is room for; each is stored before the next is planned.
        planned = False
        while await self._planner.plan():
            planned = True
        if planned:
            await self._recorder.step()

    async def _go(self, lane: Lane, step: Callable[[], Awaitable[None]]) -> None:
        woken = self._woken[lane]
        while True:
            woken.clear()
            if await self._try(lane, step):
                await asyncio.sleep(self._rhythm.busy_s)  # under load something new comes all the time
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._rhythm.idle_s):
                    await woken.wait()

    async def _try(self, lane: Lane, step: Callable[[], Awaitable[None]]) -> bool:
        """One step if we lead; True while something is under way. What fails is named and left for the next time."""
        try:
            self._leading = await self._leadership.hold()
            if not self._leading:
                return False
            await step()
            busy = await lane.open_calls() > 0
        except RpcError as error:
            self._fail(lane, Trouble.CHAIN, error)
        except (StoreUnavailableError, ConflictError) as error:
            self._fail(lane, Trouble.STORE, error)
        else:
            self._failing.pop(lane, None)
            return busy
        return False

    def _fail(self, lane: Lane, trouble: Trouble, error: Exception) -> None:
        if self._failing.get(lane) is not trouble:
            _LOG.error("submitting waits: %s (%s)", trouble.value, type(error).__name__)
        self._failing[lane] = trouble

    async def _keep_watch(self) -> None:
        while True:
            self._watch.look(self._now())
            await asyncio.sleep(1)

    def _set_woken(self) -> None:
        for woken in self._woken.values():
            woken.set()

    def _now(self) -> UnixTime:
        return UnixTime(int(self._clock()))
