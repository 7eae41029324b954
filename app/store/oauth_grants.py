"""What people allowed programs: authorization codes, device codes, and the tokens that come of them.

Each code and each refresh token works once, whichever gateway is asked: it is taken in the transaction that stores what
is issued for it. All methods block, and raise StoreUnavailableError.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import CursorResult, update
from sqlmodel import Session, col, select

from app.core.consent.terms import Purpose
from app.core.identifiers import Address, UnixTime
from app.store.ending import end_families, end_session, forget_ended
from app.store.engine import Database
from app.store.sessions import hash_of
from app.store.tables import OauthCodeRow, OauthDeviceRow, OauthFamilyRow, OauthRefreshRow, SessionRow

FAMILY_BYTES = 16
# Before the name of a token that somebody made themselves, where a program's client_id stands, which has no colon.
OWN_PREFIX = "token:"


@dataclass(frozen=True, slots=True)
class Allowed:
    """Somebody's word that a program may act for them. ``auth_time``: when they signed in, with ``signed_in_by``."""

    actor: Address
    purpose: Purpose
    scope: str
    auth_time: UnixTime
    signed_in_by: bytes


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code as it was issued. ``used``: it was exchanged."""

    code_hash: bytes
    client_id: str
    redirect_uri: str
    code_challenge: str
    nonce: str | None
    allowed: Allowed
    expires_at: UnixTime
    used: bool = False
    family: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token. ``over``: used before, or its family ended."""

    token_hash: bytes
    client_id: str
    family: bytes
    allowed: Allowed
    expires_at: UnixTime
    family_ends_at: UnixTime
    used: bool
    over: bool


@dataclass(frozen=True, slots=True)
class Issued:
    """New tokens. ``refresh``: None where there is none. ``ends_at``: of the whole family."""

    access: str
    access_ends_at: UnixTime
    refresh: str | None
    ends_at: UnixTime


@dataclass(frozen=True, slots=True)
class SignIn:
    """One program that somebody let in, while it lasts."""

    family: bytes
    client_id: str
    allowed: Allowed
    began_at: UnixTime
    ends_at: UnixTime


