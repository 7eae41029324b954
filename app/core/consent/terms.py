"""The words of consent: actions, purposes of use, effects, and the terms a patient signs (docs/CHAIN.md)."""

from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from itertools import pairwise

from app.core.identifiers import ConsentId, Grantee, PatientKey, StudyKey, UnixTime


class Action(IntFlag):
    """What a consent may allow. The bits are on the chain: append only."""

    SEARCH = 1
    VIEW = 2
    RETRIEVE = 4
    SHARE = 8


class Modification(IntEnum):
    """What is done to images and is no consent's to allow. The values are in records: append only.

    They lie above every bit that a consent's actions (one byte on the chain) can ever have.
    """

    STORE = 0x100


class Purpose(IntEnum):
    """Purpose of use (HL7 v3 ActReason PurposeOfUse). The value is the bit's index on the chain: append only."""

    TREAT = 0
    ETREAT = 1
    HPAYMT = 2
    HOPERAT = 3
    HRESCH = 4
    PATRQT = 5
    FAMRQT = 6
    PWATRNY = 7
    PUBHLTH = 8
    COC = 9
    CAREMGT = 10
    HQUALIMP = 11


# What an access record says was done.
Deed = Action | Modification


def deed(value: int) -> Deed:
    """The deed of that number. Raises ValueError for a modification that is not known."""
    return Action(value) if value < min(Modification) else Modification(value)


ALL_ACTIONS = Action.SEARCH | Action.VIEW | Action.RETRIEVE | Action.SHARE
ALL_PURPOSES = sum(1 << purpose for purpose in Purpose)
# How many studies one consent may name.
MAX_STUDIES = 64
# How many grants one signature may carry; they name MAX_STUDIES together at most.
MAX_GRANTS = 16
# How many times in a row what a patient consented to may be shared on.
MAX_SHARE_DEPTH = 3
# The parent of a consent that shares nothing on.
NO_PARENT = ConsentId(bytes(32))
_ZERO_STUDY = StudyKey(bytes(32))
_LAST_DATE_NUMBER = (1 << 32) - 1
_NOT_A_PERSON = 12  # a team's id differs from zero in these first bytes


class Effect(IntEnum):
    """A deny wins over any permit."""

    DENY = 0
    PERMIT = 1


class Role(Enum):
    """Staff roles on the chain; the value is hashed (keccak-256 of its ASCII) into the role's id."""

    REGISTRAR = "REGISTRAR"
    RECORDER = "RECORDER"
    PHYSICIAN = "PHYSICIAN"
    EMERGENCY = "EMERGENCY"
    AUDITOR = "AUDITOR"
    UPLOADER = "UPLOADER"


class Capacity(IntEnum):
    """In what capacity someone acts for a patient; GRANTEE: shares on what they were given, and no more."""

    NONE = 0
    CONTROLLER = 1
    GUARDIAN = 2
    GRANTEE = 3


class Finding(IntEnum):
    """What a review found of an emergency. The numbers are on the chain."""

    JUSTIFIED = 1
    NOT_JUSTIFIED = 2


class TeamPart(IntEnum):
    """What an account is in a care team. The numbers are on the chain."""

    MEMBER = 1
    LEAD = 2


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time: start <= t < end, Unix seconds."""

    start: UnixTime
    end: UnixTime

    def holds(self, at: UnixTime) -> bool:
        return self.start <= at < self.end


@dataclass(frozen=True, slots=True)
class DateSpan:
    """Study dates from the first to the last, both included, as the numbers YYYYMMDD; 0: no such bound."""

    first: int = 0
    last: int = 0

    @property
    def bounded(self) -> bool:
        return bool(self.first or self.last)


ALL_DATES = DateSpan()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a consent says. ``studies`` empty means everything; otherwise salted study keys, strictly ascending, at
    most 64. A study is in scope when both ``studies`` and ``dates`` hold it; one without a valid date is in the bounds
    of a deny and in those of no permit.

    ``purposes`` is a mask of ``1 << Purpose``. ``epoch`` is the patient's consent epoch at signing; ``consent_nonce``
    32 random bytes. ``parent`` is the consent that is shared on. ``share_depth``: how many times in a row it may be
    shared on, 1 to 3 in a permit to share, else 0.
    """

    patient: PatientKey
    grantee: Grantee
    effect: Effect
    actions: Action
    purposes: int
    window: Window
    studies: tuple[StudyKey, ...]
    epoch: int
    consent_nonce: bytes
    dates: DateSpan = ALL_DATES
    parent: ConsentId = NO_PARENT
    share_depth: int = 0


def flaw_in(terms: Terms) -> str | None:
    """What the registry would refuse in these terms whatever the time, or None. Quotes nothing."""
    shares = terms.effect is Effect.PERMIT and bool(terms.actions & Action.SHARE)
    dates = terms.dates
    sound = {
        "no grantee": any(terms.grantee),
        "actions that are none or unknown": 0 < terms.actions <= ALL_ACTIONS,
        "purposes that are none or unknown": 0 < terms.purposes <= ALL_PURPOSES,
        "a window that holds no instant": terms.window.start < terms.window.end,
        "too many studies": len(terms.studies) <= MAX_STUDIES,
        "studies that are zero or not ascending": all(a < b for a, b in pairwise((_ZERO_STUDY, *terms.studies))),
        "dates out of range": 0 <= dates.first <= _LAST_DATE_NUMBER and 0 <= dates.last <= _LAST_DATE_NUMBER,
        "dates that hold no day": not dates.last or dates.first <= dates.last,
        "a share depth that does not fit the actions": shares == bool(terms.share_depth),
        "a share depth out of range": 0 <= terms.share_depth <= MAX_SHARE_DEPTH,
        "a team that shares on": not terms.share_depth or not any(terms.grantee[:_NOT_A_PERSON]),
    }
    return next((flaw for flaw, holds in sound.items() if not holds), None)
