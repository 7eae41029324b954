"""Who is signed in. A session is found by the SHA-256 of its token: in memory when hot, from the database otherwise.

What is in memory is believed for two seconds, so that a logout on another gateway bites. The memory is bounded.
"""

import asyncio
import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, update
from sqlmodel import Session as DatabaseSession
from sqlmodel import col

from app.core.consent.basis import actor_of
from app.core.consent.terms import Purpose
from app.core.identifiers import Address, Signer, UnixTime
from app.store.engine import Database
from app.store.tables import SessionRow

BELIEVED_S = 2.0
_TOKEN_BYTES = 32
# What token_urlsafe(32) makes. Anything else is no token of ours, and the database need not be asked.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_KEPT_AFTER_END_S = 86_400


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in actor and what they are here for. ``tag`` (8 bytes) names the session in records and is no secret.

    ``signer`` is what they signed in with and sign with: for a wallet its address, for a passkey the longer signer.
    """

    actor: Address
    signer: Signer
    purpose: Purpose
    tag: bytes
    expires_at: UnixTime
    token_hash: bytes


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
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        session = _session(_hash(token), signer, purpose, expires_at)
        now = int(self._clock())

        def work(transaction: DatabaseSession) -> None:
            transaction.connection().execute(
                delete(SessionRow).where(col(SessionRow.expires_at) < now - _KEPT_AFTER_END_S)
            )
            transaction.add(
                SessionRow(
                    token_hash=session.token_hash,
                    actor=session.actor,
                    signer=signer,
                    purpose=int(purpose),
                    created_at=now,
                    expires_at=expires_at,
                    revoked_at=None,
                )
            )

        await self._database.writing(work)
        self._remember(session.token_hash, session)
        return token, session

    def hot(self, token: str) -> Session | None:
        """The session if memory alone can answer; None says nothing about the token: ``find`` does."""
        known = self._known.get(_hash(token))
        now = self._clock()
        if known is None or known[0] is None or now - known[1] >= BELIEVED_S or now >= known[0].expires_at:
            return None
        return known[0]

    async def find(self, token: str) -> Session | None:
        """The live session of this token; None for one that is unknown, expired or revoked."""
        if not _TOKEN.fullmatch(token):
            return None
        token_hash = _hash(token)
        known = self._known.get(token_hash)
        if known is not None and self._clock() - known[1] < BELIEVED_S:
            session = known[0]
            self._known.move_to_end(token_hash)
        else:
            session = await self._ask(token_hash)
        return session if session is not None and self._clock() < session.expires_at else None

    async def revoke(self, token_hash: bytes) -> None:
        """Ends a session: here at once, on other gateways as soon as they look again."""
        now = int(self._clock())
        self._remember(token_hash, None)
        await self._database.writing(
            lambda transaction: transaction.connection().execute(
                update(SessionRow)
                .where(col(SessionRow.token_hash) == token_hash, col(SessionRow.revoked_at).is_(None))
                .values(revoked_at=now)
            )
        )
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
            session = _session(token_hash, Signer(row.signer), Purpose(row.purpose), UnixTime(row.expires_at))
        known = self._known.get(token_hash)
        if known is not None and known[0] is None and known[1] >= asked_at:
            return None  # revoked here while the database was being read
        self._remember(token_hash, session, asked_at)
        return session

    def _remember(self, token_hash: bytes, session: Session | None, at: float | None = None) -> None:
        self._known[token_hash] = (session, self._clock() if at is None else at)
        self._known.move_to_end(token_hash)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _session(token_hash: bytes, signer: Signer, purpose: Purpose, expires_at: UnixTime) -> Session:
    tag = hashlib.sha256(b"consentry.session-tag.v1" + token_hash).digest()[:8]
    return Session(actor_of(signer), signer, purpose, tag, expires_at, token_hash)
