"""The sentence a person reads before signing: everything the message says, in plain words.

Words follow from the message and the names alone, so whoever relays a message can make them anew and compare: text and
fields cannot disagree. Names come from the directory; the caller passes them in.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.core.consent.basis import person, person_of
from app.core.consent.events import NO_WARD
from app.core.consent.study_date import as_day
from app.core.consent.terms import NO_PARENT, Action, DateSpan, Effect, Finding, Purpose, TeamPart, Terms
from app.core.identifiers import ConsentId, EmergencyId, Grantee, Signer, StudyKey, UnixTime
from app.core.signing.messages import (
    Claim,
    ConsentOffer,
    ConsentOffers,
    DatedMessage,
    EmergencyAccess,
    EmergencyReview,
    GuardianChange,
    Message,
    MoveAcceptance,
    MoveVeto,
    Revocation,
    TeamChange,
)

MAX_NAME_LENGTH = 160
# A reason or a note, in characters: longer ones would be cut, so they are not taken.
MAX_WRITTEN_LENGTH = 500

_PURPOSES = {
    Purpose.TREAT: "treatment",
    Purpose.ETREAT: "emergency treatment",
    Purpose.HPAYMT: "payment for care",
    Purpose.HOPERAT: "running the hospital",
    Purpose.HRESCH: "research",
    Purpose.PATRQT: "a request of the patient",
    Purpose.FAMRQT: "a request of the family",
    Purpose.PWATRNY: "a request under a power of attorney",
    Purpose.PUBHLTH: "public health",
    Purpose.COC: "coordination of care",
    Purpose.CAREMGT: "management of care",
    Purpose.HQUALIMP: "improving the quality of care",
}
_ACTIONS = {
    Action.SEARCH: "find",
    Action.VIEW: "view",
    Action.RETRIEVE: "download",
    Action.SHARE: "share on",
}
# Written out: strftime's depend on the locale.
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
# The end of the year 9999. A time on the chain has 48 bits, and whoever writes there by their own means may use them.
LAST_DATE = UnixTime(253402300799)
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def purpose_in_words(purpose: Purpose) -> str:
    """As it stands after "for"."""
    return _PURPOSES[purpose]


@dataclass(frozen=True, slots=True)
class Names:
    """What to call those whom a message names by keys. Whoever has no name here is called by the key in hex.

    ``signers`` are controllers and guardians; ``consents`` describes those that may be revoked or are shared on.
    ``patient`` is for a guardian, a sharer or whoever breaks the glass, who speak of somebody else's images, and
    ``written`` what was written down as a reason or a note, by its hash: the words never leave for the chain.
    ``ward_until``, where not 0, is until when whoever takes charge of the patient acts as guardian.
    """

    patient: str = ""
    ward_until: UnixTime = NO_WARD
    grantees: Mapping[Grantee, str] = field(default_factory=dict)
    studies: Mapping[StudyKey, str] = field(default_factory=dict)
    signers: Mapping[Signer, str] = field(default_factory=dict)
    consents: Mapping[ConsentId, str] = field(default_factory=dict)
    emergencies: Mapping[EmergencyId, str] = field(default_factory=dict)
    written: Mapping[bytes, str] = field(default_factory=dict)


NO_NAMES = Names()


def words_for(message: Message, names: Names) -> str:
    """The words of the message."""
    if isinstance(message, EmergencyAccess):
        return _emergency(message, names)
    return f"{_said(message, names)} This message works until {moment(message.deadline)}, and not after."


def moment(at: UnixTime) -> str:
    """A time in words, in UTC to the second: "14 March 2026, 09:05:00 UTC"."""
    if not 0 <= at <= LAST_DATE:
        return f"second {at} after the start of 1970 UTC"
    then = datetime.fromtimestamp(at, UTC)
    return f"{then.day} {_MONTHS[then.month - 1]} {then.year}, {then:%H:%M:%S} UTC"


def plain(name: str, longest: int = MAX_NAME_LENGTH) -> str:
    """A name as it may stand between quotation marks: one line of bounded length, nothing unseen, no such marks."""
    kept = []
    for character in unicodedata.normalize("NFC", name):
        if character.isspace():
            kept.append(" ")
        elif unicodedata.category(character) not in _UNSEEN_CATEGORIES:
            kept.append("'" if character in '"“”„‟«»' else character)
    text = " ".join("".join(kept).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _emergency(message: EmergencyAccess, names: Names) -> str:
    opening = message.opening
    patient = plain(names.patient)
    whose = f"“{patient}”" if patient else f"the patient record 0x{opening.patient.hex()}"
    return (
        f"This is an emergency. I look at the images of {whose} without their consent, from "
        f"{moment(opening.window.start)} until {moment(opening.window.end)}, because: "
        f"{_written(opening.reason_hash, names)}. The patient will be told, and somebody else will review it."
    )


def _review(message: EmergencyReview, names: Names) -> str:
    emergency = _named(names.emergencies.get(message.emergency), message.emergency)
    found = "justified" if message.finding is Finding.JUSTIFIED else "not justified: it opens nothing any more"
    note = f" My note: {_written(message.note_hash, names)}." if any(message.note_hash) else ""
    return f"I have reviewed the emergency {emergency}. I find that it was {found}.{note} This cannot be changed."


def _written(written_hash: bytes, names: Names) -> str:
    """What was written down, as it may stand in one line, or its hash."""
    text = plain(names.written.get(written_hash, ""), MAX_WRITTEN_LENGTH)
    return f"“{text}”" if text else f"what has the hash 0x{written_hash.hex()}"


def _said(message: DatedMessage, names: Names) -> str:
    if isinstance(message, ConsentOffer):
        return _consent(message.terms, names)
    if isinstance(message, ConsentOffers):
        return _consents(message, names)
    return _change(message, names)


def _change(
    message: Claim | MoveVeto | MoveAcceptance | GuardianChange | Revocation | TeamChange | EmergencyReview,
    names: Names,
) -> str:
    if isinstance(message, EmergencyReview):
        return _review(message, names)
    if isinstance(message, TeamChange):
        return _team_change(message, names)
    if isinstance(message, Revocation):
        consent = _named(names.consents.get(message.consent), message.consent)
        return (
            f"I take back the consent {consent}, at once and for good. "
            "Consents that were signed before and are not registered yet become void."
        )
    if isinstance(message, GuardianChange):
        return _guardian(message, names)
    if isinstance(message, MoveVeto):
        return f"I stop the move of my patient record to another key (move number {message.move_nonce})."
    return _control(message, names)


def _control(message: Claim | MoveAcceptance, names: Names) -> str:
    controller = _named(names.signers.get(message.controller), message.controller)
    if names.ward_until:
        return _guardianship(message, controller, names)
    if isinstance(message, Claim):
        return f"I take control of this patient record with my key {controller}. It decides who may see the images."
    return (
        f"I take over this patient record with my new key {controller} (move number {message.move_nonce}). "
        "The old key decides no more."
    )


def _guardianship(message: Claim | MoveAcceptance, controller: str, names: Names) -> str:
    """Control of a ward's record: it ends by itself."""
    patient = plain(names.patient)
    whose = f"“{patient}”" if patient else "the person whose record this is"
    move = (
        f" (move number {message.move_nonce}). The old key decides no more"
        if isinstance(message, MoveAcceptance)
        else ""
    )
    until = moment(names.ward_until)
    return (
        f"I take charge of this patient record as the guardian of {whose}, with my key {controller}{move}. Until "
        f"{until} it decides who may see the images. From then on it decides nothing: the record goes to the person."
    )


