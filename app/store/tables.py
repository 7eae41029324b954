"""The tables. Times are Unix seconds (UTC); hashes, keys and addresses are raw bytes.

Every change to this file needs a migration beside it (``migrations/``); a test holds the two together.
"""

from sqlalchemy import BigInteger, Index, MetaData, Text, UniqueConstraint, text
from sqlalchemy.ext.compiler import compiles
from sqlmodel import Field, SQLModel


class RowId(BigInteger):
    """A 64-bit key that counts up by itself. SQLite does that only for a column declared exactly INTEGER."""


@compiles(RowId, "sqlite")
def _row_id_on_sqlite(_element: RowId, _compiler: object, **_options: object) -> str:
    return "INTEGER"


class Row(SQLModel):
    """What all tables share: a catalogue of their own, in which every constraint has a name to be altered by."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class PatientRow(Row, table=True):
    """A patient as enrolled here. Erasure empties patient_id, issuer and salt: then nothing ties key and person."""

    __tablename__ = "patient"
    # NULLs differ from one another, so erased rows do not collide and a person can be enrolled anew.
    __table_args__ = (UniqueConstraint("patient_id", "issuer", name="uq_patient_subject"),)

    row_id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    patient_key: bytes = Field(unique=True)
    patient_id: str | None = Field(sa_type=Text)
    issuer: str | None = Field(sa_type=Text)
    salt: bytes | None
    enrolled_at: int = Field(sa_type=BigInteger)
    erased_at: int | None = Field(sa_type=BigInteger)
    changed_at: int = Field(sa_type=BigInteger, index=True)


class SessionRow(Row, table=True):
    """A signed-in actor. The token itself is never stored, only its SHA-256."""

    __tablename__ = "session"

    token_hash: bytes = Field(primary_key=True)
    actor: bytes
    purpose: int
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger, index=True)
    revoked_at: int | None = Field(sa_type=BigInteger)


class SiweNonceRow(Row, table=True):
    """A sign-in nonce: issued to one address, used once."""

    __tablename__ = "siwe_nonce"

    nonce: str = Field(primary_key=True, sa_type=Text)
    address: bytes
    issued_at: int = Field(sa_type=BigInteger, index=True)
    used_at: int | None = Field(sa_type=BigInteger)


class AccessRecordRow(Row, table=True):
    """An access record, synced before its answer's first byte. The submitter sets ``seq`` and ``batch_id`` together."""

    __tablename__ = "access_record"
    __table_args__ = (
        # The submitter's work list and the backlog: as small as the backlog itself.
        Index(
            "ix_access_record_unbatched",
            "row_id",
            "at",
            sqlite_where=text("batch_id IS NULL"),
            postgresql_where=text("batch_id IS NULL"),
        ),
        Index("ix_access_record_patient", "patient_key", "row_id"),
        Index("ix_access_record_actor", "actor", "row_id"),
        # Partial, so that a record costs nothing in them while it is written.
        Index(
            "ix_access_record_batch",
            "batch_id",
            sqlite_where=text("batch_id IS NOT NULL"),
            postgresql_where=text("batch_id IS NOT NULL"),
        ),
        Index(
            "uq_access_record_seq",
            "seq",
            unique=True,
            sqlite_where=text("seq IS NOT NULL"),
            postgresql_where=text("seq IS NOT NULL"),
        ),
    )

    row_id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    record_id: bytes = Field(unique=True)
    at: int = Field(sa_type=BigInteger)
    actor: bytes
    patient_key: bytes
    study_uid: str | None = Field(sa_type=Text)
    action: int
    purpose: int
    basis: bytes
    block_number: int = Field(sa_type=BigInteger)
    block_hash: bytes
    salt: bytes
    body: bytes
    commitment: bytes
    seq: int | None = Field(sa_type=BigInteger)
    batch_id: int | None = Field(sa_type=BigInteger)


class AccessOutcomeRow(Row, table=True):
    """What became of the answer. No foreign key: an odd outcome must never take records down with its transaction."""

    __tablename__ = "access_outcome"

    record_id: bytes = Field(primary_key=True)
    status: int
    body_bytes: int = Field(sa_type=BigInteger)
    complete: bool
    at: int = Field(sa_type=BigInteger)


