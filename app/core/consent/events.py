"""What the contracts say happened, as values (docs/CHAIN.md): one class per event that changes who may do what.

``app.chain.events`` makes them from logs; ``app.core.consent.fold`` applies them.
"""

from dataclasses import dataclass

from app.core.consent.terms import Capacity, TeamPart, Terms, Window
from app.core.identifiers import (
    Address,
    BasisId,
    BlockRef,
    Commitment,
    ConsentId,
    Grantee,
    PatientKey,
    RoleId,
    Signer,
    UnixTime,
)


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
    """A patient key was committed with a one-time claim key; again, while unclaimed, replaces the claim key."""

    patient: PatientKey
    claim_key: Address
    claim_until: UnixTime


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
    """The pending move was finished."""

    patient: PatientKey
    actor: Address
    controller: Signer


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
    | GuardianSet
    | ConsentGranted
    | ConsentRevoked
    | AccessLogged
)