class OauthGrants:
    """One per process; any thread may call."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def keep_code(self, code: Code) -> None:
        """Stores a new authorization code."""
        now, allowed = int(self._clock()), code.allowed

        def work(transaction: Session) -> None:
            forget_ended(transaction, now)
            transaction.add(
                OauthCodeRow(
                    code_hash=code.code_hash,
                    client_id=code.client_id,
                    redirect_uri=code.redirect_uri,
                    code_challenge=code.code_challenge,
                    nonce=code.nonce,
                    actor=allowed.actor,
                    purpose=int(allowed.purpose),
                    scope=allowed.scope,
                    auth_time=allowed.auth_time,
                    signed_in_by=allowed.signed_in_by,
                    expires_at=code.expires_at,
                    used_at=None,
                    family_id=None,
                )
            )

        self._database.write(work)

    def code(self, code: str) -> Code | None:
        """The authorization code, whatever became of it."""

        def work(transaction: Session) -> Code | None:
            row = transaction.get(OauthCodeRow, hash_of(code))
            if row is None:
                return None
            allowed = Allowed(
                Address(row.actor), Purpose(row.purpose), row.scope, UnixTime(row.auth_time), row.signed_in_by
            )
            return Code(
                row.code_hash,
                row.client_id,
                row.redirect_uri,
                row.code_challenge,
                row.nonce,
                allowed,
                UnixTime(row.expires_at),
                row.used_at is not None,
                row.family_id,
            )

        return self._database.read(work)

    def begin_by_code(self, code: Code, issued: Issued) -> bytes | None:
        """The family of tokens that the code is exchanged for. None: it was taken meanwhile, or whoever allowed it
        signed out.
        """
        family = secrets.token_bytes(FAMILY_BYTES)
        return self._begin(
            OauthCodeRow,
            col(OauthCodeRow.code_hash) == code.code_hash,
            {"family_id": family},
            family,
            code.client_id,
            code.allowed,
            issued,
        )

    def begin_by_device(self, device_hash: bytes, client_id: str, allowed: Allowed, issued: Issued) -> bytes | None:
        """The same for a device code that somebody allowed."""
        family = secrets.token_bytes(FAMILY_BYTES)
        which = col(OauthDeviceRow.device_hash) == device_hash
        return self._begin(OauthDeviceRow, which, {}, family, client_id, allowed, issued)

    def begin_by_person(self, name: str, allowed: Allowed, issued: Issued) -> bytes | None:
        """A family for a token that the person makes themselves and calls ``name``. None: they signed out meanwhile."""
        family, now = secrets.token_bytes(FAMILY_BYTES), int(self._clock())

        def work(transaction: Session) -> bytes | None:
            forget_ended(transaction, now)
            if not _is_signed_in(transaction, allowed):
                return None
            _add_family(transaction, family, OWN_PREFIX + name, allowed, issued, now)
            return family

        return self._database.write(work)

    def refresh(self, token: str) -> Refresh | None:
        """The refresh token, whatever became of it."""

        def work(transaction: Session) -> Refresh | None:
            row = transaction.get(OauthRefreshRow, hash_of(token))
            family = None if row is None else transaction.get(OauthFamilyRow, row.family_id)
            if row is None or family is None:
                return None
            return Refresh(
                row.token_hash,
                family.client_id,
                family.family_id,
                _allowed(family),
                UnixTime(row.expires_at),
                UnixTime(family.expires_at),
                row.used_at is not None,
                row.used_at is not None or family.revoked_at is not None,
            )

        return self._database.read(work)

    def renew(self, refresh: Refresh, scope: str, issued: Issued) -> bool:
        """New tokens of the same family for its refresh token. False: it was taken meanwhile, or the family ended."""
        now = int(self._clock())

        def work(transaction: Session) -> bool:
            # Locked, so that an end that comes at the same time comes before or after, and not between
            locked = select(OauthFamilyRow).where(col(OauthFamilyRow.family_id) == refresh.family).with_for_update()
            family = transaction.exec(locked).one_or_none()
            taken: CursorResult[tuple[()]] = transaction.connection().execute(
                update(OauthRefreshRow)
                .where(col(OauthRefreshRow.token_hash) == refresh.token_hash, col(OauthRefreshRow.used_at).is_(None))
                .values(used_at=now)
            )
            if family is None or family.revoked_at is not None or taken.rowcount != 1:
                return False
            _add_tokens(transaction, refresh.family, refresh.client_id, refresh.allowed, scope, issued, now)
            return True

        return self._database.write(work)

    def end_family(self, family: bytes) -> list[bytes]:
        """Ends every token of the family. Gives the sessions that ended."""
        now = int(self._clock())
        return self._database.write(
            lambda transaction: end_families(transaction, col(OauthFamilyRow.family_id) == family, now)
        )

    def family_of_access(self, token: str) -> tuple[str, bytes] | None:
        """(program, family) of an access token; None for one that is no program's."""

        def work(transaction: Session) -> tuple[str, bytes] | None:
            row = transaction.get(SessionRow, hash_of(token))
            if row is None or row.client_id is None or row.family_id is None:
                return None
            return row.client_id, row.family_id

        return self._database.read(work)

    def end_sign_in(self, family: bytes) -> list[bytes]:
        """Ends the family and the session with which the person let the program in, as if they had signed out there.

        Gives the sessions that ended.
        """
        now = int(self._clock())

        def work(transaction: Session) -> list[bytes]:
            row = transaction.get(OauthFamilyRow, family)
            return [] if row is None else end_session(transaction, row.signed_in_by, now)

        return self._database.write(work)

    def of_actor(self, actor: Address) -> list[SignIn]:
        """The programs that somebody let in and that still are, the newest first."""
        now = int(self._clock())
        query = (
            select(OauthFamilyRow)
            .where(
                col(OauthFamilyRow.actor) == actor,
                col(OauthFamilyRow.revoked_at).is_(None),
                col(OauthFamilyRow.expires_at) > now,
            )
            .order_by(col(OauthFamilyRow.created_at).desc(), col(OauthFamilyRow.family_id))
        )

        def work(transaction: Session) -> list[SignIn]:
            return [
                SignIn(row.family_id, row.client_id, _allowed(row), UnixTime(row.created_at), UnixTime(row.expires_at))
                for row in transaction.exec(query).all()
            ]

        return self._database.read(work)

    def _begin(
        self,
        table: type[OauthCodeRow | OauthDeviceRow],
        which: object,
        more: dict[str, bytes],
        family: bytes,
        client_id: str,
        allowed: Allowed,
        issued: Issued,
    ) -> bytes | None:
        now = int(self._clock())

        def work(transaction: Session) -> bytes | None:
            if not _is_signed_in(transaction, allowed):
                return None
            taken: CursorResult[tuple[()]] = transaction.connection().execute(
                update(table)
                .where(which, col(table.used_at).is_(None))  # type: ignore[arg-type]  # a condition
                .values(used_at=now, **more)
            )
            if taken.rowcount != 1:
                return None
            _add_family(transaction, family, client_id, allowed, issued, now)
            return family

        return self._database.write(work)


def _is_signed_in(transaction: Session, allowed: Allowed) -> bool:
    # Locked before the code, as whoever signs out does it: that comes before or after this, and not between
    given_with = col(SessionRow.token_hash) == allowed.signed_in_by
    person = transaction.exec(select(SessionRow).where(given_with).with_for_update()).one_or_none()
    return person is not None and person.revoked_at is None


def _add_family(
    transaction: Session, family: bytes, client_id: str, allowed: Allowed, issued: Issued, now: int
) -> None:
    transaction.add(
        OauthFamilyRow(
            family_id=family,
            client_id=client_id,
            actor=allowed.actor,
            purpose=int(allowed.purpose),
            scope=allowed.scope,
            auth_time=allowed.auth_time,
            signed_in_by=allowed.signed_in_by,
            created_at=now,
            expires_at=issued.ends_at,
            revoked_at=None,
        )
    )
    _add_tokens(transaction, family, client_id, allowed, allowed.scope, issued, now)


def _add_tokens(
    transaction: Session, family: bytes, client_id: str, allowed: Allowed, scope: str, issued: Issued, now: int
) -> None:
    transaction.add(
        SessionRow(
            token_hash=hash_of(issued.access),
            actor=allowed.actor,
            # A program signs nothing
            signer=allowed.actor,
            purpose=int(allowed.purpose),
            created_at=now,
            expires_at=issued.access_ends_at,
            revoked_at=None,
            client_id=client_id,
            scope=scope,
            family_id=family,
        )
    )
    if issued.refresh is not None:
        transaction.add(
            OauthRefreshRow(
                token_hash=hash_of(issued.refresh),
                family_id=family,
                issued_at=now,
                expires_at=issued.ends_at,
                used_at=None,
            )
        )


def _allowed(row: OauthFamilyRow) -> Allowed:
    return Allowed(Address(row.actor), Purpose(row.purpose), row.scope, UnixTime(row.auth_time), row.signed_in_by)