def _consents(message: ConsentOffers, names: Names) -> str:
    """Each grant with its number and, where they are not all one patient's, with the patient's key."""
    several = len({terms.patient for terms in message.grants}) > 1
    said = []
    for number, terms in enumerate(message.grants, start=1):
        of = f" For the patient record 0x{terms.patient.hex()}:" if several else ""
        said.append(f"({number}){of} {_consent(terms, names)}")
    count = "this one thing" if len(said) == 1 else f"these {len(said)} things, all or none of them"
    return f"I agree to {count}. {' '.join(said)}"


def _consent(terms: Terms, names: Names) -> str:
    permits = terms.effect is Effect.PERMIT
    who = _named(names.grantees.get(terms.grantee), _key_of(terms.grantee))
    team = "" if person_of(terms.grantee) is not None else "everyone in the care team "
    deeds = _listed(_deeds(terms), "and" if permits else "or")
    purposes = _listed([_PURPOSES[purpose] for purpose in Purpose if terms.purposes & 1 << purpose], "or")
    return (
        f"{_source(terms, names)}I {'allow' if permits else 'forbid'} {team}{who} to {deeds} {_scope(terms, names)}, "
        f"for {purposes}, from {moment(terms.window.start)} until {moment(terms.window.end)}."
        f"{_undated(terms)}{_onward(terms)} {_ending(terms)}"
    )


