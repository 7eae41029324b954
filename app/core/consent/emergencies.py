"""Break-glass (docs/CHAIN.md, EmergencyAccess): an emergency as the chain has it, what it is called, and one that was
opened here and has not landed.
"""

from dataclasses import dataclass

from app.core.consent.terms import Finding, Purpose, Window
from app.core.identifiers import Address, EmergencyId, PatientKey, UnixTime
from app.core.keccak import keccak256

# The only purpose of use that an emergency covers.
PURPOSE = Purpose.ETREAT

_DAY_S = 86_400
_DOMAIN = keccak256(b"consentry.emergency.v1")
_SALT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Review:
    """What somebody else found of it. ``note_hash`` is 32 bytes (``written_hash``), zero for no note."""

    finding: Finding
    reviewer: Address
    note_hash: bytes


@dataclass(frozen=True, slots=True)
class Emergency:
    """An emergency that is on the chain: this actor looks at this patient's images inside the window, with no consent.

    ``reason_hash`` is 32 bytes, all that the chain sees of why. ``review`` is None while nobody has closed it.
    """

    id: EmergencyId
    patient: PatientKey
    actor: Address
    reason_hash: bytes
    window: Window
    review: Review | None = None

    @property
    def is_unjustified(self) -> bool:
        return self.review is not None and self.review.finding is Finding.NOT_JUSTIFIED


@dataclass(frozen=True, slots=True)
class OpenedHere:
    """An emergency whose signature was handed to this gateway: its id is known before it is on the chain."""

    patient: PatientKey
    actor: Address
    emergency_id: EmergencyId
    window: Window


@dataclass(frozen=True, slots=True)
class Opening:
    """What is signed to open one. ``reason_hash`` and ``salt`` are 32 bytes; the salt makes the id unique."""

    patient: PatientKey
    reason_hash: bytes
    window: Window
    salt: bytes


def emergency_id(opening: Opening, actor: Address, chain_id: int, contract: Address) -> EmergencyId:
    """The id that the EmergencyAccess at ``contract`` gives to it (abi.encode: every value in a word of 32 bytes)."""
    words = (
        _DOMAIN,
        chain_id.to_bytes(32, "big"),
        contract.rjust(32, b"\0"),
        opening.patient,
        actor.rjust(32, b"\0"),
        opening.reason_hash,
        opening.window.start.to_bytes(32, "big"),
        opening.window.end.to_bytes(32, "big"),
        opening.salt,
    )
    return EmergencyId(keccak256(b"".join(words)))


def written_hash(salt: bytes, text: str) -> bytes:
    """All that the chain sees of a reason, or of a review's note: opened by the text and its 32-byte random salt.

    Raises ValueError for another salt, UnicodeEncodeError for a lone surrogate.
    """
    if len(salt) != _SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    return keccak256(salt + text.encode())


def utc_day(at: UnixTime) -> int:
    """The day that the quota counts by, from the start of 1970."""
    return at // _DAY_S
