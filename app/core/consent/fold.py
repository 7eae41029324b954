"""fold(state, event) → state: what each event of the contracts changes (docs/CHAIN.md).

INVARIANT: an event that the contracts could not have emitted in this state raises ContradictionError. Then something
was missed or forged, and whoever holds the state stops permitting until it is rebuilt; nothing is guessed or skipped.
"""

from collections.abc import Iterable
from dataclasses import replace

from immutables import Map

from app.core.consent import grants
from app.core.consent.basis import NOBODY, person, person_of
from app.core.consent.binding import dropped, fold_binding, of_claimed, with_patient
from app.core.consent.contradiction import ContradictionError
from app.core.consent.emergencies import Emergency, Review, utc_day
from app.core.consent.events import (
    AccessLogged,
    ConsentGranted,
    ConsentRevoked,
    DirectoryEntrySet,
    EmergencyOpened,
    EmergencyReviewed,
    Event,
    RoleSet,
    RoleWithdrawn,
    TeamCreated,
    TeamPartSet,
)
from app.core.consent.sharing import is_narrower
from app.core.consent.state import INDEX_FROM, Patient, Revoked, State
from app.core.consent.teams import NEW_TEAM
from app.core.consent.terms import NO_PARENT, Capacity, TeamPart, flaw_in
from app.core.identifiers import EmergencyId, Grantee, PatientKey

__all__ = ["ContradictionError", "fold", "fold_all"]

_NONE_NAMED: Map[PatientKey, Grantee] = Map()
_NONE_BROKEN: Map[PatientKey, EmergencyId] = Map()


def fold_all(state: State, events: Iterable[Event]) -> State:
    """The state after all the events, in order. Raises ContradictionError."""
    for event in events:
        state = fold(state, event)
    return state


def fold(state: State, event: Event) -> State:
    """The state after the event. Raises ContradictionError."""
    if isinstance(event, RoleSet | RoleWithdrawn | DirectoryEntrySet):
        return _staff(state, event)
    if isinstance(event, TeamCreated | TeamPartSet):
        return _team(state, event)
    if isinstance(event, ConsentGranted | ConsentRevoked):
        return _granted(state, event) if isinstance(event, ConsentGranted) else _revoked(state, event)
    if isinstance(event, EmergencyOpened | EmergencyReviewed):
        return _emergency(state, event)
    if isinstance(event, AccessLogged):
        return state
    return fold_binding(state, event)


def _staff(state: State, event: RoleSet | RoleWithdrawn | DirectoryEntrySet) -> State:
    if event.account == NOBODY:
        raise ContradictionError(event, "the zero address is nobody")
    if isinstance(event, DirectoryEntrySet):
        if any(event.entry):
            return replace(state, directory=state.directory.set(event.account, event.entry))
        return replace(state, directory=dropped(state.directory, event.account))
    key = (event.role, event.account)
    if isinstance(event, RoleWithdrawn):
        if key not in state.roles:
            raise ContradictionError(event, "the role is not set")
        return replace(state, roles=state.roles.delete(key))
    if event.window.end <= event.window.start:
        raise ContradictionError(event, "the window is empty")
    return replace(state, roles=state.roles.set(key, event.window))


def _team(state: State, event: TeamCreated | TeamPartSet) -> State:
    before = state.teams.get(event.team)
    if isinstance(event, TeamCreated):
        if before is not None:
            raise ContradictionError(event, "the team exists")
        if person_of(event.team) is not None:
            raise ContradictionError(event, "the team's id is a person's")
        return replace(state, teams=state.teams.set(event.team, NEW_TEAM))
    if before is None:
        raise ContradictionError(event, "there is no such team")
    if event.account == NOBODY:
        raise ContradictionError(event, "the zero address is nobody")
    if event.nonce != before.nonce + 1:
        raise ContradictionError(event, "the nonce is not the next one")
    if event.window is None and event.account not in before.part(event.part):
        raise ContradictionError(event, "the part is not set")
    if event.window is not None and event.window.end <= event.window.start:
        raise ContradictionError(event, "the window is empty")
    after = before.with_part(event.part, event.account, event.window)
    state = replace(state, teams=state.teams.set(event.team, after))
    if event.part is not TeamPart.MEMBER:
        return state
    others = tuple(team for team in state.member_of.get(event.account, ()) if team != event.team)
    teams = others if event.window is None else (*others, event.team)
    member_of = state.member_of.set(event.account, teams) if teams else state.member_of.delete(event.account)
    return replace(state, member_of=member_of)


def _granted(state: State, event: ConsentGranted) -> State:
    terms = event.terms
    before = _of_grantable(state, event)
    flaw = flaw_in(terms)
    if flaw is not None:
        raise ContradictionError(event, flaw)
    if person_of(terms.grantee) is None and terms.grantee not in state.teams:
        raise ContradictionError(event, "there is no such team")
    if terms.parent == NO_PARENT:
        _check_grantor(event, before)
    else:
        _check_sharer(event, before)
    if before.consent(event.consent) is not None:
        raise ContradictionError(event, "the id was used before")
    if terms.epoch != before.epoch:
        raise ContradictionError(event, "the epoch is not the patient's")
    named = state.named.get(terms.grantee, _NONE_NAMED)
    grantee = next(iter(named.values()), terms.grantee)
    consent = grants.of_terms(terms, event.consent, grantee, before.granted, event.grantor, event.capacity)
    live = before.live.set(grantee, grants.append(before.live.get(grantee, b""), consent))
    names = state.named
    if before.key not in named:
        names = names.set(grantee, named.set(before.key, grantee))
    patients = state.patients.set(before.key, _with_grant(before, consent, live))
    # Spelled out, as in _with_grant.
    return State(
        patients,
        state.roles,
        state.directory,
        names,
        state.acting,
        state.claiming,
        state.teams,
        state.member_of,
        state.emergencies,
        state.broken_by,
        state.broken_for,
        state.openings,
    )


