"""Which notices an event on the chain makes due, and to whom. A new kind of event is one more line in ``_TOLD``."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.core.consent.basis import person_of, role_id
from app.core.consent.events import (
    ConsentGranted,
    ConsentRevoked,
    ControllerMoved,
    EmergencyOpened,
    EmergencyReviewed,
    Event,
    GuardianSet,
    MoveStarted,
    MoveVetoed,
    PatientClaimed,
)
from app.core.consent.grants import Consent
from app.core.consent.state import Patient, State
from app.core.consent.terms import Capacity, Effect, Role, TeamPart
from app.core.identifiers import Address, Grantee, PatientKey, UnixTime
from app.core.notices.kinds import Due, NoticeKind, Settled

# Somebody may have to act before the block is final: these are told at the head, and not again when it is.
URGENT: tuple[type[Event], ...] = (MoveStarted, EmergencyOpened)


def notices_of(event: Event, before: State, after: State, now: UnixTime) -> list[Due]:
    """What is to be told of the event. ``before`` and ``after``: the states around it; ``now`` opens windows."""
    told = _TOLD.get(type(event))
    # A recipient may be found twice: a guardian who is a registrar too
    return [] if told is None else list(dict.fromkeys(told(event, before, after, now)))


def new_controller(event: Event) -> tuple[PatientKey, Address] | None:
    """The patient and who acts for them from this event on: their contact is erased with the patient."""
    return (event.patient, event.actor) if isinstance(event, PatientClaimed | ControllerMoved) else None


def settled_by(event: Event) -> Settled | None:
    """What need not be told any more once this has happened."""
    if isinstance(event, EmergencyReviewed):
        return Settled(NoticeKind.REVIEW_DUE, event.patient, event.emergency)
    return None


def acting_for(patient: Patient | None, now: UnixTime) -> list[Address]:
    """The patient's controller and guardian, each inside their time."""
    if patient is None:
        return []
    named = (patient.actor, None if patient.guardian is None else patient.guardian.actor)
    return [one for one in named if one is not None and patient.capacity_of(one, now) is not Capacity.NONE]


def holders(state: State, role: Role, now: UnixTime) -> list[Address]:
    """Everybody who holds the role now."""
    wanted = role_id(role)
    return sorted(account for (held, account), window in state.roles.items() if held == wanted and window.holds(now))


def _granted(event: ConsentGranted, _before: State, after: State, now: UnixTime) -> Iterator[Due]:
    terms = event.terms
    yield Due(NoticeKind.CONSENT_GRANTED, terms.patient, terms.patient, event.consent)
    if terms.effect is Effect.PERMIT:  # a denial is nothing to whom it denies
        for account in _people(after, terms.grantee, now):
            yield Due(NoticeKind.CONSENT_GRANTED, account, terms.patient, event.consent)


def _revoked(event: ConsentRevoked, before: State, _after: State, now: UnixTime) -> Iterator[Due]:
    yield Due(NoticeKind.CONSENT_REVOKED, event.patient, event.patient, event.consent)
    consent = before.patients[event.patient].consent(event.consent)
    if isinstance(consent, Consent) and consent.effect is Effect.PERMIT:
        for account in _people(before, consent.grantee, now):
            yield Due(NoticeKind.CONSENT_REVOKED, account, event.patient, event.consent)


def _move_started(event: MoveStarted, _before: State, after: State, now: UnixTime) -> Iterator[Due]:
    about = _move(after, event.patient) + event.controller
    yield from _about_recovery(NoticeKind.RECOVERY_STARTED, after, after, event.patient, about, now)


def _move_vetoed(event: MoveVetoed, _before: State, after: State, now: UnixTime) -> Iterator[Due]:
    about = _move(after, event.patient)
    yield from _about_recovery(NoticeKind.RECOVERY_VETOED, after, after, event.patient, about, now)


def _moved(event: ControllerMoved, before: State, after: State, now: UnixTime) -> Iterator[Due]:
    about = _move(after, event.patient) + event.controller
    yield from _about_recovery(NoticeKind.RECOVERY_FINISHED, before, after, event.patient, about, now)
    yield Due(NoticeKind.RECOVERY_FINISHED, event.actor, event.patient, about)


def _guardian_set(event: GuardianSet, before: State, after: State, now: UnixTime) -> Iterator[Due]:
    patient = after.patients[event.patient]
    about = patient.key + patient.guardian_nonce.to_bytes(8, "big") + event.guardian
    # The new guardian, and one who was until now: both are to know
    for account in {*acting_for(before.patients[event.patient], now), *acting_for(patient, now)}:
        yield Due(NoticeKind.GUARDIAN_NAMED, account, event.patient, about)


def _opened(event: EmergencyOpened, _before: State, after: State, now: UnixTime) -> Iterator[Due]:
    yield Due(NoticeKind.BREAK_GLASS, event.patient, event.patient, event.emergency)
    for auditor in holders(after, Role.AUDITOR, now):
        yield Due(NoticeKind.BREAK_GLASS, auditor, event.patient, event.emergency)
        if auditor != event.actor:  # nobody reviews themselves
            yield Due(NoticeKind.REVIEW_DUE, auditor, event.patient, event.emergency, event.window.end)


def _about_recovery(
    kind: NoticeKind, before: State, after: State, patient: PatientKey, about: bytes, now: UnixTime
) -> Iterator[Due]:
    """To who acted for the patient before it, and to the desk: who is being moved must hear of it."""
    for account in (*acting_for(before.patients[patient], now), *holders(after, Role.REGISTRAR, now)):
        yield Due(kind, account, patient, about)


def _move(state: State, patient: PatientKey) -> bytes:
    """Which of the patient's moves it is."""
    return patient + state.patients[patient].move_nonce.to_bytes(8, "big")


def _people(state: State, grantee: Grantee, now: UnixTime) -> list[Address]:
    """The person a consent names, or the team's members as they are now."""
    one = person_of(grantee)
    if one is not None:
        return [one]
    team = state.teams[grantee]
    return sorted(account for account in team.members if team.has(TeamPart.MEMBER, account, now))


_TOLD: Mapping[type[Event], Callable[[Any, State, State, UnixTime], Iterator[Due]]] = {
    ConsentGranted: _granted,
    ConsentRevoked: _revoked,
    MoveStarted: _move_started,
    MoveVetoed: _move_vetoed,
    ControllerMoved: _moved,
    GuardianSet: _guardian_set,
    EmergencyOpened: _opened,
}
