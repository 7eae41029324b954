"""The follower: keeps the mirror at the chain's head, and says nothing once it cannot be sure (P4 to P9).

It polls the head, applies what is new, goes back where the chain was reorganised, and publishes the standing whole. The
standing counts for as long as the head was confirmed recently; every failure, whatever it is, only lets that time pass.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn

from app.chain.blocks import Header
from app.chain.deployment import Deployment, DeploymentError
from app.chain.events import EventReader
from app.chain.heads import Heads, poll_heads
from app.chain.nodes import Nodes, WrongChainError
from app.core.consent.mirror import Finalized, Mirror, Standing, finalize
from app.core.identifiers import BlockRef
from app.loops.catch_up import HistoryError, Source, catch_up
from app.loops.listening import AppliedBlock, Listener
from app.loops.rebuild import Progress, final_number, rebuild

log = logging.getLogger(__name__)

_LONGEST_PAUSE_S: Final = 2.0
# A head from further ahead than this is not of our time: consents would begin early.
_AHEAD_S: Final = 60
# A failure that goes on is logged again after so many attempts.
_SAID_AGAIN_AFTER: Final = 30
FOLLOWED: Final = ("ConsentryRoles", "PatientRegistry", "CareTeams", "EmergencyAccess", "ConsentRegistry")


class UnconfirmedError(Exception):
    """The nodes answered, but with a head that must not count as the present."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the chain is followed. Times in seconds.

    ``confirmations``: blocks on top that make one final; None takes the chain's ``finalized`` tag.
    ``standing_max_age_s``: how long the last confirmation counts (P8). ``head_max_age_s``: the oldest timestamp that a
    present head may have; 0 for a chain that mines on demand. ``may_go_back``: only for the embedded chain, which
    after a crash may resume a few blocks earlier; on any other, a head below one already seen is not believed.
    ``max_depth``: blocks kept for going back.
    """

    confirmations: int | None
    poll_interval_s: float = 0.3
    standing_max_age_s: float = 30.0
    head_max_age_s: float = 0.0
    may_go_back: bool = False
    max_depth: int = 256


@dataclass(frozen=True, slots=True)
class Health:
    """For readiness and metrics. Ages in seconds, None before the first confirmation; ``problem`` names no secret."""

    head: BlockRef | None = None
    final: BlockRef | None = None
    seen: int | None = None
    confirmed_age_s: float | None = None
    head_age_s: float | None = None
    problem: str | None = "not started"
    failures: int = 0
    rebuilds: int = 0
    reorganisations: int = 0
    deepest_reorganisation: int = 0

    @property
    def lag(self) -> int | None:
        """Blocks between the head that the nodes have and ours."""
        return None if self.head is None or self.seen is None else max(0, self.seen - self.head.number)


@dataclass(frozen=True, slots=True)
class _Confirmed:
    """A standing, and when its head was the nodes' own, by two clocks: one stops in sleep, the other can be set."""

    standing: Standing
    monotonic_s: float
    wall_s: float


def _log_progress(done: int, total: int) -> None:
    log.info("reading the chain's history: %d of %d blocks", done, total)


