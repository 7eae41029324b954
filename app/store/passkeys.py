"""Passkeys: made once, found by their credential id or by their signer, counted as they are used."""

from dataclasses import dataclass

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app.core.identifiers import Signer, UnixTime
from app.store.engine import ConflictError, Database
from app.store.tables import PasskeyRow

# By one code or one person: enough for every device somebody owns, too few to fill the table.
MOST_BY_ONE = 16


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey. ``user_handle``: what the authenticator keeps beside it. ``sign_count``: the last one shown."""

    credential_id: bytes
    signer: Signer
    user_handle: bytes
    name: str
    sign_count: int


class Passkeys:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, passkey: Passkey, maker: bytes, now: UnixTime) -> None:
        """Keeps a new passkey. Raises ConflictError for one that is known, and where ``maker`` has made too many."""
        await self._database.writing(lambda transaction: keep(transaction, passkey, maker, now))

    async def find(self, credential_id: bytes) -> Passkey | None:
        """The passkey of this credential id."""
        row = await self._database.reading(lambda transaction: transaction.get(PasskeyRow, credential_id))
        return None if row is None else _passkey(row)

    async def of_signer(self, signer: Signer) -> Passkey | None:
        """The passkey that is this signer."""
        query = select(PasskeyRow).where(col(PasskeyRow.signer) == signer)
        row = await self._database.reading(lambda transaction: transaction.exec(query).one_or_none())
        return None if row is None else _passkey(row)

    async def used(self, credential_id: bytes, sign_count: int, now: UnixTime) -> bool:
        """Notes a use. False where the count did not rise: there is a second one of what should be unique (WebAuthn
        §7.2 step 21). Authenticators that do not count say 0 always.
        """
        kept = col(PasskeyRow.sign_count)
        lower = kept < sign_count if sign_count else kept == 0
        risen = (
            update(PasskeyRow)
            .where(col(PasskeyRow.credential_id) == credential_id, lower)
            .values(sign_count=sign_count, used_at=now)
        )
        changed = await self._database.writing(lambda transaction: transaction.connection().execute(risen).rowcount)
        return changed == 1


def keep(transaction: Session, passkey: Passkey, maker: bytes, now: UnixTime) -> None:
    """What ``Passkeys.add`` does, as a part of more."""
    made = select(func.count()).select_from(PasskeyRow).where(col(PasskeyRow.maker) == maker)
    if transaction.exec(made).one() >= MOST_BY_ONE:
        raise ConflictError("too many passkeys")
    transaction.add(
        PasskeyRow(
            credential_id=passkey.credential_id,
            signer=passkey.signer,
            user_handle=passkey.user_handle,
            name=passkey.name,
            maker=maker,
            sign_count=passkey.sign_count,
            created_at=now,
            used_at=None,
        )
    )
    transaction.flush()


def _passkey(row: PasskeyRow) -> Passkey:
    return Passkey(row.credential_id, Signer(row.signer), row.user_handle, row.name, row.sign_count)
