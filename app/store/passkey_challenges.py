"""Challenges for passkeys: 32 random bytes each, answered once, whichever gateway asks."""

import asyncio
import secrets
from dataclasses import dataclass

from sqlalchemy import delete
from sqlmodel import Session, col, select

from app.core.identifiers import UnixTime
from app.store.engine import Database
from app.store.tables import PasskeyChallengeRow

CHALLENGE_BYTES = 32
LIFETIME_S = 5 * 60


@dataclass(frozen=True, slots=True)
class Challenge:
    """What is to be signed, and for a new passkey the random handle that its holder is given."""

    challenge: bytes
    user_handle: bytes


class PasskeyChallenges:
    """Raises StoreUnavailableError when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Anybody may ask for one: one write at a time, or they would crowd out the journal's.
        self._issuing = asyncio.Lock()

    async def for_signing_in(self, now: UnixTime) -> bytes:
        """A new challenge that any passkey may answer."""
        return (await self._issue(b"", b"", now)).challenge

    async def for_making(self, maker: bytes, now: UnixTime) -> Challenge:
        """A new challenge for a passkey that ``maker`` (not empty) may make."""
        return await self._issue(maker, secrets.token_bytes(CHALLENGE_BYTES), now)

    async def take(self, challenge: bytes, maker: bytes, now: UnixTime) -> Challenge | None:
        """Uses a challenge up: of calls at the same time, on any gateway, one gets it. ``maker`` is empty for signing
        in. None where it is unknown, used, for something else, or too old.
        """
        fresh = (
            (col(PasskeyChallengeRow.challenge) == challenge)
            & (col(PasskeyChallengeRow.maker) == maker)
            & (col(PasskeyChallengeRow.issued_at) >= now - LIFETIME_S)
        )

        def work(transaction: Session) -> Challenge | None:
            found = transaction.exec(select(PasskeyChallengeRow.user_handle).where(fresh)).one_or_none()
            taken = transaction.connection().execute(delete(PasskeyChallengeRow).where(fresh)).rowcount
            return None if found is None or taken != 1 else Challenge(challenge, found)

        return await self._database.writing(work)

    async def _issue(self, maker: bytes, user_handle: bytes, now: UnixTime) -> Challenge:
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        row = PasskeyChallengeRow(challenge=challenge, maker=maker, user_handle=user_handle, issued_at=now)

        def work(transaction: Session) -> None:
            transaction.connection().execute(
                delete(PasskeyChallengeRow).where(col(PasskeyChallengeRow.issued_at) < now - LIFETIME_S)
            )
            transaction.add(row)

        async with self._issuing:
            await self._database.writing(work)
        return Challenge(challenge, user_handle)
