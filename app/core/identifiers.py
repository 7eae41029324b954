"""Distinct types for things that look alike, so that a checker catches a study handed over as a patient.

All are plain ``str``, ``bytes`` or ``int`` at run time. Hashes, keys and addresses are raw bytes; hex is for the edges.
"""

from dataclasses import dataclass
from typing import NewType

# DICOM unique identifiers as they stand in the path, compared character by character (leading zeros live in archives).
StudyUid = NewType("StudyUid", str)
SeriesUid = NewType("SeriesUid", str)
InstanceUid = NewType("InstanceUid", str)

# 20 bytes: an account, or the actor derived from a longer ERC-7913 signer (docs/CHAIN.md).
Address = NewType("Address", bytes)
# 32 bytes each.
PatientKey = NewType("PatientKey", bytes)
StudyKey = NewType("StudyKey", bytes)
ConsentId = NewType("ConsentId", bytes)
EmergencyId = NewType("EmergencyId", bytes)
Grantee = NewType("Grantee", bytes)
BasisId = NewType("BasisId", bytes)
RoleId = NewType("RoleId", bytes)
BlockHash = NewType("BlockHash", bytes)
TxHash = NewType("TxHash", bytes)
Commitment = NewType("Commitment", bytes)
LogHead = NewType("LogHead", bytes)
# 16 bytes, random: what a client sees in Access-Record-Id (as 32 hex digits).
AccessRecordId = NewType("AccessRecordId", bytes)
# An ERC-7913 signer: 20 bytes of an account, or a verifier's address followed by a key.
Signer = NewType("Signer", bytes)
# Unix seconds, UTC.
UnixTime = NewType("UnixTime", int)
# A study's date as the number YYYYMMDD.
StudyDate = NewType("StudyDate", int)


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block by identity: a number alone names a different block on each fork."""

    number: int
    hash: BlockHash


@dataclass(frozen=True, slots=True)
class Subject:
    """A patient as the PACS names one: PatientID (0010,0020) with its IssuerOfPatientID (0010,0021), "" when absent."""

    patient_id: str
    issuer: str

    @classmethod
    def typed(cls, patient_id: str, issuer: str) -> "Subject":
        """As somebody typed it: spaces around are not significant (PS3.5 §6.2), and no archive's subject has them."""
        return cls(patient_id.strip(" "), issuer.strip(" "))
