"""Sign-in nonces: issued to one address, taken once, whichever gateway asks."""

import asyncio
import secrets
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import CursorResult, delete, update
from sqlmodel import Session, col

from app.core.identifiers import Address, UnixTime
from app.store.engine import Database
from app.store.tables import SiweNonceRow

# Longer than any nonce may be used, so that "used" is told from "unknown" for as long as it matters.
KEPT_S = 3_600


@dataclass(frozen=True, slots=True)
class Taken:
    """The nonce was good and is now used up."""

    issued_at: UnixTime


class NotTaken(Enum):
    """Why a nonce was not good. A nonce issued to another address is unknown."""

    USED = "used"
    UNKNOWN = "unknown"


class SiweNonces:
    """Raises StoreUnavailableError when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Anybody may ask for nonces: one write at a time, or they would crowd out the journal's.
        self._issuing = asyncio.Lock()

    async def issue(self, address: Address, now: UnixTime) -> str:
        """A new nonce of 128 random bits, as 32 hex digits. Forgets the ones that are too old to matter."""
        nonce = secrets.token_hex(16)

        def work(transaction: Session) -> None:
            transaction.connection().execute(delete(SiweNonceRow).where(col(SiweNonceRow.issued_at) < now - KEPT_S))
            transaction.add(SiweNonceRow(nonce=nonce, address=address, issued_at=now, used_at=None))

        async with self._issuing:
            await self._database.writing(work)
        return nonce

    async def waits(self, nonce: str, address: Address) -> bool:
        """Whether the nonce was issued to the address and not taken so far; ``take`` alone decides."""
        row = await self._database.reading(lambda transaction: transaction.get(SiweNonceRow, nonce))
        return row is not None and row.address == address and row.used_at is None

    async def take(self, nonce: str, address: Address, now: UnixTime) -> Taken | NotTaken:
        """Uses the nonce up: of calls at the same time, on any gateway, one gets Taken. Its age is for the caller."""

        def work(transaction: Session) -> Taken | NotTaken:
            connection = transaction.connection()
            ours = (col(SiweNonceRow.nonce) == nonce) & (col(SiweNonceRow.address) == address)
            taken: CursorResult[tuple[()]] = connection.execute(
                update(SiweNonceRow).where(ours, col(SiweNonceRow.used_at).is_(None)).values(used_at=now)
            )
            row = transaction.get(SiweNonceRow, nonce)
            if row is None or row.address != address:
                return NotTaken.UNKNOWN
            return Taken(UnixTime(row.issued_at)) if taken.rowcount == 1 else NotTaken.USED

        return await self._database.writing(work)
