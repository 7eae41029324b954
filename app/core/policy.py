"""Who may do what: a pure function of the chain's state, the request and the time. The contract's ``decide`` answers the same (P19)."""

from dataclasses import dataclass
from enum import Enum

from app.core.identifiers import Address, BasisId, PatientKey, StudyKey
from app.core.terms import Action, Purpose


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One question. ``action`` is a single bit; ``study`` is the salted key of the study asked for."""

    actor: Address
    patient: PatientKey
    study: StudyKey
    action: Action
    purpose: Purpose


class DenyReason(Enum):
    """Why not. Goes into the record of a denial and to the patient and the auditor, never into an answer to the caller."""

    PATIENT_UNKNOWN = "patient-unknown"
    PATIENT_UNCLAIMED = "patient-unclaimed"
    NO_ROLE = "no-role"
    NO_CONSENT = "no-consent"
    DENIED_BY_CONSENT = "denied-by-consent"
    REVOKED_HERE = "revoked-here"
    NOT_FINAL = "not-final"
    SUBJECT_UNRESOLVED = "subject-unresolved"


@dataclass(frozen=True, slots=True)
class Permit:
    """Let in. ``basis`` is the consent's id, or SELF or GUARDIAN."""

    basis: BasisId


@dataclass(frozen=True, slots=True)
class Deny:
    reason: DenyReason


Verdict = Permit | Deny
