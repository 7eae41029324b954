"""What the contracts keep of a patient, a consent and an emergency, as their views give it."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from app.core.consent.terms import Action, DateSpan, Effect, Finding, Window
from app.core.identifiers import Address, ConsentId, Grantee, PatientKey, Signer, StudyKey, UnixTime


class ConsentStatus(IntEnum):
    """What the registry keeps of a consent id."""

    UNUSED = 0
    GRANTED = 1
    REVOKED = 2


@dataclass(frozen=True, slots=True)
class KeptConsent:
    """A consent as the registry holds it; a tombstone has only its status."""

    status: ConsentStatus
    effect: Effect
    actions: Action
    purposes: int
    window: Window
    dates: DateSpan
    share_depth: int
    grantee: Grantee
    parent: ConsentId
    studies: tuple[StudyKey, ...]


@dataclass(frozen=True, slots=True)
class KeptPatient:
    """A patient as the registry holds it: zero addresses and empty signers where there is none."""

    claim_key: Address
    claim_until: UnixTime
    controller: Signer
    guardian: Signer
    guardian_until: UnixTime
    guardian_nonce: int
    new_controller: Signer
    move_ready_at: UnixTime
    move_nonce: int
    ward_until: UnixTime
    erased: bool


@dataclass(frozen=True, slots=True)
class KeptEmergency:
    """An emergency as EmergencyAccess holds it: no finding and a zero reviewer until it is reviewed."""

    patient: PatientKey
    actor: Address
    window: Window
    finding: Finding | None
    reviewer: Address


def address_of(value: str) -> Address:
    """eth_abi gives addresses as hexadecimal text."""
    return Address(bytes.fromhex(value[2:]))


def kept_consent(kept: tuple[Any, ...]) -> KeptConsent:
    """Reads ConsentRegistry's struct."""
    status, effect, actions, purposes, start, end, first, last, depth, grantee, parent, studies = kept
    return KeptConsent(
        ConsentStatus(status),
        Effect(effect),
        Action(actions),
        purposes,
        Window(UnixTime(start), UnixTime(end)),
        DateSpan(first, last),
        depth,
        Grantee(grantee),
        ConsentId(parent),
        tuple(map(StudyKey, studies)),
    )


def kept_patient(kept: tuple[Any, ...]) -> KeptPatient:
    """Reads PatientRegistry's struct."""
    claim_key, claim_until, controller, guardian, guardian_until, guardian_nonce = kept[:6]
    new, ready_at, move_nonce, ward_until, erased = kept[6:]
    return KeptPatient(
        address_of(claim_key),
        UnixTime(claim_until),
        Signer(controller),
        Signer(guardian),
        UnixTime(guardian_until),
        guardian_nonce,
        Signer(new),
        UnixTime(ready_at),
        move_nonce,
        UnixTime(ward_until),
        erased,
    )


def kept_emergency(kept: tuple[Any, ...]) -> KeptEmergency | None:
    """Reads EmergencyAccess's struct; None for an id that was never used."""
    patient, actor, start, end, finding, reviewer = kept
    if not end:
        return None
    return KeptEmergency(
        PatientKey(patient),
        address_of(actor),
        Window(UnixTime(start), UnixTime(end)),
        Finding(finding) if finding else None,
        address_of(reviewer),
    )
