"""Programs that wait for somebody to enter their code on a page (RFC 8628). All methods block, and raise
StoreUnavailableError.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.core.consent.terms import Purpose
from app.core.identifiers import Address, UnixTime
from app.store.ending import forget_ended
from app.store.engine import Database
from app.store.oauth_grants import Allowed
from app.store.sessions import hash_of
from app.store.tables import OauthDeviceRow

# RFC 8628 §3.5: by so much more does a program wait that asked too soon.
SLOWER_BY_S = 5


@dataclass(frozen=True, slots=True)
class Waiting:
    """One program that waits. ``allowed``: what somebody answered, None for no; ``answered``: whether anybody did.

    ``used``: it got its tokens.
    """

    device_hash: bytes
    client_id: str
    scope: str
    purpose: Purpose | None
    expires_at: UnixTime
    answered: bool
    allowed: Allowed | None
    used: bool


class OauthDevices:
    """One per process; any thread may call."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def keep(
        self,
        device_code: str,
        user_code: str,
        client_id: str,
        scope: str,
        purpose: Purpose | None,
        expires_at: UnixTime,
        interval_s: int,
    ) -> None:
        """A program begins to wait. Raises ConflictError for a user code that another one has."""
        now = int(self._clock())

        def work(transaction: Session) -> None:
            forget_ended(transaction, now)
            transaction.add(
                OauthDeviceRow(
                    device_hash=hash_of(device_code),
                    user_code_hash=hash_of(user_code),
                    client_id=client_id,
                    scope=scope,
                    purpose=None if purpose is None else int(purpose),
                    expires_at=expires_at,
                    interval_s=interval_s,
                    polled_at=None,
                    allowed=None,
                    actor=None,
                    auth_time=None,
                    signed_in_by=None,
                    used_at=None,
                )
            )

        self._database.write(work)

    def by_device_code(self, device_code: str) -> Waiting | None:
        """The program that has this code, whatever became of it."""

        def work(transaction: Session) -> Waiting | None:
            row = transaction.get(OauthDeviceRow, hash_of(device_code))
            return None if row is None else _waiting(row)

        return self._database.read(work)

    def by_user_code(self, user_code: str) -> Waiting | None:
        """The program that waits for this code to be entered; None when its time is over or somebody answered."""
        now = int(self._clock())

        def work(transaction: Session) -> Waiting | None:
            row = transaction.exec(_open(user_code, now)).one_or_none()
            return None if row is None else _waiting(row)

        return self._database.read(work)

    def answer(self, user_code: str, allowed: Allowed | None) -> bool:
        """Somebody's answer, None for no. Of two at once one counts; False for the other, and for one too late."""
        now = int(self._clock())

        def work(transaction: Session) -> bool:
            row = transaction.exec(_open(user_code, now).with_for_update()).one_or_none()
            if row is None:
                return False
            row.allowed = allowed is not None
            if allowed is not None:
                row.scope, row.purpose, row.actor = allowed.scope, int(allowed.purpose), allowed.actor
                row.auth_time, row.signed_in_by = allowed.auth_time, allowed.signed_in_by
            return True

        return self._database.write(work)

    def polled(self, device_hash: bytes) -> bool:
        """Notes that the program asked. False: it asked too soon, and is to wait longer from now on."""
        now = int(self._clock())

        def work(transaction: Session) -> bool:
            locked = select(OauthDeviceRow).where(col(OauthDeviceRow.device_hash) == device_hash).with_for_update()
            row = transaction.exec(locked).one()
            in_time = row.polled_at is None or now - row.polled_at >= row.interval_s
            row.polled_at = now
            if not in_time:
                row.interval_s += SLOWER_BY_S
            return in_time

        return self._database.write(work)


def _open(user_code: str, now: int) -> SelectOfScalar[OauthDeviceRow]:
    return select(OauthDeviceRow).where(
        col(OauthDeviceRow.user_code_hash) == hash_of(user_code),
        col(OauthDeviceRow.allowed).is_(None),
        col(OauthDeviceRow.used_at).is_(None),
        col(OauthDeviceRow.expires_at) > now,
    )


def _waiting(row: OauthDeviceRow) -> Waiting:
    purpose = None if row.purpose is None else Purpose(row.purpose)
    allowed = None
    if row.allowed and row.actor is not None and row.signed_in_by is not None and purpose is not None:
        allowed = Allowed(Address(row.actor), purpose, row.scope, UnixTime(row.auth_time or 0), row.signed_in_by)
    return Waiting(
        row.device_hash,
        row.client_id,
        row.scope,
        purpose,
        UnixTime(row.expires_at),
        row.allowed is not None,
        allowed,
        row.used_at is not None,
    )
