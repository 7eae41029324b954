"""What people are to be told, and where they asked to be told it."""

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from app.store.tables.row import Row, RowId


class NoticeRow(Row, table=True):
    """A notice to be given once. ``identity``: kinds.Due.identity; ``recipient``: an actor or a patient key.

    ``addressed_at`` is set once it is known who is to be told and how: from then on its deliveries count.
    """

    __tablename__ = "notice"
    __table_args__ = (
        Index(
            "ix_notice_unaddressed",
            "notice_id",
            sqlite_where=text("addressed_at IS NULL"),
            postgresql_where=text("addressed_at IS NULL"),
        ),
    )

    notice_id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    identity: bytes = Field(unique=True)
    kind: str = Field(sa_type=Text)
    recipient: bytes
    patient_key: bytes = Field(index=True)
    about: bytes
    due_at: int = Field(sa_type=BigInteger)
    created_at: int = Field(sa_type=BigInteger, index=True)
    addressed_at: int | None = Field(sa_type=BigInteger)


class NoticeDeliveryRow(Row, table=True):
    """One notice to one person by one channel. ``public_id``: 16 random bytes, the same at every attempt."""

    __tablename__ = "notice_delivery"
    __table_args__ = (
        UniqueConstraint("notice_id", "actor", "channel", name="uq_notice_delivery_once"),
        Index("ix_notice_delivery_next", "state", "next_at"),
    )

    delivery_id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    notice_id: int = Field(sa_type=BigInteger, foreign_key="notice.notice_id", ondelete="CASCADE")
    actor: bytes = Field(index=True)
    channel: str = Field(sa_type=Text)
    public_id: bytes
    state: str = Field(sa_type=Text)
    failures: int
    next_at: int = Field(sa_type=BigInteger)
    changed_at: int = Field(sa_type=BigInteger)


class NoticeCursorRow(Row, table=True):
    """How far a source of notices has been read: up to and with ``position``."""

    __tablename__ = "notice_cursor"

    source: str = Field(primary_key=True, sa_type=Text)
    position: int = Field(sa_type=BigInteger)


class KnownAccessorRow(Row, table=True):
    """An actor who has accessed a patient's images before."""

    __tablename__ = "known_accessor"

    patient_key: bytes = Field(primary_key=True)
    actor: bytes = Field(primary_key=True)


class ContactRow(Row, table=True):
    """What somebody wants to be told, and in which language. ``muted``: kinds, comma-separated."""

    __tablename__ = "contact"

    actor: bytes = Field(primary_key=True)
    language: str = Field(sa_type=Text)
    muted: str = Field(sa_type=Text)
    changed_at: int = Field(sa_type=BigInteger)


class ContactChannelRow(Row, table=True):
    """Where they are reached. Nothing but the confirmation is sent there until ``confirmed_at``.

    ``nonce`` and the site key make the one-time link's token and the webhook's secret; neither is kept.
    """

    __tablename__ = "contact_channel"

    actor: bytes = Field(primary_key=True, foreign_key="contact.actor", ondelete="CASCADE")
    channel: str = Field(primary_key=True, sa_type=Text)
    target: str = Field(sa_type=Text)
    nonce: bytes
    token_hash: bytes = Field(unique=True)
    asked_at: int = Field(sa_type=BigInteger)
    confirmed_at: int | None = Field(sa_type=BigInteger)


class ContactPatientRow(Row, table=True):
    """For which patients the owner of a contact acts or has acted: it is erased with each of them."""

    __tablename__ = "contact_patient"

    actor: bytes = Field(primary_key=True, foreign_key="contact.actor", ondelete="CASCADE")
    patient_key: bytes = Field(primary_key=True, index=True)
