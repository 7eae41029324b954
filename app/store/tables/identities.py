"""Studies whose patient the archive leaves in doubt, what was said of them, and the walk that finds them."""

from sqlalchemy import BigInteger, Index, Text, text
from sqlmodel import Field

from app.store.tables.row import Row

_IN_FORCE = text("withdrawn_at IS NULL")


class IdentityResolutionRow(Row, table=True):
    """Who said what of whom, when and why. Withdrawn ones stay; erasure of the patient empties all but that there was
    one.

    ``kind``: ResolutionKind. An alias has ``alias_patient_id`` and ``alias_issuer``, a study's ``study_uid`` and the
    ``fingerprint`` of the identities that were looked at.
    """

    __tablename__ = "identity_resolution"
    __table_args__ = (
        # Of several that are in force nobody could say which counts.
        Index(
            "uq_identity_resolution_alias",
            "alias_patient_id",
            "alias_issuer",
            unique=True,
            sqlite_where=_IN_FORCE,
            postgresql_where=_IN_FORCE,
        ),
        Index(
            "uq_identity_resolution_study",
            "study_uid",
            unique=True,
            sqlite_where=_IN_FORCE,
            postgresql_where=_IN_FORCE,
        ),
    )

    resolution_id: bytes = Field(primary_key=True)
    kind: str = Field(sa_type=Text)
    patient_key: bytes = Field(index=True)
    alias_patient_id: str | None = Field(sa_type=Text)
    alias_issuer: str | None = Field(sa_type=Text)
    study_uid: str | None = Field(sa_type=Text)
    fingerprint: bytes | None
    reason: str = Field(sa_type=Text)
    made_by: bytes
    made_at: int = Field(sa_type=BigInteger)
    withdrawn_by: bytes | None
    withdrawn_at: int | None = Field(sa_type=BigInteger)
    changed_at: int = Field(sa_type=BigInteger, index=True)


class OddStudyRow(Row, table=True):
    """A study as it was last seen. ``oddity``: core.oddities.Oddity; ``identities``: how many it holds."""

    __tablename__ = "odd_study"

    study_uid: str = Field(primary_key=True, sa_type=Text)
    oddity: str = Field(sa_type=Text, index=True)
    identities: int
    instances: int = Field(sa_type=BigInteger)
    fingerprint: bytes | None
    first_seen: int = Field(sa_type=BigInteger)
    last_seen: int = Field(sa_type=BigInteger, index=True)


class OddIdentityRow(Row, table=True):
    """One of its identities. ``identity``: FoundIdentity's text, ``identity_hash`` its SHA-256: texts may be long."""

    __tablename__ = "odd_identity"

    study_uid: str = Field(primary_key=True, sa_type=Text)
    identity_hash: bytes = Field(primary_key=True, index=True)
    identity: str = Field(sa_type=Text)
    blank: bool
    instances: int = Field(sa_type=BigInteger)


class IdentityScanRow(Row, table=True):
    """The walk through the archive: one row, of the last that was asked for. ``state``: ScanState."""

    __tablename__ = "identity_scan"

    scan_id: int = Field(primary_key=True)
    state: str = Field(sa_type=Text)
    place: str = Field(sa_type=Text)
    done: int = Field(sa_type=BigInteger)
    total: int | None = Field(sa_type=BigInteger)
    found: int = Field(sa_type=BigInteger)
    skipped: int = Field(sa_type=BigInteger)
    trouble: str = Field(sa_type=Text)
    started_by: bytes
    started_at: int = Field(sa_type=BigInteger)
    finished_at: int | None = Field(sa_type=BigInteger)
