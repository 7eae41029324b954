"""What is to be consented to, as it is asked for, into terms: for a patient, a guardian, or whoever shares on."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from app.api.body import Strict
from app.api.caller import Caller
from app.api.hexadecimal import AddressText, WordText, from_hex
from app.api.wiring import Wiring
from app.api.wording import key_of
from app.core.consent.basis import person, person_of
from app.core.consent.grants import Consent
from app.core.consent.sharing import is_narrower
from app.core.consent.state import Patient
from app.core.consent.study_date import number_of
from app.core.consent.terms import (
    ALL_DATES,
    MAX_GRANTS,
    MAX_SHARE_DEPTH,
    MAX_STUDIES,
    NO_PARENT,
    Action,
    DateSpan,
    Effect,
    Purpose,
    Terms,
    Window,
    flaw_in,
)
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address, ConsentId, Grantee, PatientKey, StudyKey, StudyUid, UnixTime

_UidText = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
_DayText = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
_LATEST = 1 << 40  # far beyond any consent, far below the 48 bits a time has on the chain


class Scope(Strict):
    """Named studies, or those dated from a day or up to one (both included), or both together."""

    studies: Annotated[list[_UidText], Field(min_length=1, max_length=MAX_STUDIES)] | None = None
    from_date: _DayText | None = None
    to_date: _DayText | None = None


class AskedConsent(Strict):
    """What to consent to. Times in Unix seconds; ``valid_from`` left out means now.

    ``share_depth``: how many times in a row it may be shared on, 1 unless said. ``parent``: the consent that the caller
    was given and shares on.
    """

    patient_key: WordText | None = None
    grantee: AddressText | WordText
    scope: Literal["all"] | Scope
    actions: Annotated[list[Literal["search", "view", "retrieve", "share"]], Field(min_length=1, max_length=4)]
    purposes: Annotated[list[str], Field(min_length=1, max_length=16)]
    valid_from: Annotated[int, Field(ge=0, lt=_LATEST)] | None = None
    valid_until: Annotated[int, Field(gt=0, lt=_LATEST)]
    effect: Literal["permit", "deny"] = "permit"
    share_depth: Annotated[int, Field(ge=1, le=MAX_SHARE_DEPTH)] | None = None
    parent: WordText | None = None


class ConsentRequest(AskedConsent):
    """One consent or, with ``also``, several by one signature."""

    also: Annotated[list[AskedConsent], Field(max_length=MAX_GRANTS - 1)] = Field(default_factory=list)


def terms_of(wiring: Wiring, caller: Caller, asked: AskedConsent) -> Terms:
    """The terms. Raises 403 where the caller may not grant, 422 for what no contract would take."""
    parent = None if asked.parent is None else given(caller, ConsentId(from_hex(asked.parent)))
    patient = own_patient(caller, asked.patient_key) if parent is None else known_patient(caller, parent.patient)
    start = caller.now if asked.valid_from is None else UnixTime(asked.valid_from)
    end = UnixTime(asked.valid_until)
    if end <= max(start, caller.now) or not set(asked.purposes) <= set(Purpose.__members__):
        raise ProblemError(problem("invalid-request"))
    actions = Action(0)
    for name in asked.actions:
        actions |= Action[name.upper()]
    shares = asked.effect == "permit" and bool(actions & Action.SHARE)
    terms = Terms(
        patient=patient.key,
        grantee=_grantee(caller, from_hex(asked.grantee)),
        effect=Effect[asked.effect.upper()],
        actions=actions,
        purposes=sum({1 << Purpose[name] for name in asked.purposes}),
        window=Window(start, end),
        studies=_studies(wiring, caller, patient.key, asked.scope, parent),
        epoch=patient.epoch,
        consent_nonce=wiring.random_bytes(32),
        dates=_dates(asked.scope),
        parent=NO_PARENT if parent is None else parent.id,
        share_depth=(asked.share_depth or 1) if shares else asked.share_depth or 0,
    )
    if flaw_in(terms) is not None or (parent is not None and not is_narrower(terms, parent)):
        raise ProblemError(problem("invalid-request"))
    return terms


def own_patient(caller: Caller, given: str | None) -> Patient:
    """The patient the caller acts for: the one named, or the only one."""
    own = caller.own_patients()
    keys = own if given is None else [key for key in own if key == from_hex(given)]
    if len(keys) != 1:
        raise ProblemError(problem("forbidden" if given is not None or not own else "invalid-request"))
    return known_patient(caller, keys[0])


def known_patient(caller: Caller, key: PatientKey) -> Patient:
    """The claimed patient at the head. Raises 403."""
    patient = caller.standing.head.patient(key)
    if patient is None or not patient.claimed:
        raise ProblemError(problem("forbidden"))
    return patient


def given(caller: Caller, parent: ConsentId) -> Consent:
    """The consent that was given to the caller themselves. Raises 403 for all others, whether or not there are any."""
    for key in caller.standing.head.patients_of(caller.actor):
        patient = caller.standing.head.patient(key)
        found = None if patient is None else patient.consent(parent)
        if isinstance(found, Consent) and found.grantee == person(caller.actor) and found.effect is Effect.PERMIT:
            return found
    raise ProblemError(problem("forbidden"))


def _studies(
    wiring: Wiring, caller: Caller, patient: PatientKey, scope: Literal["all"] | Scope, parent: Consent | None
) -> tuple[StudyKey, ...]:
    if scope == "all" or scope.studies is None:
        # Who shares on shares what they were given; named studies stay named.
        return () if parent is None else parent.studies
    enrolled = wiring.patients.by_key(patient)
    # The words will describe the studies. Who shares on names some of those that were named to them, and so learns no
    # other study's key.
    if enrolled is None or (parent is None and not caller.may_read_of(patient)):
        raise ProblemError(problem("conflict"))
    keys = tuple(sorted({key_of(wiring, enrolled, StudyUid(uid)) for uid in scope.studies}))
    if parent is not None and not set(keys) <= set(parent.studies):
        raise ProblemError(problem("invalid-request"))
    return keys


def _dates(scope: Literal["all"] | Scope) -> DateSpan:
    if scope == "all":
        return ALL_DATES
    if scope.studies is None and scope.from_date is None and scope.to_date is None:
        raise ProblemError(problem("invalid-request"))
    return DateSpan(_day(scope.from_date), _day(scope.to_date))


def _day(text: str | None) -> int:
    if text is None:
        return 0
    number = number_of(text.replace("-", ""))
    if number is None:
        raise ProblemError(problem("invalid-request"))
    return number


def day_text(number: int) -> str | None:
    """A bound of study dates as the API shows it: 2020-02-29; None for no bound, the bare number for no date."""
    if not number:
        return None
    text = f"{number:08}"
    return text if number_of(text) is None else date.fromisoformat(text).isoformat()


def _grantee(caller: Caller, given: bytes) -> Grantee:
    grantee = person(Address(given)) if len(given) == 20 else Grantee(given)
    if person_of(grantee) is None and grantee not in caller.standing.head.teams:
        raise ProblemError(problem("invalid-request"))
    return grantee
