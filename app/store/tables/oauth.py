"""Programs that people sign in with. Codes and tokens are never stored, only their SHA-256."""

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from app.store.tables.row import Row


class OauthClientRow(Row, table=True):
    """A program as an operator registered it. Lists are JSON."""

    __tablename__ = "oauth_client"

    client_id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    redirect_uris: str = Field(sa_type=Text)
    post_logout_redirect_uris: str = Field(sa_type=Text)
    scopes: str = Field(sa_type=Text)
    native: bool
    device: bool
    created_at: int = Field(sa_type=BigInteger)


class OauthFamilyRow(Row, table=True):
    """What one person allowed one program, once: every token that comes of it. ``signed_in_by``: the session they were
    signed in with when they did.
    """

    __tablename__ = "oauth_family"

    family_id: bytes = Field(primary_key=True)
    client_id: str = Field(sa_type=Text, index=True)
    actor: bytes = Field(index=True)
    purpose: int
    scope: str = Field(sa_type=Text)
    auth_time: int = Field(sa_type=BigInteger)
    signed_in_by: bytes = Field(index=True)
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger, index=True)
    revoked_at: int | None = Field(sa_type=BigInteger)


class OauthCodeRow(Row, table=True):
    """An authorization code. ``family_id``: what became of it, so that a replay ends that."""

    __tablename__ = "oauth_code"

    code_hash: bytes = Field(primary_key=True)
    client_id: str = Field(sa_type=Text)
    redirect_uri: str = Field(sa_type=Text)
    code_challenge: str = Field(sa_type=Text)
    nonce: str | None = Field(sa_type=Text)
    actor: bytes
    purpose: int
    scope: str = Field(sa_type=Text)
    auth_time: int = Field(sa_type=BigInteger)
    signed_in_by: bytes
    expires_at: int = Field(sa_type=BigInteger, index=True)
    used_at: int | None = Field(sa_type=BigInteger)
    family_id: bytes | None


class OauthDeviceRow(Row, table=True):
    """A program that waits for somebody to enter its code. ``allowed``: their answer; with it come actor to
    ``signed_in_by``. ``purpose``: as asked, then as granted; ``scope`` likewise.
    """

    __tablename__ = "oauth_device"

    device_hash: bytes = Field(primary_key=True)
    user_code_hash: bytes = Field(unique=True)
    client_id: str = Field(sa_type=Text)
    scope: str = Field(sa_type=Text)
    purpose: int | None
    expires_at: int = Field(sa_type=BigInteger, index=True)
    interval_s: int
    polled_at: int | None = Field(sa_type=BigInteger)
    allowed: bool | None
    actor: bytes | None
    auth_time: int | None = Field(sa_type=BigInteger)
    signed_in_by: bytes | None
    used_at: int | None = Field(sa_type=BigInteger)


class OauthRefreshRow(Row, table=True):
    """A refresh token. Used once: what comes after that is a replay."""

    __tablename__ = "oauth_refresh"

    token_hash: bytes = Field(primary_key=True)
    family_id: bytes = Field(index=True)
    issued_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger, index=True)
    used_at: int | None = Field(sa_type=BigInteger)
