"""Was a logged access authorised when it was decided? Asked afterwards, of the state at its decision block (P3).

The chain says by whom, to which patient and on what basis, and not what was looked at or when exactly: without the
record, an access stands when some question at some time in between would have been permitted on that basis. With the
record both are known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from app.core.basis import GUARDIAN, NO_STUDY, SELF, UPLOADER, role_id
from app.core.consent import State
from app.core.events import AccessLogged
from app.core.grants import Consent
from app.core.identifiers import BasisId, ConsentId, StudyKey, UnixTime
from app.core.policy import AccessRequest, Deny, Permit, may_store, permitting
from app.core.record import AccessRecord
from app.core.terms import Action, Modification, Purpose, Role

_PHYSICIAN = role_id(Role.PHYSICIAN)
_UPLOADER = role_id(Role.UPLOADER)


@dataclass(frozen=True, slots=True)
class Span:
    """A time known only to lie between two others, both included."""

    first: UnixTime
    last: UnixTime


def could_permit(state: State, access: AccessLogged, decided: Span) -> bool:
    """Whether some question at some time in the span is permitted on the access's basis."""
    times = _times(state, access, decided)
    if access.basis == UPLOADER:
        return any(_permits_storing(state, access, now) for now in times)
    consent = _consent(state, access)
    studies = _studies(consent)
    questions = product(times, Action, _purposes(access.basis, consent), studies)
    return any(_permits(state, access, question) for question in questions)


def does_permit(state: State, access: AccessLogged, record: AccessRecord, now: UnixTime) -> bool:
    """Whether what the record says was done is permitted at ``now`` on the access's basis.

    A record without the study's key (a search over several) stands for any study that the basis covers.
    """
    action = record.action
    if isinstance(action, Modification):
        return _permits_storing(state, access, now)
    studies = _studies(_consent(state, access)) if record.study_key is None else (record.study_key,)
    return any(_permits(state, access, (now, action, record.purpose, study)) for study in studies)


def _permits_storing(state: State, access: AccessLogged, now: UnixTime) -> bool:
    return may_store(state, access.accessor, access.patient, now) == Permit(access.basis)


def _permits(state: State, access: AccessLogged, question: tuple[UnixTime, Action, Purpose, StudyKey]) -> bool:
    now, action, purpose, study = question
    bases = permitting(state, AccessRequest(access.accessor, access.patient, study, action, purpose), now)
    return not isinstance(bases, Deny) and access.basis in bases


def _consent(state: State, access: AccessLogged) -> Consent | None:
    patient = state.patient(access.patient)
    found = None if patient is None else patient.consent(ConsentId(access.basis))
    return found if isinstance(found, Consent) else None


def _studies(consent: Consent | None) -> Sequence[StudyKey]:
    # Under a consent to everything, a study that no deny names is as free as any can be.
    return consent.studies if consent is not None and consent.studies else (NO_STUDY,)


def _purposes(basis: BasisId, consent: Consent | None) -> Sequence[Purpose]:
    if basis == SELF:
        return (Purpose.PATRQT,)
    if basis == GUARDIAN:
        return (Purpose.FAMRQT,)
    return () if consent is None else tuple(purpose for purpose in Purpose if consent.purposes & 1 << purpose)


def _times(state: State, access: AccessLogged, decided: Span) -> Sequence[UnixTime]:
    """The first time, and every later one at which a verdict can turn: where a window opens or closes."""
    turns = {at for at in _turns(state, access) if decided.first < at <= decided.last}
    return (decided.first, *sorted(turns))


def _turns(state: State, access: AccessLogged) -> Iterator[UnixTime]:
    windows = [consent.window for consent in _towards(state, access)]
    roles = [state.role_window(role, access.accessor) for role in (_PHYSICIAN, _UPLOADER)]
    for window in [*windows, *(role for role in roles if role is not None)]:
        yield window.start
        yield window.end


def _towards(state: State, access: AccessLogged) -> list[Consent]:
    patient = state.patient(access.patient)
    return [] if patient is None else patient.consents_for(access.accessor)
