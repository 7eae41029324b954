"""Was a logged access authorised when it was decided? Asked afterwards, of the state at its decision block (P3).

The chain says by whom, to which patient and on what basis, and not what was looked at or when exactly: without the
record, an access stands when some question at some time in between would have been permitted on that basis. With the
record both are known.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from app.core.consent.basis import GUARDIAN, NO_STUDY, SELF, UPLOADER, role_id
from app.core.consent.events import AccessLogged, EmergencyOpened
from app.core.consent.grants import Consent
from app.core.consent.policy import AccessRequest, Deny, Permit, emergency_covers, may_store, permitting
from app.core.consent.state import State
from app.core.consent.study_date import day_after, day_before
from app.core.consent.terms import Action, Modification, Purpose, Role, Window
from app.core.identifiers import BasisId, ConsentId, EmergencyId, StudyDate, StudyKey, UnixTime
from app.core.record import AccessRecord

_PHYSICIAN = role_id(Role.PHYSICIAN)
_UPLOADER = role_id(Role.UPLOADER)
_EMERGENCY = role_id(Role.EMERGENCY)


@dataclass(frozen=True, slots=True)
class Span:
    """A time known only to lie between two others, both included."""

    first: UnixTime
    last: UnixTime


def could_permit(state: State, access: AccessLogged, decided: Span) -> bool:
    """Whether some question at some time in the span is permitted on the access's basis."""
    consent = _consent(state, access)
    bearing = _bearing(state, access, consent)
    times = _times(state, access, decided, bearing)
    if access.basis == UPLOADER:
        return any(_permits_storing(state, access, now) for now in times)
    questions = product(times, Action, _purposes(access.basis, consent), _studies(consent), _dates(bearing))
    return any(_permits(state, access, question) for question in questions)


def does_permit(state: State, access: AccessLogged, record: AccessRecord, now: UnixTime) -> bool:
    """Whether what the record says was done is permitted at ``now`` on the access's basis.

    A record without the study's key (a search over several) stands for any study that the basis covers.
    """
    action = record.action
    if isinstance(action, Modification):
        return _permits_storing(state, access, now)
    studies = _studies(_consent(state, access)) if record.study_key is None else (record.study_key,)
    asked = (action, record.purpose)
    return any(_permits(state, access, (now, *asked, study, record.study_date)) for study in studies)


def could_break_glass(state: State, access: AccessLogged, opened: EmergencyOpened, decided: Span) -> bool:
    """Whether the emergency that is the access's basis opens something at some time in the span.

    ``opened`` is on the chain by now, and need not be in the state: it is signed before it is mined.
    """
    windows = _glass_windows(state, access, opened)
    first = max([decided.first, *(window.start for window in windows)])
    return bool(windows) and all(first < window.end for window in windows) and first <= decided.last


def does_break_glass(
    state: State, access: AccessLogged, opened: EmergencyOpened, record: AccessRecord, now: UnixTime
) -> bool:
    """Whether that emergency opens what the record says was done, at ``now``."""
    action = record.action
    if isinstance(action, Modification) or not emergency_covers(action, record.purpose):
        return False
    windows = _glass_windows(state, access, opened)
    return bool(windows) and all(window.holds(now) for window in windows)


def _glass_windows(state: State, access: AccessLogged, opened: EmergencyOpened) -> Sequence[Window]:
    """The emergency's window and the role's; none where it is not the accessor's for this patient, the role is not
    held, the patient was erased, or it was found unjustified already.
    """
    patient, role = state.patient(access.patient), state.role_window(_EMERGENCY, access.accessor)
    known = state.emergencies.get(opened.emergency)
    if (opened.actor, opened.patient, EmergencyId(access.basis)) != (access.accessor, access.patient, opened.emergency):
        return ()
    if role is None or (patient is not None and patient.erased) or (known is not None and known.is_unjustified):
        return ()
    return (opened.window, role)


def _permits_storing(state: State, access: AccessLogged, now: UnixTime) -> bool:
    return may_store(state, access.accessor, access.patient, now) == Permit(access.basis)


def _permits(
    state: State, access: AccessLogged, question: tuple[UnixTime, Action, Purpose, StudyKey, StudyDate | None]
) -> bool:
    now, action, purpose, study, date = question
    request = AccessRequest(access.accessor, access.patient, study, action, purpose, date)
    bases = permitting(state, request, now)
    return not isinstance(bases, Deny) and access.basis in bases


def _consent(state: State, access: AccessLogged) -> Consent | None:
    patient = state.patient(access.patient)
    found = None if patient is None else patient.consent(ConsentId(access.basis))
    return found if isinstance(found, Consent) else None


def _studies(consent: Consent | None) -> Sequence[StudyKey]:
    # Under a consent to everything, a study that no deny names is as free as any can be.
    return consent.studies if consent is not None and consent.studies else (NO_STUDY,)


def _dates(bearing: Iterable[Consent]) -> Sequence[StudyDate | None]:
    """No date, and the days at which a verdict can turn: the first and last of bounds, and those beside them."""
    days: set[StudyDate | None] = set()
    for bounds in (consent.dates for consent in bearing if consent.dates.bounded):
        days |= {StudyDate(bounds.first), day_before(bounds.first)} if bounds.first else set()
        days |= {StudyDate(bounds.last), day_after(bounds.last)} if bounds.last else set()
    return (None, *sorted(day for day in days if day is not None))


def _purposes(basis: BasisId, consent: Consent | None) -> Sequence[Purpose]:
    if basis == SELF:
        return (Purpose.PATRQT,)
    if basis == GUARDIAN:
        return (Purpose.FAMRQT,)
    return () if consent is None else tuple(purpose for purpose in Purpose if consent.purposes & 1 << purpose)


def _bearing(state: State, access: AccessLogged, basis: Consent | None) -> list[Consent]:
    """The consents that may bear on the verdict: those towards the accessor and, where the basis was shared on, those
    towards whoever shared it.
    """
    patient = state.patient(access.patient)
    if patient is None:
        return []
    shared = basis is not None and basis.line is not None
    return patient.live_consents() if shared else patient.consents_for(state.ever_named_as(access.accessor))


def _times(state: State, access: AccessLogged, decided: Span, bearing: Iterable[Consent]) -> Sequence[UnixTime]:
    """The first time, and every later one at which a verdict can turn: where a window opens or closes."""
    turns = {at for at in _turns(state, access, bearing) if decided.first < at <= decided.last}
    return (decided.first, *sorted(turns))


def _turns(state: State, access: AccessLogged, bearing: Iterable[Consent]) -> Iterator[UnixTime]:
    windows = [state.role_window(role, access.accessor) for role in (_PHYSICIAN, _UPLOADER)]
    people = {access.accessor}
    for consent in bearing:
        windows.append(consent.window)
        if consent.line is not None:
            people.add(consent.line.sharer)
    for someone in people:
        windows.extend(state.teams[team].members.get(someone) for team in state.member_of.get(someone, ()))
    for window in windows:
        if window is not None:
            yield window.start
            yield window.end
