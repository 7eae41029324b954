"""Who is enrolled, signed in, asking, called what."""

from sqlalchemy import BigInteger, Text, UniqueConstraint
from sqlmodel import Field

from app.store.tables.row import Row, RowId


class PatientRow(Row, table=True):
    """A patient as enrolled here. Erasure empties patient_id, issuer, salt and code: then nothing ties key and person.

    ``code``: what the patient reads to a physician who wants to ask (patient_code.py).
    """

    __tablename__ = "patient"
    # NULLs differ from one another, so erased rows do not collide and a person can be enrolled anew.
    __table_args__ = (UniqueConstraint("patient_id", "issuer", name="uq_patient_subject"),)

    row_id: int | None = Field(default=None, primary_key=True, sa_type=RowId)
    patient_key: bytes = Field(unique=True)
    patient_id: str | None = Field(sa_type=Text)
    issuer: str | None = Field(sa_type=Text)
    salt: bytes | None
    code: str | None = Field(sa_type=Text, unique=True)
    enrolled_at: int = Field(sa_type=BigInteger)
    erased_at: int | None = Field(sa_type=BigInteger)
    changed_at: int = Field(sa_type=BigInteger, index=True)


class SessionRow(Row, table=True):
    """A signed-in actor. The token itself is never stored, only its SHA-256. ``signer``: what they sign with.

    Of a program's token: which program, what it may do, and the family of tokens that it belongs to.
    """

    __tablename__ = "session"

    token_hash: bytes = Field(primary_key=True)
    actor: bytes
    signer: bytes
    purpose: int
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger, index=True)
    revoked_at: int | None = Field(sa_type=BigInteger)
    client_id: str | None = Field(default=None, sa_type=Text)
    scope: str | None = Field(default=None, sa_type=Text)
    family_id: bytes | None = Field(default=None, index=True)


class SiweNonceRow(Row, table=True):
    """A sign-in nonce: issued to one address, used once."""

    __tablename__ = "siwe_nonce"

    nonce: str = Field(primary_key=True, sa_type=Text)
    address: bytes
    issued_at: int = Field(sa_type=BigInteger, index=True)
    used_at: int | None = Field(sa_type=BigInteger)


class AccessRequestRow(Row, table=True):
    """A physician asks a patient for a consent. ``terms``: JSON of what is asked; ``state``: RequestState.

    ``patient_key`` is a random one where nobody is meant, so that such a request is a row like any other. ``asked``: a
    keyed hash of how the patient was named, so that open requests are counted whether or not there is such a patient.
    """

    __tablename__ = "access_request"

    request_id: bytes = Field(primary_key=True)
    patient_key: bytes = Field(index=True)
    requester: bytes = Field(index=True)
    asked: bytes
    terms: str = Field(sa_type=Text)
    message: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    consent_id: bytes | None
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger, index=True)
    decided_at: int | None = Field(sa_type=BigInteger)


class DirectoryEntryRow(Row, table=True):
    """Who an account is, in words. The chain holds ``entry_hash``; the salt keeps it from being guessed. There may be
    several of one account: which of them counts, the chain says.
    """

    __tablename__ = "directory_entry"

    address: bytes = Field(primary_key=True)
    name: str = Field(sa_type=Text)
    organisation: str = Field(sa_type=Text)
    registration: str = Field(sa_type=Text)
    salt: bytes
    entry_hash: bytes = Field(primary_key=True)
    updated_at: int = Field(sa_type=BigInteger)
