"""Ends sign-ins, inside somebody's transaction: a session or a family of a program's tokens, and what came of them.

Whoever signed in and allowed programs something takes all of it back by signing out: what a program holds never
outlives the word it was given on.
"""

from collections.abc import Collection

from sqlalchemy import ColumnElement, delete, or_, update
from sqlmodel import Session, col, select

from app.store.tables import OauthCodeRow, OauthDeviceRow, OauthFamilyRow, OauthRefreshRow, SessionRow

KEPT_AFTER_END_S = 86_400


def end_session(transaction: Session, token_hash: bytes, now: int) -> list[bytes]:
    """Ends a session with the family that it belongs to and the programs that it let in. Gives the sessions ended.

    Codes that still wait are worth nothing from now on: whoever exchanges one looks whether its session is over.
    """
    row = transaction.get(SessionRow, token_hash)
    family = None if row is None else row.family_id
    ended = _end(transaction, col(SessionRow.token_hash) == token_hash, now)
    which = [col(OauthFamilyRow.signed_in_by) == token_hash]
    if family is not None:
        which.append(col(OauthFamilyRow.family_id) == family)
    return ended + end_families(transaction, or_(*which), now)


def end_families(transaction: Session, which: ColumnElement[bool], now: int) -> list[bytes]:
    """Ends those families of tokens, refresh tokens included. Gives the sessions that ended with them."""
    living = select(OauthFamilyRow.family_id).where(which, col(OauthFamilyRow.revoked_at).is_(None))
    families: Collection[bytes] = transaction.exec(living).all()
    if not families:
        return []
    transaction.connection().execute(
        update(OauthFamilyRow).where(col(OauthFamilyRow.family_id).in_(families)).values(revoked_at=now)
    )
    return _end(transaction, col(SessionRow.family_id).in_(families), now)


def forget_ended(transaction: Session, now: int) -> None:
    """Takes away what has been over for a day."""
    connection, before = transaction.connection(), now - KEPT_AFTER_END_S
    for row in (OauthCodeRow, OauthDeviceRow, OauthRefreshRow, OauthFamilyRow):
        connection.execute(delete(row).where(col(row.expires_at) < before))


def _end(transaction: Session, which: ColumnElement[bool], now: int) -> list[bytes]:
    living = select(SessionRow.token_hash).where(which, col(SessionRow.revoked_at).is_(None))
    hashes = list(transaction.exec(living).all())
    if hashes:
        transaction.connection().execute(
            update(SessionRow).where(col(SessionRow.token_hash).in_(hashes)).values(revoked_at=now)
        )
    return hashes
