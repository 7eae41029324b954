"""Break-glass: what was signed to open an emergency, and what somebody else found of it."""

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from app.store.tables.row import Row


class EmergencyRow(Row, table=True):
    """An emergency that was opened here: it counts from the moment this row is committed.

    ``reason`` and ``reason_salt`` open the hash on the chain; erasure empties both. ``snapshot_age_s``: how old the
    roles were that it was opened on, where the chain was away.
    """

    __tablename__ = "emergency"

    emergency_id: bytes = Field(primary_key=True)
    patient_key: bytes = Field(index=True)
    actor: bytes = Field(index=True)
    reason: str = Field(sa_type=Text)
    reason_salt: bytes
    valid_from: int = Field(sa_type=BigInteger)
    valid_until: int = Field(sa_type=BigInteger, index=True)
    signer: bytes
    signature: bytes
    snapshot_age_s: int | None
    created_at: int = Field(sa_type=BigInteger)
    call_id: int = Field(sa_type=BigInteger, foreign_key="outbox_call.call_id")


class EmergencyReviewRow(Row, table=True):
    """A review handed in here. ``note`` and ``note_salt`` open the hash on the chain; erasure empties both."""

    __tablename__ = "emergency_review"

    emergency_id: bytes = Field(primary_key=True)
    patient_key: bytes = Field(index=True)
    reviewer: bytes
    finding: int
    note: str = Field(sa_type=Text)
    note_salt: bytes
    created_at: int = Field(sa_type=BigInteger)
    call_id: int = Field(sa_type=BigInteger, foreign_key="outbox_call.call_id")