def _of_grantable(state: State, event: ConsentGranted) -> Patient:
    """The patient, who is claimed; or erased, for what was given before can still be shared on, and opens nothing."""
    before = state.patients.get(event.terms.patient)
    if before is None or not (before.claimed or before.erased):
        raise ContradictionError(event, "the patient is not claimed")
    if before.erased and event.terms.parent == NO_PARENT:
        raise ContradictionError(event, "the patient is erased")
    return before


def _with_grant(before: Patient, consent: grants.Consent, live: Map[Grantee, bytes]) -> Patient:
    ids = before.ids
    if ids is not None:
        ids = ids.set(consent.id, consent.grantee)
    elif before.granted + 1 >= INDEX_FROM:
        ids = Map((one.id, one.grantee) for one in (*before.live_consents(), consent))
    # Spelled out: most of a history is grants, and dataclasses.replace would take half of the time to read it.
    return Patient(
        key=before.key,
        claim_key=before.claim_key,
        claim_until=before.claim_until,
        controller=before.controller,
        actor=before.actor,
        guardian=before.guardian,
        guardian_nonce=before.guardian_nonce,
        move=before.move,
        move_nonce=before.move_nonce,
        epoch=before.epoch,
        granted=before.granted + 1,
        dated=before.dated + consent.dates.bounded,
        live=live,
        ids=ids,
        revoked=before.revoked,
        ward_until=before.ward_until,
        erased=before.erased,
    )


def _revoked(state: State, event: ConsentRevoked) -> State:
    before, _ = of_claimed(state, event, event.patient)
    _check_grantor(event, before)
    if event.epoch != before.epoch + 1:
        raise ContradictionError(event, "the epoch is not the next one")
    consent = before.consent(event.consent)
    if isinstance(consent, Revoked):
        raise ContradictionError(event, "revoked before")
    revoked = before.revoked.set(event.consent, Revoked(consent, event.capacity))
    if consent is None:
        return with_patient(state, replace(before, epoch=event.epoch, revoked=revoked))
    grantee = consent.grantee
    left = grants.without(before.live[grantee], event.consent)
    if left:
        live = before.live.set(grantee, left)
    else:
        live = before.live.delete(grantee)
        named = state.named[grantee].delete(before.key)
        state = replace(state, named=state.named.set(grantee, named) if named else state.named.delete(grantee))
    ids = None if before.ids is None else before.ids.delete(event.consent)
    dated = before.dated - consent.dates.bounded
    return with_patient(state, replace(before, epoch=event.epoch, revoked=revoked, live=live, ids=ids, dated=dated))


def _emergency(state: State, event: EmergencyOpened | EmergencyReviewed) -> State:
    if isinstance(event, EmergencyOpened):
        return _opened(state, event)
    before = state.emergencies.get(event.emergency)
    if before is None or before.patient != event.patient:
        raise ContradictionError(event, "there is no such emergency of the patient")
    if before.review is not None:
        raise ContradictionError(event, "reviewed before")
    if event.reviewer in {NOBODY, before.actor}:
        raise ContradictionError(event, "reviewed by nobody else")
    after = replace(before, review=Review(event.finding, event.reviewer, event.note_hash))
    return replace(state, emergencies=state.emergencies.set(before.id, after))


def _opened(state: State, event: EmergencyOpened) -> State:
    patient = state.patients.get(event.patient)
    if patient is None or patient.erased:
        raise ContradictionError(event, "the patient is not enrolled, or erased")
    if event.emergency in state.emergencies:
        raise ContradictionError(event, "the id was used before")
    if event.actor == NOBODY:
        raise ContradictionError(event, "the zero address is nobody")
    if event.window.end <= event.window.start:
        raise ContradictionError(event, "the window is empty")
    opened = Emergency(event.emergency, patient.key, event.actor, event.reason_hash, event.window)
    broken = state.broken_by.get(event.actor, _NONE_BROKEN).set(patient.key, event.emergency)
    all_of_patient = (*state.broken_for.get(patient.key, ()), event.emergency)
    day = (event.actor, utc_day(event.window.start))
    return replace(
        state,
        emergencies=state.emergencies.set(event.emergency, opened),
        broken_by=state.broken_by.set(event.actor, broken),
        broken_for=state.broken_for.set(patient.key, all_of_patient),
        openings=state.openings.set(day, state.openings.get(day, 0) + 1),
    )


def _check_grantor(event: ConsentGranted | ConsentRevoked, patient: Patient) -> None:
    guardian = None if patient.guardian is None else patient.guardian.actor
    if event.capacity is Capacity.CONTROLLER:
        holders = [None if patient.ward_until else patient.actor]
    elif event.capacity is Capacity.GUARDIAN:
        holders = [guardian, patient.actor if patient.ward_until else None]
    else:
        holders = []
    if event.grantor not in holders:
        raise ContradictionError(event, "the grantor does not hold that capacity")


def _check_sharer(event: ConsentGranted, patient: Patient) -> None:
    """What the state can tell; that the parent was in force then, only the block's time could."""
    parent = patient.consent(event.terms.parent)
    if parent is None or isinstance(parent, Revoked):
        raise ContradictionError(event, "there is no consent to share on")
    if event.capacity is not Capacity.GRANTEE or parent.grantee != person(event.grantor):
        raise ContradictionError(event, "the sharer is not the grantee of what is shared on")
    if not is_narrower(event.terms, parent):
        raise ContradictionError(event, "wider than what is shared on")
