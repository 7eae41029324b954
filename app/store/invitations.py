"""Invitations of staff who have no wallet: each lets one passkey be made. What its account may do, the chain says."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete
from sqlmodel import Session, col, select

from app.core.identifiers import Address, Signer, UnixTime
from app.store.engine import Database
from app.store.passkeys import Passkey, keep
from app.store.tables import InvitationRow

LASTS_S = 7 * 86400


@dataclass(frozen=True, slots=True)
class Invitation:
    """One invitation. ``name``: whom whoever invited meant. ``signer``: the passkey that was made."""

    invitation_id: bytes
    name: str
    invited_by: Address
    created_at: UnixTime
    expires_at: UnixTime
    signer: Signer | None
    used_at: UnixTime | None


class Invitations:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def invite(self, code_hash: bytes, name: str, invited_by: Address) -> Invitation:
        """A new one, with a random id of 16 bytes."""
        now = self._now()
        row = InvitationRow(
            invitation_id=secrets.token_bytes(16),
            code_hash=code_hash,
            name=name,
            invited_by=invited_by,
            created_at=now,
            expires_at=now + LASTS_S,
            signer=None,
            used_at=None,
        )
        made = _invitation(row)
        await self._database.writing(lambda transaction: transaction.add(row))
        return made

    async def is_open(self, code_hash: bytes) -> bool:
        """Whether the code can be used now; ``accept`` alone decides."""
        now = self._now()
        return await self._database.reading(lambda transaction: _open(transaction, code_hash, now) is not None)

    async def accept(self, code_hash: bytes, passkey: Passkey) -> bool:
        """Uses the code up and keeps the passkey, both or neither. False where the code opens nothing (any more); of
        two at once, one has it. Raises ConflictError for a passkey that is known.
        """
        now = self._now()

        def work(transaction: Session) -> bool:
            row = _open(transaction, code_hash, now, lock=True)
            if row is None:
                return False
            row.signer, row.used_at = passkey.signer, now
            transaction.add(row)
            keep(transaction, passkey, code_hash, now)
            return True

        return await self._database.writing(work)

    async def all(self, limit: int = 500) -> list[Invitation]:
        """The newest first."""
        newest = select(InvitationRow).order_by(col(InvitationRow.created_at).desc(), col(InvitationRow.invitation_id))
        return await self._database.reading(
            lambda transaction: [_invitation(row) for row in transaction.exec(newest.limit(limit)).all()]
        )

    async def withdraw(self, invitation_id: bytes) -> bool:
        """Ends one that was not used, and takes a used one from the list; its passkey stays. False for none."""
        gone = delete(InvitationRow).where(col(InvitationRow.invitation_id) == invitation_id)
        return await self._database.writing(lambda transaction: transaction.connection().execute(gone).rowcount) == 1

    def _now(self) -> UnixTime:
        return UnixTime(int(self._clock()))


def _open(transaction: Session, code_hash: bytes, now: int, *, lock: bool = False) -> InvitationRow | None:
    query = select(InvitationRow).where(
        col(InvitationRow.code_hash) == code_hash,
        col(InvitationRow.signer).is_(None),
        col(InvitationRow.expires_at) > now,
    )
    return transaction.exec(query.with_for_update() if lock else query).one_or_none()


def _invitation(row: InvitationRow) -> Invitation:
    return Invitation(
        invitation_id=row.invitation_id,
        name=row.name,
        invited_by=Address(row.invited_by),
        created_at=UnixTime(row.created_at),
        expires_at=UnixTime(row.expires_at),
        signer=None if row.signer is None else Signer(row.signer),
        used_at=None if row.used_at is None else UnixTime(row.used_at),
    )
