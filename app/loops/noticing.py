"""Finds out what people are to be told, from the chain's blocks and from the access log, and writes it to the outbox.

Every gateway does this, whether or not it delivers: what is written twice is one notice, and no gateway has to know
what another one saw. From a block its notices are written once it is final, together with how far the chain was read;
what is urgent also as soon as it is at the head, where a reorganisation may still make it untrue.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NoReturn

from sqlmodel import Session

from app.core.consent.events import Event
from app.core.consent.fold import fold
from app.core.consent.state import State
from app.core.identifiers import Address, PatientKey, UnixTime
from app.core.notices.from_chain import URGENT, new_controller, notices_of, settled_by
from app.core.notices.kinds import Due, Settled
from app.loops.listening import AppliedBlock
from app.store.contacts import acts_for
from app.store.engine import Database, StoreUnavailableError
from app.store.first_accesses import FirstAccesses
from app.store.notices import CHAIN, Notices, read_up_to, settle_notices, tell

_LOG = logging.getLogger(__name__)

_INTERVAL_S: Final = 0.5
_SWEEP_S: Final = 5.0
# How often the access log is read again from what was read for good.
_SETTLE_S: Final = 60.0


@dataclass(slots=True)
class _Found:
    """What a block amounts to."""

    number: int
    dues: list[Due] = field(default_factory=list)
    acting: list[tuple[PatientKey, Address]] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)

    def note(self, event: Event, before: State, after: State, now: UnixTime) -> None:
        self.dues += notices_of(event, before, after, now)
        acting = new_controller(event)
        if acting is not None:
            self.acting.append(acting)
        settled = settled_by(event)
        if settled is not None:
            self.settled.append(settled)

    def __bool__(self) -> bool:
        return bool(self.dues or self.acting or self.settled)


class ChainNotices:
    """What the follower tells, made into notices. ``load`` before the follower starts, then ``run`` beside it."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        # Up to which block everything is written or in _final: None until anything is known to be final.
        self._seen: int | None = None
        self._written: int | None = None
        self._replayed: list[_Found] = []
        self._pending: deque[_Found] = deque()
        self._final: deque[_Found] = deque()
        self._urgent: list[Due] = []

    async def load(self) -> None:
        """Reads how far the chain was read. Before the first time nothing that is final already is news."""
        self._seen = self._written = await Notices(self._database).cursor(CHAIN)

    def resume_after(self) -> int | None:
        self._replayed = []
        return self._seen

    def replayed(self, number: int, before: State, event: Event, after: State) -> None:
        if not self._replayed or self._replayed[-1].number != number:
            self._replayed.append(_Found(number))
        self._replayed[-1].note(event, before, after, self._now())

    def rebuilt(self, final: int) -> None:
        self._pending.clear()
        self._final += [found for found in self._replayed if found]
        self._replayed = []
        self._advance(final)

    def applied(self, one: AppliedBlock) -> None:
        number = one.block.ref.number
        while self._pending and self._pending[-1].number >= number:
            self._pending.pop()
        found, before = _Found(number), one.before
        for event in one.block.events:
            after, known = fold(before, event), len(found.dues)
            found.note(event, before, after, self._now())
            if isinstance(event, URGENT):
                self._urgent += found.dues[known:]
            before = after
        if found:
            self._pending.append(found)

    def finalized(self, number: int) -> None:
        while self._pending and self._pending[0].number <= number:
            self._final.append(self._pending.popleft())
        self._advance(number)

    async def run(self) -> NoReturn:
        """Writes what was found, until cancelled. What cannot be written now is kept and written later."""
        while True:
            try:
                await self.write()
            except StoreUnavailableError as error:
                _LOG.error("notices wait for the database: %s", error)
            await asyncio.sleep(_INTERVAL_S)

    async def write(self) -> None:
        """One transaction: the notices, for whom people act, and the cursor. Raises StoreUnavailableError."""
        urgent, final, upto = tuple(self._urgent), tuple(self._final), self._seen
        if not urgent and (upto is None or upto == self._written):
            return
        now = self._now()

        def work(transaction: Session) -> None:
            tell(transaction, urgent, now)
            for found in final:
                tell(transaction, found.dues, now)
                acts_for(transaction, found.acting)
                for settled in found.settled:
                    settle_notices(transaction, settled, now)
            if upto is not None:
                read_up_to(transaction, CHAIN, upto)

        await self._database.writing(work)
        del self._urgent[: len(urgent)]
        for _ in final:
            self._final.popleft()
        self._written = upto

    def _advance(self, number: int) -> None:
        # Another gateway, or this one before it was started, may have read further than what is final here now
        self._seen = number if self._seen is None else max(self._seen, number)

    def _now(self) -> UnixTime:
        return UnixTime(int(self._clock()))


async def notice_first_accesses(accesses: FirstAccesses, clock: Callable[[], float] = time.time) -> NoReturn:
    """Runs until cancelled: looks at what was added to the access log, and again at the last minutes of it."""
    high: int | None = None
    settled_at = -_SETTLE_S
    while True:
        now = clock()
        settling = now - settled_at >= _SETTLE_S
        try:
            swept = await accesses.sweep(None if settling else high, UnixTime(int(now)))
        except StoreUnavailableError as error:
            _LOG.error("first accesses wait for the database: %s", error)
        else:
            high = max(high or 0, swept.upto)
            if settling and not swept.more:
                settled_at = now
            if swept.more:
                continue
        await asyncio.sleep(_SWEEP_S)
