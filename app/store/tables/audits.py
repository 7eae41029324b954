"""Verification runs that auditors began from the portal."""

from sqlalchemy import BigInteger, Text
from sqlmodel import Field

from app.store.tables.row import Row


class VerificationRow(Row, table=True):
    """One run of the replay. ``state``: RunState; ``report``: its JSON document, "" until it has ended."""

    __tablename__ = "verification"

    run_id: bytes = Field(primary_key=True)
    asked_by: bytes
    with_records: bool
    state: str = Field(sa_type=Text)
    reached: int = Field(sa_type=BigInteger)
    last: int = Field(sa_type=BigInteger)
    records: int = Field(sa_type=BigInteger)
    report: str = Field(sa_type=Text)
    started_at: int = Field(sa_type=BigInteger, index=True)
    changed_at: int = Field(sa_type=BigInteger)
