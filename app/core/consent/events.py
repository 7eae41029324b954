"""What the contracts say happened, as values (docs/CHAIN.md): one class per event that changes who may do what.

``app.chain.events`` makes them from logs; ``app.core.consent.fold`` applies them.
"""

from dataclasses import dataclass

from app.core.consent.terms import Capacity, Finding, TeamPart, Terms, Window
from app.core.identifiers import (
    Address,
    BasisId,
    BlockRef,
    Commitment,
    ConsentId,
    EmergencyId,
    Grantee,
    PatientKey,
    RoleId,
    Signer,
    UnixTime,
)

# The end of a ward's time, of who is no ward.
NO_WARD = UnixTime(0)


@dataclass(frozen=True, slots=True)
class RoleSet:
    """A staff role's window was set or replaced."""

    role: RoleId
    account: Address
    window: Window


@dataclass(frozen=True, slots=True)
class RoleWithdrawn:
    """A staff role ended before its window did."""

    role: RoleId
    account: Address


@dataclass(frozen=True, slots=True)
class DirectoryEntrySet:
    """The hash of an account's entry in the directory, 32 bytes; all zero removes it."""

    account: Address
    entry: bytes


@dataclass(frozen=True, slots=True)
class TeamCreated:
    """A care team exists from now on; it has nobody yet."""

    team: Grantee


@dataclass(frozen=True, slots=True)
class TeamPartSet:
    """An account's part in a care team was set or replaced, or (no window) ended. ``nonce`` counts the team's changes
    from 1.
    """

    team: Grantee
    account: Address
    part: TeamPart
    window: Window | None
    nonce: int


@dataclass(frozen=True, slots=True)
class PatientEnrolled:
    """A patient key was committed with a one-time claim key; again, while unclaimed, replaces the claim key.

    ``ward_until`` 0: whoever claims acts for themselves. Else a ward: whoever claims acts as guardian, and before that
    time only.
    """

    patient: PatientKey
    claim_key: Address
    claim_until: UnixTime
    ward_until: UnixTime = NO_WARD


@dataclass(frozen=True, slots=True)
class PatientClaimed:
    """The patient's first controller took over."""

    patient: PatientKey
    actor: Address
    controller: Signer


@dataclass(frozen=True, slots=True)
class MoveStarted:
    """A move to a new controller began, replacing any that was pending."""

    patient: PatientKey
    controller: Signer
    ready_at: UnixTime


@dataclass(frozen=True, slots=True)
class MoveVetoed:
    """The controller stopped the pending move."""

    patient: PatientKey


@dataclass(frozen=True, slots=True)
class ControllerMoved:
    """The pending move was finished. ``ward_until`` is the patient's since: 0 where a ward came of age by it."""

    patient: PatientKey
    actor: Address
    controller: Signer
    ward_until: UnixTime = NO_WARD


@dataclass(frozen=True, slots=True)
class PatientErased:
    """Nobody acts for the patient key any more, and nothing is decided for it, for good."""

    patient: PatientKey


@dataclass(frozen=True, slots=True)
class GuardianSet:
    """The guardian was named or replaced, or removed (no signer, NOBODY, time 0)."""

    patient: PatientKey
    actor: Address
    guardian: Signer
    until: UnixTime


@dataclass(frozen=True, slots=True)
class ConsentGranted:
    """A consent (or a deny) came into being. ``grantor`` is the actor who signed or sent it, in that capacity."""

    consent: ConsentId
    terms: Terms
    grantor: Address
    capacity: Capacity


@dataclass(frozen=True, slots=True)
class ConsentRevoked:
    """A consent ended for good, or can never begin. ``epoch`` is the patient's new one."""

    patient: PatientKey
    consent: ConsentId
    grantor: Address
    capacity: Capacity
    epoch: int


@dataclass(frozen=True, slots=True)
class EmergencyOpened:
    """A holder of the emergency role broke the glass. ``reason_hash`` and ``salt`` are 32 bytes."""

    patient: PatientKey
    emergency: EmergencyId
    actor: Address
    reason_hash: bytes
    window: Window
    salt: bytes


@dataclass(frozen=True, slots=True)
class EmergencyReviewed:
    """Somebody else closed it. ``note_hash`` is 32 bytes, zero for no note."""

    patient: PatientKey
    emergency: EmergencyId
    reviewer: Address
    finding: Finding
    note_hash: bytes


@dataclass(frozen=True, slots=True)
class AccessLogged:
    """One authorised access. It changes nothing about who may do what."""

    basis: BasisId
    accessor: Address
    patient: PatientKey
    seq: int
    block: BlockRef
    commitment: Commitment


Event = (
    RoleSet
    | RoleWithdrawn
    | DirectoryEntrySet
    | TeamCreated
    | TeamPartSet
    | PatientEnrolled
    | PatientClaimed
    | MoveStarted
    | MoveVetoed
    | ControllerMoved
    | PatientErased
    | GuardianSet
    | ConsentGranted
    | ConsentRevoked
    | EmergencyOpened
    | EmergencyReviewed
    | AccessLogged
)
