"""What is to be on the chain: calls, their signed transactions, the log's batches, and what people signed."""

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from app.store.tables.row import Row, RowId


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