class OutboxCallRow(Row, table=True):
    """A call that is to be on the chain exactly once. ``state``: outbox.CallState; the signed attempts: outbox_tx."""

    __tablename__ = "outbox_call"
    __table_args__ = (
        UniqueConstraint("kind", "reference", name="uq_outbox_call_reference"),
        # Two processes that both believe they lead cannot both use a nonce.
        UniqueConstraint("account", "account_nonce", name="uq_outbox_call_account_nonce"),
        Index("ix_outbox_call_state", "state", "account"),
    )

    call_id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    account: bytes
    kind: str = Field(sa_type=Text)
    reference: bytes
    target: bytes
    calldata: bytes
    gas_limit: int | None = Field(sa_type=BigInteger)
    state: str = Field(sa_type=Text)
    account_nonce: int | None = Field(sa_type=BigInteger)
    error: str | None = Field(sa_type=Text)
    created_at: int = Field(sa_type=BigInteger)
    changed_at: int = Field(sa_type=BigInteger)
    mined_number: int | None = Field(sa_type=BigInteger)
    mined_hash: bytes | None
    mined_tx: bytes | None


class OutboxTxRow(Row, table=True):
    """A signed transaction, stored before it is broadcast and kept: after a reorganisation it is sent again."""

    __tablename__ = "outbox_tx"

    tx_hash: bytes = Field(primary_key=True)
    call_id: int = Field(sa_type=BigInteger, foreign_key="outbox_call.call_id", index=True)
    account_nonce: int = Field(sa_type=BigInteger)
    raw: bytes
    # Wei as decimal text: a fee may exceed 64 bits.
    max_fee_wei: str = Field(sa_type=Text)
    priority_fee_wei: str = Field(sa_type=Text)
    signed_at: int = Field(sa_type=BigInteger)


class ChainBatchRow(Row, table=True):
    """A run of the log, carried by one call: ``count`` records from ``first_seq``, ``prev_head`` to ``next_head``."""

    __tablename__ = "chain_batch"
    __table_args__ = (
        Index(
            "uq_chain_batch_first_seq",
            "first_seq",
            unique=True,
            sqlite_where=text("released_at IS NULL"),
            postgresql_where=text("released_at IS NULL"),
        ),
    )

    batch_id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    call_id: int = Field(sa_type=BigInteger, foreign_key="outbox_call.call_id", unique=True)
    first_seq: int = Field(sa_type=BigInteger)
    count: int
    prev_head: bytes
    next_head: bytes
    oldest_at: int = Field(sa_type=BigInteger)
    # Set when its call can never land any more; its records then wait for another batch.
    released_at: int | None = Field(sa_type=BigInteger)


class ConsentMessageRow(Row, table=True):
    """A consent as its grantor signed it here. What became of it is its call's state."""

    __tablename__ = "consent_message"

    consent_id: bytes = Field(primary_key=True)
    patient_key: bytes = Field(index=True)
    typed_data: str = Field(sa_type=Text)
    signer: bytes
    signature: bytes
    created_at: int = Field(sa_type=BigInteger)
    call_id: int = Field(sa_type=BigInteger, foreign_key="outbox_call.call_id")


class RevocationMessageRow(Row, table=True):
    """A revocation handed in here: it denies from now on; until ``landed_at`` the mirror does not know it for good."""

    __tablename__ = "revocation_message"

    patient_key: bytes = Field(primary_key=True)
    consent_id: bytes = Field(primary_key=True)
    typed_data: str = Field(sa_type=Text)
    signer: bytes
    signature: bytes
    created_at: int = Field(sa_type=BigInteger)
    landed_at: int | None = Field(default=None, sa_type=BigInteger, index=True)
    call_id: int = Field(sa_type=BigInteger, foreign_key="outbox_call.call_id")


class AccessRequestRow(Row, table=True):
    """A physician asks a patient for a consent. ``terms``: JSON of what is asked; ``state``: RequestState."""

    __tablename__ = "access_request"

    request_id: bytes = Field(primary_key=True)
    patient_key: bytes = Field(index=True)
    requester: bytes = Field(index=True)
    terms: str = Field(sa_type=Text)
    message: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    consent_id: bytes | None
    created_at: int = Field(sa_type=BigInteger)
    decided_at: int | None = Field(sa_type=BigInteger)


class DirectoryEntryRow(Row, table=True):
    """Who an account is, in words. The chain holds ``entry_hash``; the salt keeps it from being guessed."""

    __tablename__ = "directory_entry"

    address: bytes = Field(primary_key=True)
    name: str = Field(sa_type=Text)
    organisation: str = Field(sa_type=Text)
    registration: str = Field(sa_type=Text)
    salt: bytes
    entry_hash: bytes
    updated_at: int = Field(sa_type=BigInteger)