@dataclass(slots=True)
class Follower:
    """One per process. ``run`` it as a task; ``standing`` is cheap enough for every request.

    ``publish`` is called with each new standing, ``progress`` while the history is read, ``listener`` with each block.
    ``durable`` names the highest block that the chain itself cannot lose: nothing above it is final, whatever the rules
    say.
    """

    nodes: Nodes
    deployment: Deployment
    rules: Rules
    publish: Callable[[Standing], None] = field(default=lambda _standing: None)
    progress: Progress = field(default=_log_progress)
    monotonic: Callable[[], float] = field(default=time.monotonic)
    wall: Callable[[], float] = field(default=time.time)
    durable: Callable[[], int] | None = None
    listener: Listener | None = None
    _source: Source = field(init=False)
    _mirror: Mirror | None = field(default=None, init=False)
    _standing: Standing | None = field(default=None, init=False)
    _confirmed: _Confirmed | None = field(default=None, init=False)
    # Until when, by each clock, the standing counts; in the past while nothing is trusted.
    _until_monotonic_s: float = field(default=-math.inf, init=False)
    _until_wall_s: float = field(default=-math.inf, init=False)
    _highest: int = field(default=-1, init=False)
    _health: Health = field(default_factory=Health, init=False)

    def __post_init__(self) -> None:
        addresses = tuple(self.deployment.address(name) for name in FOLLOWED)
        self._source = Source(self.nodes, addresses, EventReader(self.deployment))

    def standing(self) -> Standing | None:
        """What decisions are made on now; None when the chain's state is not known well enough to decide."""
        if self.monotonic() > self._until_monotonic_s or self.wall() > self._until_wall_s:
            return None
        return self._standing

    def last_standing(self) -> tuple[Standing, float] | None:
        """The last standing that was confirmed, and how many seconds ago, however long: for break-glass alone.

        None once the chain has said something that cannot be true: that is no chain that is merely away.
        """
        if self._confirmed is None:
            return None
        return self._confirmed.standing, self._since(self._confirmed)

    def final_block(self) -> BlockRef | None:
        """The last block that counts as final in the standing, None while that is not known."""
        return None if self._mirror is None or self.standing() is None else self._mirror.final.ref

    def health(self) -> Health:
        """How following goes."""
        found = replace(self._health, confirmed_age_s=self._age())
        if self._mirror is None:
            return found
        head = self._mirror.head
        return replace(found, head=head.ref, final=self._mirror.final.ref, head_age_s=self.wall() - head.timestamp)

    def _age(self) -> float | None:
        return None if self._confirmed is None else self._since(self._confirmed)

    def _since(self, confirmed: _Confirmed) -> float:
        return max(self.monotonic() - confirmed.monotonic_s, self.wall() - confirmed.wall_s)

    async def run(self) -> NoReturn:
        """Follows until cancelled. No failure ends it: it is logged, and tried again after a growing pause."""
        pause_s = self.rules.poll_interval_s
        while True:
            try:
                await self.step()
                pause_s = self.rules.poll_interval_s
            except Exception as error:  # noqa: BLE001 - a follower that ended would be a gateway that never recovers
                self._note(error)
                pause_s = min(2 * pause_s, max(_LONGEST_PAUSE_S, self.rules.poll_interval_s))
            await asyncio.sleep(pause_s)

    async def step(self) -> None:
        """One look at the chain and everything that follows from it. Raises whatever went wrong."""
        monotonic_s, wall_s = self.monotonic(), self.wall()
        tagged = self.rules.confirmations is None
        heads = await poll_heads(self.nodes, self.deployment.chain_id, final_tag=tagged)
        self._health = replace(self._health, seen=heads.head.ref.number)
        mirror = self._mirror
        if mirror is None or self._is_lost(mirror, heads):
            self._distrust()
            mirror = await self._rebuild(heads)
        mirror = await self._apply(mirror, heads)
        self._check_present(heads.head)
        self._confirmed = _Confirmed(mirror.standing, monotonic_s, wall_s)
        self._until_monotonic_s = monotonic_s + self.rules.standing_max_age_s
        self._until_wall_s = wall_s + self.rules.standing_max_age_s
        if self._health.problem is not None:
            log.info("following the chain at block %d", mirror.head.ref.number)
            self._health = replace(self._health, problem=None)

    async def _rebuild(self, heads: Heads) -> Mirror:
        self._health = replace(self._health, rebuilds=self._health.rebuilds + 1)
        number = self._final_number(heads)
        mirror = await rebuild(
            self._source, self.deployment, number, self.rules.max_depth, self.progress, self.listener
        )
        if self.listener is not None:
            self.listener.rebuilt(mirror.final.ref.number)
        return mirror

    def _final_number(self, heads: Heads) -> int:
        number = final_number(heads, self.rules.confirmations)
        return number if self.durable is None else min(number, self.durable())

    def _is_lost(self, mirror: Mirror, heads: Heads) -> bool:
        """True when an embedded chain resumed below what is final here."""
        return self.rules.may_go_back and heads.head.ref.number < mirror.final.ref.number

    async def _apply(self, mirror: Mirror, heads: Heads) -> Mirror:
        """Brings the mirror to the nodes' head and publishes it.

        Raises UnconfirmedError when that head is an older block of the same chain, or too old to tell.
        """
        target = heads.head
        behind = target.ref.number < mirror.head.ref.number and not self.rules.may_go_back
        if behind and mirror.ref_at(target.ref.number) in (None, target.ref):
            raise UnconfirmedError("the nodes' head is older than one already seen")
        applied: Sequence[AppliedBlock] = ()
        if target.ref != mirror.head.ref:
            caught_up = await catch_up(self._source, mirror, target)
            mirror, applied = caught_up.mirror, caught_up.applied
            self._note_reorganisation(caught_up.undone)
        number = self._final_number(heads)
        if heads.final is not None and mirror.ref_at(number) not in (None, heads.final):
            raise HistoryError("the chain's final block is not the one known here")
        finalized = finalize(mirror, min(number, mirror.head.ref.number))
        if not isinstance(finalized, Finalized):
            raise HistoryError("the final block is beyond the head")
        self._adopt(finalized.mirror)
        self._tell(finalized.mirror, applied)
        return finalized.mirror

    def _adopt(self, mirror: Mirror) -> None:
        if mirror is self._mirror:
            return
        standing = mirror.standing
        self._mirror, self._standing = mirror, standing
        self.publish(standing)

    def _tell(self, mirror: Mirror, applied: Sequence[AppliedBlock]) -> None:
        if self.listener is None:
            return
        for one in applied:
            self.listener.applied(one)
        self.listener.finalized(mirror.final.ref.number)

    def _check_present(self, head: Header) -> None:
        """Is the head that was applied the present? Its news hold either way, but old news confirm nothing.

        Raises UnconfirmedError.
        """
        seen, self._highest = self._highest, max(self._highest, head.ref.number)
        if head.ref.number < seen and not self.rules.may_go_back:
            raise UnconfirmedError("the nodes' head is older than one already seen")
        if self.rules.head_max_age_s:
            age_s = self.wall() - head.timestamp
            if age_s > self.rules.head_max_age_s:
                raise UnconfirmedError("the head is too old: the chain, or the nodes' view of it, stands still")
            if age_s < -_AHEAD_S:
                raise UnconfirmedError("the head's timestamp is in the future")

    def _distrust(self) -> None:
        """From here on nothing is known until the mirror is rebuilt."""
        self._until_monotonic_s = self._until_wall_s = -math.inf
        self._mirror = self._standing = self._confirmed = None

    def _note_reorganisation(self, undone: int) -> None:
        if undone <= 0:
            return
        log.warning("the chain was reorganised: %d blocks undone", undone)
        health = self._health
        self._health = replace(
            health,
            reorganisations=health.reorganisations + 1,
            deepest_reorganisation=max(health.deepest_reorganisation, undone),
        )

    def _note(self, error: Exception) -> None:
        if isinstance(error, HistoryError | WrongChainError | DeploymentError):
            self._distrust()
        # Texts of foreign exceptions may hold addresses or data: only ours are shown.
        ours = type(error).__module__.startswith("app.")
        problem = str(error) if ours else type(error).__name__
        if problem != self._health.problem or self._health.failures % _SAID_AGAIN_AFTER == 0:
            log.error("the chain is not followed: %s", problem)
        self._health = replace(self._health, problem=problem, failures=self._health.failures + 1)
