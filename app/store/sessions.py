"""Who is signed in. A session is found by the SHA-256 of its token: in memory when hot, from the database otherwise.

What is in memory is believed for two seconds, so that a logout on another gateway bites. The memory is bounded.
"""

import asyncio
import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlalchemy import delete
from sqlmodel import Session as DatabaseSession
from sqlmodel import col

from app.core.consent.basis import actor_of
from app.core.consent.terms import Purpose
from app.core.identifiers import Address, Signer, UnixTime
from app.core.oauth.scopes import WHOLE, Reach, reach_of
from app.store.ending import KEPT_AFTER_END_S, end_session
from app.store.engine import Database
from app.store.tables import SessionRow

BELIEVED_S = 2.0
_TOKEN_BYTES = 32
# What token_urlsafe(32) makes. Anything else is no token of ours, and the database need not be asked.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Program:
    """Which program's token a session is. ``scope``: as granted; ``family``: all tokens of that one sign-in."""

    client_id: str
    scope: str
    family: bytes


@dataclass(slots=True)
class Life:
    """Shared by everything that stands on a session: an answer that runs looks here whether it was revoked."""

    over: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in actor and what they are here for. ``tag`` (8 bytes) names the session in records and is no secret.

    ``signer`` is what they signed in with and sign with: for a wallet its address, for a passkey the longer signer.
    ``program``: whose token it is, None for somebody who signed in themselves; ``reach``: what it opens.
    """

    actor: Address
    signer: Signer
    purpose: Purpose
    tag: bytes
    expires_at: UnixTime
    token_hash: bytes
    began_at: UnixTime
    program: Program | None = None
    reach: Reach = WHOLE
    life: Life = field(default_factory=Life, compare=False, repr=False)


class Sessions:
    """All methods belong to one event loop. Those that ask the database raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time, capacity: int = 65_536) -> None:
        """``capacity``: tokens remembered, unknown ones included."""
        self._database = database
        self._clock = clock
        self._capacity = capacity
        # None is remembered too: a wrong token that comes again costs nothing.
        self._known: OrderedDict[bytes, tuple[Session | None, float]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Session | None]] = {}

    async def create(self, signer: Signer, purpose: Purpose, expires_at: UnixTime) -> tuple[str, Session]:
        """A new session of the actor that this signer is, and its token, which is shown to nobody again."""
        token = new_token()
        now = int(self._clock())
        row = SessionRow(
            token_hash=hash_of(token),
            actor=actor_of(signer),
            signer=signer,
            purpose=int(purpose),
            created_at=now,
            expires_at=expires_at,
            revoked_at=None,
        )
        session = _session(row)

        def work(transaction: DatabaseSession) -> None:
            transaction.connection().execute(
                delete(SessionRow).where(col(SessionRow.expires_at) < now - KEPT_AFTER_END_S)
            )
            transaction.add(row)

        await self._database.writing(work)
        self._remember(session.token_hash, session)
        return token, session

    def hot(self, token: str) -> Session | None:
        """The session if memory alone can answer; None says nothing about the token: ``find`` does."""
        known = self._known.get(hash_of(token))
        now = self._clock()
        if known is None or known[0] is None or now - known[1] >= BELIEVED_S or now >= known[0].expires_at:
            return None
        return known[0]

    async def find(self, token: str) -> Session | None:
        """The live session of this token; None for one that is unknown, expired or revoked."""
        if not _TOKEN.fullmatch(token):
            return None
        hashed = hash_of(token)
        known = self._known.get(hashed)
        if known is not None and self._clock() - known[1] < BELIEVED_S:
            session = known[0]
            self._known.move_to_end(hashed)
        else:
            session = await self._ask(hashed)
        return session if session is not None and self._clock() < session.expires_at else None

    async def revoke(self, token_hash: bytes) -> None:
        """Ends a session, the family of tokens that it belongs to, and every program that it let in: here at once, on
        other gateways as soon as they look again.
        """
        now = int(self._clock())
        self.forget([token_hash])
        ended = await self._database.writing(lambda transaction: end_session(transaction, token_hash, now))
        self.forget([token_hash, *ended])

    def forget(self, ended: Iterable[bytes]) -> None:
        """These were ended in the database: from now on they are nobody here, and what runs on them stops."""
        for token_hash in ended:
            known = self._known.get(token_hash)
            if known is not None and known[0] is not None:
                known[0].life.over = True
            self._remember(token_hash, None)

    async def _ask(self, token_hash: bytes) -> Session | None:
        # Many requests of one session ask once. Shielded: who leaves first does not take the answer from the others.
        asking = self._asking.get(token_hash)
        if asking is None:
            asking = asyncio.ensure_future(self._read(token_hash))
            self._asking[token_hash] = asking
            asking.add_done_callback(lambda _done: self._asking.pop(token_hash, None))
        return await asyncio.shield(asking)

    async def _read(self, token_hash: bytes) -> Session | None:
        asked_at = self._clock()
        row = await self._database.reading(lambda transaction: transaction.get(SessionRow, token_hash))
        session = None
        if row is not None and row.revoked_at is None:
            session = _session(row)
        known = self._known.get(token_hash)
        if known is not None and known[0] is None and known[1] >= asked_at:
            return None  # revoked here while the database was being read
        if known is not None and known[0] is not None:
            if session is None:
                known[0].life.over = True  # revoked elsewhere: what runs here on it stops
            else:
                session = known[0]  # the same, and what runs stands on it
        self._remember(token_hash, session, asked_at)
        return session

    def _remember(self, token_hash: bytes, session: Session | None, at: float | None = None) -> None:
        self._known[token_hash] = (session, self._clock() if at is None else at)
        self._known.move_to_end(token_hash)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)


def new_token() -> str:
    """A token that nobody can guess: 256 random bits in URL-safe base64."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def hash_of(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def _session(row: SessionRow) -> Session:
    tag = hashlib.sha256(b"consentry.session-tag.v1" + row.token_hash).digest()[:8]
    program, reach = None, WHOLE
    if row.client_id is not None:
        # Whatever is missing of a program's row opens nothing
        scope = row.scope or ""
        program, reach = Program(row.client_id, scope, row.family_id or b""), reach_of(scope)
    return Session(
        Address(row.actor),
        Signer(row.signer),
        Purpose(row.purpose),
        tag,
        UnixTime(row.expires_at),
        row.token_hash,
        UnixTime(row.created_at),
        program,
        reach,
    )
