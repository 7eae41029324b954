"""Passkeys, and the challenges that they answer."""

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from app.store.tables.row import Row


class PasskeyRow(Row, table=True):
    """A passkey that was made here. ``maker``: who let it be made, a session's actor, the address of an enrolment's
    code, the id of a recovery, or an invitation's hash.
    """

    __tablename__ = "passkey"

    credential_id: bytes = Field(primary_key=True)
    signer: bytes = Field(unique=True)
    user_handle: bytes
    name: str = Field(sa_type=Text)
    maker: bytes = Field(index=True)
    sign_count: int = Field(sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger)
    used_at: int | None = Field(sa_type=BigInteger)


class InvitationRow(Row, table=True):
    """Somebody of the staff who is to make a passkey. ``code_hash``: claim_code.invitation_hash; ``signer``: the
    passkey, once it is made.
    """

    __tablename__ = "invitation"

    invitation_id: bytes = Field(primary_key=True)
    code_hash: bytes = Field(unique=True)
    name: str = Field(sa_type=Text)
    invited_by: bytes
    created_at: int = Field(sa_type=BigInteger, index=True)
    expires_at: int = Field(sa_type=BigInteger)
    signer: bytes | None
    used_at: int | None = Field(sa_type=BigInteger)


class PasskeyChallengeRow(Row, table=True):
    """A challenge, gone once it is answered. ``maker`` is empty for signing in; ``user_handle`` then too."""

    __tablename__ = "passkey_challenge"

    challenge: bytes = Field(primary_key=True)
    maker: bytes
    user_handle: bytes
    issued_at: int = Field(sa_type=BigInteger, index=True)
