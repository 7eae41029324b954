"""What people are told of. A notice says that something of a kind happened and where to sign in, never who or what."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from app.core.identifiers import Address, PatientKey, UnixTime


class NoticeKind(StrEnum):
    """The values are in the database and in what webhooks are sent: append only."""

    ACCESS_REQUESTED = "access-requested"
    REQUEST_ANSWERED = "request-answered"
    CONSENT_GRANTED = "consent-granted"
    CONSENT_REVOKED = "consent-revoked"
    RECOVERY_STARTED = "recovery-started"
    RECOVERY_VETOED = "recovery-vetoed"
    RECOVERY_FINISHED = "recovery-finished"
    GUARDIAN_NAMED = "guardian-named"
    FIRST_ACCESS = "first-access"
    BREAK_GLASS = "break-glass"
    REVIEW_DUE = "review-due"
    # Not of what happened: the one-time link by which an address is shown to be somebody's own.
    CONFIRM_CONTACT = "confirm-contact"


AT_ONCE = UnixTime(0)

# Whoever has a contact is told of these: a thief of a wallet must not be able to turn them off quietly.
ALWAYS = frozenset(
    {
        NoticeKind.RECOVERY_STARTED,
        NoticeKind.RECOVERY_VETOED,
        NoticeKind.RECOVERY_FINISHED,
        NoticeKind.GUARDIAN_NAMED,
        NoticeKind.BREAK_GLASS,
        NoticeKind.REVIEW_DUE,
        NoticeKind.CONFIRM_CONTACT,
    }
)
OPTIONAL = tuple(kind for kind in NoticeKind if kind not in ALWAYS)


class Channel(StrEnum):
    """How somebody is reached. The values are in the database."""

    EMAIL = "email"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Due:
    """A notice to be given once. ``recipient``: an actor (20 bytes), or a patient key (32 bytes) for whoever acts for
    the patient when it is sent.

    ``patient``: whom it is about, so that erasure finds it. ``about``: what it is about, the same bytes however often
    and wherever it is noticed. ``due_at``: not before (Unix seconds).
    """

    kind: NoticeKind
    recipient: Address | PatientKey
    patient: PatientKey
    about: bytes
    due_at: UnixTime = AT_ONCE

    @property
    def identity(self) -> bytes:
        """32 bytes, the same for the same thing told to the same recipient: never told twice."""
        parts = (self.kind.encode(), self.recipient, self.about)
        return hashlib.sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()


@dataclass(frozen=True, slots=True)
class Settled:
    """What was to be told and need not be any more: nobody hears of it who has not yet."""

    kind: NoticeKind
    patient: PatientKey
    about: bytes
