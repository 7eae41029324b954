"""Who comes to act for a patient, and patients who are no more. Nothing here names a person but ``GuardianNameRow``."""

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from app.store.tables.row import Row


class GuardianNameRow(Row, table=True):
    """What a patient calls the guardian they named: shown to those who act for the patient, signed by nobody."""

    __tablename__ = "guardian_name"

    patient_key: bytes = Field(primary_key=True)
    guardian: bytes = Field(primary_key=True)
    name: str = Field(sa_type=Text)
    written_at: int = Field(sa_type=BigInteger)


class RecoveryRow(Row, table=True):
    """A recovery that the desk has begun. ``code_hash``: claim_code.recovery_hash; ``controller``: the new one, once
    the code has been used.

    ``started_call``: the relayed call that starts the move. ``move_nonce``: the move's number, once it was seen on the
    chain. ``ended`` and ``ended_at``: recoveries.Ended, once it is over.
    """

    __tablename__ = "recovery"

    recovery_id: bytes = Field(primary_key=True)
    patient_key: bytes = Field(index=True)
    registrar: bytes
    code_hash: bytes = Field(unique=True)
    created_at: int = Field(sa_type=BigInteger, index=True)
    expires_at: int = Field(sa_type=BigInteger)
    controller: bytes | None
    claimed_at: int | None = Field(sa_type=BigInteger)
    started_call: int | None = Field(sa_type=BigInteger, foreign_key="outbox_call.call_id")
    move_nonce: int | None = Field(sa_type=BigInteger)
    ended: str | None = Field(sa_type=Text)
    ended_at: int | None = Field(sa_type=BigInteger, index=True)


class ErasureRow(Row, table=True):
    """An erasure, from its first moment on: the key is served to nobody any more. It stays, and says who did it.

    ``registrar`` is NULL where the erasure came by a transaction of which nothing was known here. ``erased_at``: when
    the chain had it and the links were destroyed here. ``swept_at``: when no answer can be running any more that was
    begun before, and what such a one wrote last is gone too.
    """

    __tablename__ = "erasure"

    patient_key: bytes = Field(primary_key=True)
    registrar: bytes | None
    reason: str = Field(sa_type=Text)
    asked_at: int = Field(sa_type=BigInteger, index=True)
    call_id: int | None = Field(sa_type=BigInteger, foreign_key="outbox_call.call_id")
    erased_at: int | None = Field(sa_type=BigInteger)
    swept_at: int | None = Field(sa_type=BigInteger, index=True)
