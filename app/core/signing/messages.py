"""What people sign (docs/CHAIN.md): one class per EIP-712 message. ``app.core.signing.typed_data`` hashes them,
``app.core.signing.words`` says them.
"""

from dataclasses import dataclass

from app.core.consent.emergencies import Opening
from app.core.consent.terms import Finding, TeamPart, Terms
from app.core.identifiers import Address, ConsentId, EmergencyId, Grantee, PatientKey, Signer, UnixTime


@dataclass(frozen=True, slots=True)
class Claim:
    """The first controller takes a patient key over. The one-time claim key and the controller sign the same
    message.
    """

    patient: PatientKey
    controller: Signer
    deadline: UnixTime


@dataclass(frozen=True, slots=True)
class MoveVeto:
    """The controller stops the pending move of that number."""

    patient: PatientKey
    move_nonce: int
    deadline: UnixTime


@dataclass(frozen=True, slots=True)
class MoveAcceptance:
    """The new controller finishes the move of that number."""

    patient: PatientKey
    controller: Signer
    move_nonce: int
    deadline: UnixTime


@dataclass(frozen=True, slots=True)
class GuardianChange:
    """The controller names a guardian, or removes one (no signer, time 0)."""

    patient: PatientKey
    guardian: Signer
    until: UnixTime
    guardian_nonce: int
    deadline: UnixTime


@dataclass(frozen=True, slots=True)
class ConsentOffer:
    """The controller or guardian grants a consent, or a deny; or a grantee shares one on."""

    terms: Terms
    deadline: UnixTime


@dataclass(frozen=True, slots=True)
class ConsentOffers:
    """Several grants by one signature: all of them or none. At most 16, which name at most 64 studies together."""

    grants: tuple[Terms, ...]
    deadline: UnixTime


@dataclass(frozen=True, slots=True)
class Revocation:
    """The controller or guardian takes a consent back."""

    patient: PatientKey
    consent: ConsentId
    deadline: UnixTime


@dataclass(frozen=True, slots=True)
class TeamChange:
    """A lead sets an account's part in a care team, or ends it (no time); ``team_nonce`` counts the changes before."""

    team: Grantee
    account: Address
    part: TeamPart
    start: UnixTime
    until: UnixTime
    team_nonce: int
    deadline: UnixTime


@dataclass(frozen=True, slots=True)
class EmergencyAccess:
    """A holder of the emergency role breaks the glass. It has no deadline: its own times bound it."""

    opening: Opening


@dataclass(frozen=True, slots=True)
class EmergencyReview:
    """An auditor closes somebody else's emergency. ``note_hash`` is 32 bytes, zero for no note."""

    emergency: EmergencyId
    finding: Finding
    note_hash: bytes
    deadline: UnixTime


# What works until a deadline.
DatedMessage = (
    Claim
    | MoveVeto
    | MoveAcceptance
    | GuardianChange
    | ConsentOffer
    | ConsentOffers
    | Revocation
    | TeamChange
    | EmergencyReview
)
Message = DatedMessage | EmergencyAccess