def _source(terms: Terms, names: Names) -> str:
    if terms.parent == NO_PARENT:
        return ""
    return f"I share on what the consent {_named(names.consents.get(terms.parent), terms.parent)} gives me. "


def _ending(terms: Terms) -> str:
    if terms.effect is Effect.DENY:
        return "This wins over anything allowed, until it is taken back."
    if terms.parent != NO_PARENT:
        return "It ends with what it is shared from, and the patient can take it back at any time."
    return "I can take this back at any time."


def _onward(terms: Terms) -> str:
    """How far it may be shared on."""
    if not terms.share_depth:
        return ""
    further = (
        "who may not share it on further"
        if terms.share_depth == 1
        else f"and those again, at most {terms.share_depth} times in a row"
    )
    return f" It may be shared on to others, {further}; nobody gets more than this, and all of it ends with this."


def _undated(terms: Terms) -> str:
    """What bounds of dates mean for a study that has none (docs/CHAIN.md, rule 4)."""
    if not terms.dates.bounded:
        return ""
    if terms.effect is Effect.PERMIT:
        return " Studies without a date are left out."
    return " Studies without a date are forbidden too."


def _dates(dates: DateSpan) -> str:
    if not dates.bounded:
        return ""
    if not dates.last:
        return f" of studies dated {_day(dates.first)} or later"
    if not dates.first:
        return f" of studies dated {_day(dates.last)} or earlier"
    return f" of studies dated from {_day(dates.first)} to {_day(dates.last)}, both included"


def _day(number: int) -> str:
    day = as_day(number)
    return f"day number {number}" if day is None else f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _team_change(message: TeamChange, names: Names) -> str:
    account = _named(names.grantees.get(person(message.account)), message.account)
    team = _named(names.grantees.get(message.team), message.team)
    part = "a member" if message.part is TeamPart.MEMBER else "a lead"
    change = f"(change number {message.team_nonce})"
    if not message.until:
        return f"From now on {account} is no longer {part} of the care team {team} {change}."
    rights = (
        "What patients allow or forbid the team then holds for them."
        if message.part is TeamPart.MEMBER
        else "A lead says who is a member, and who leads."
    )
    return (
        f"I make {account} {part} of the care team {team} from {moment(message.start)} until {moment(message.until)} "
        f"{change}. {rights}"
    )


def _deeds(terms: Terms) -> list[str]:
    """What is allowed or forbidden, with what that brings along (docs/CHAIN.md, rule 4)."""
    deeds = [deed for action, deed in _ACTIONS.items() if terms.actions & action]
    both = Action.VIEW | Action.RETRIEVE
    if terms.effect is Effect.PERMIT and terms.actions & both == Action.RETRIEVE:
        deeds[deeds.index("download")] = "download (and so view)"
    if terms.effect is Effect.DENY and terms.actions & both == Action.VIEW:
        deeds[deeds.index("view")] = "view (and so download)"
    return deeds


def _scope(terms: Terms, names: Names) -> str:
    patient = plain(names.patient)
    whose = f"“{patient}”'s" if patient else "my" if terms.parent == NO_PARENT else "the patient's"
    dates = _dates(terms.dates)
    if not terms.studies:
        return f"all {whose} images{dates}, also those still to be made"
    labels = [_named(names.studies.get(study), study) for study in terms.studies]
    count = "this one study" if len(labels) == 1 else f"these {len(labels)} studies"
    comma = "," if dates else ""
    return f"{whose} images{dates}{comma} of {count} only: {_listed(labels, 'and')}"


def _guardian(message: GuardianChange, names: Names) -> str:
    change = f"(change number {message.guardian_nonce})"
    if not message.guardian:
        return f"Nobody is my guardian any more {change}."
    guardian = _named(names.signers.get(message.guardian), message.guardian)
    return (
        f"I name {guardian} as my guardian until {moment(message.until)} {change}. "
        "Until then my guardian may see my images, and allow and take back access to them as I can."
    )


def _named(name: str | None, key: bytes) -> str:
    shown = plain(name) if name is not None else ""
    return f"“{shown}”" if shown else "0x" + key.hex()


def _key_of(grantee: Grantee) -> bytes:
    actor = person_of(grantee)
    return grantee if actor is None else actor


def _listed(parts: list[str], last: str) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"
