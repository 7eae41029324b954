"""The access log and what became of each answer."""

from sqlalchemy import BigInteger, Index, Text, text
from sqlmodel import Field

from app.store.tables.row import Row, RowId


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
