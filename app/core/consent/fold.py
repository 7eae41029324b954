"""fold(state, event) → state: what each event of the contracts changes (docs/CHAIN.md).

INVARIANT: an event that the contracts could not have emitted in this state raises ContradictionError. Then something
was missed or forged, and whoever holds the state stops permitting until it is rebuilt; nothing is guessed or skipped.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from immutables import Map

from app.core.consent import grants
from app.core.consent.basis import ADDRESS_BYTES, NOBODY, actor_of, is_signer, person, person_of
from app.core.consent.events import (
    AccessLogged,
    ConsentGranted,
    ConsentRevoked,
    ControllerMoved,
    DirectoryEntrySet,
    Event,
    GuardianSet,
    MoveStarted,
    MoveVetoed,
    PatientClaimed,
    PatientEnrolled,
    RoleSet,
    RoleWithdrawn,
    TeamCreated,
    TeamPartSet,
)
from app.core.consent.sharing import is_narrower
from app.core.consent.state import INDEX_FROM, Guardian, Move, Patient, Revoked, State
from app.core.consent.teams import NEW_TEAM
from app.core.consent.terms import NO_PARENT, Capacity, TeamPart, flaw_in
from app.core.identifiers import Address, ConsentId, Grantee, PatientKey, Signer, UnixTime

_K = TypeVar("_K")
_V = TypeVar("_V")

_NONE_LIVE: Map[Grantee, bytes] = Map()
_NONE_NAMED: Map[PatientKey, Grantee] = Map()
_NONE_REVOKED: Map[ConsentId, Revoked] = Map()


class ContradictionError(Exception):
    """An event cannot follow from the state. The text names the event's kind and the rule, and no key."""

    def __init__(self, event: Event, rule: str) -> None:
        super().__init__(f"{type(event).__name__}: {rule}")


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
    if isinstance(event, ConsentGranted):
        return _granted(state, event)
    if isinstance(event, ConsentRevoked):
        return _revoked(state, event)
    if isinstance(event, AccessLogged):
        return state
    return _binding(state, event)


def _binding(
    state: State,
    event: PatientEnrolled | PatientClaimed | MoveStarted | MoveVetoed | ControllerMoved | GuardianSet,
) -> State:
    if isinstance(event, PatientEnrolled):
        return _enrolled(state, event)
    if isinstance(event, PatientClaimed):
        return _claimed(state, event)
    if isinstance(event, GuardianSet):
        return _guardian(state, event)
    if isinstance(event, ControllerMoved):
        return _moved(state, event)
    return _move(state, event)


def _staff(state: State, event: RoleSet | RoleWithdrawn | DirectoryEntrySet) -> State:
    if event.account == NOBODY:
        raise ContradictionError(event, "the zero address is nobody")
    if isinstance(event, DirectoryEntrySet):
        if any(event.entry):
            return replace(state, directory=state.directory.set(event.account, event.entry))
        return replace(state, directory=_dropped(state.directory, event.account))
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


def _enrolled(state: State, event: PatientEnrolled) -> State:
    if event.claim_key == NOBODY or not any(event.patient):
        raise ContradictionError(event, "a zero key")
    before = state.patients.get(event.patient)
    if before is None:
        after = Patient(
            key=event.patient,
            claim_key=event.claim_key,
            claim_until=event.claim_until,
            controller=Signer(b""),
            actor=None,
            guardian=None,
            guardian_nonce=0,
            move=None,
            move_nonce=0,
            epoch=0,
            granted=0,
            dated=0,
            live=_NONE_LIVE,
            ids=None,
            revoked=_NONE_REVOKED,
        )
    elif before.claimed:
        raise ContradictionError(event, "the patient is claimed")
    else:
        after = replace(before, claim_key=event.claim_key, claim_until=event.claim_until)
        state = _without_claim(state, before)
    waiting = (*state.claiming.get(event.claim_key, ()), event.patient)
    return _with_patient(replace(state, claiming=state.claiming.set(event.claim_key, waiting)), after)


def _claimed(state: State, event: PatientClaimed) -> State:
    before = state.patients.get(event.patient)
    if before is None:
        raise ContradictionError(event, "the patient is not enrolled")
    if before.claimed:
        raise ContradictionError(event, "the patient is claimed")
    actor = _same_actor(event, event.controller, event.actor)
    after = replace(before, claim_key=None, claim_until=UnixTime(0), controller=event.controller, actor=actor)
    return _with_patient(_without_claim(state, before), after, actor)


def _without_claim(state: State, patient: Patient) -> State:
    """The state in which the patient no longer waits for its claim key."""
    claim_key = patient.claim_key or NOBODY
    others = tuple(key for key in state.claiming.get(claim_key, ()) if key != patient.key)
    claiming = state.claiming.set(claim_key, others) if others else _dropped(state.claiming, claim_key)
    return replace(state, claiming=claiming)


def _move(state: State, event: MoveStarted | MoveVetoed) -> State:
    before, _ = _of_claimed(state, event, event.patient)
    if isinstance(event, MoveVetoed):
        if before.move is None:
            raise ContradictionError(event, "no move is pending")
        return _with_patient(state, replace(before, move=None))
    if not is_signer(event.controller) or event.controller == before.controller:
        raise ContradictionError(event, "not a new controller")
    move = Move(event.controller, event.ready_at)
    return _with_patient(state, replace(before, move=move, move_nonce=before.move_nonce + 1))


def _moved(state: State, event: ControllerMoved) -> State:
    before, old = _of_claimed(state, event, event.patient)
    if before.move is None or before.move.controller != event.controller:
        raise ContradictionError(event, "that move is not pending")
    new = _same_actor(event, event.controller, event.actor)
    return _with_patient(state, replace(before, controller=event.controller, actor=new, move=None), old, new)


def _guardian(state: State, event: GuardianSet) -> State:
    before, _ = _of_claimed(state, event, event.patient)
    touched = [] if before.guardian is None else [before.guardian.actor]
    guardian = None
    if event.guardian:
        actor = _same_actor(event, event.guardian, event.actor)
        guardian = Guardian(event.guardian, actor, event.until)
        touched.append(actor)
    elif event.actor != NOBODY or event.until:
        raise ContradictionError(event, "no guardian, yet an actor or a time")
    return _with_patient(state, replace(before, guardian=guardian, guardian_nonce=before.guardian_nonce + 1), *touched)


def _granted(state: State, event: ConsentGranted) -> State:
    terms = event.terms
    before, _ = _of_claimed(state, event, terms.patient)
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
    )


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
    )


def _revoked(state: State, event: ConsentRevoked) -> State:
    before, _ = _of_claimed(state, event, event.patient)
    _check_grantor(event, before)
    if event.epoch != before.epoch + 1:
        raise ContradictionError(event, "the epoch is not the next one")
    consent = before.consent(event.consent)
    if isinstance(consent, Revoked):
        raise ContradictionError(event, "revoked before")
    revoked = before.revoked.set(event.consent, Revoked(consent, event.capacity))
    if consent is None:
        return _with_patient(state, replace(before, epoch=event.epoch, revoked=revoked))
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
    return _with_patient(state, replace(before, epoch=event.epoch, revoked=revoked, live=live, ids=ids, dated=dated))


def _of_claimed(state: State, event: Event, key: PatientKey) -> tuple[Patient, Address]:
    patient = state.patients.get(key)
    if patient is None or patient.actor is None:
        raise ContradictionError(event, "the patient is not claimed")
    return patient, patient.actor


def _same_actor(event: Event, signer: Signer, actor: Address) -> Address:
    if not is_signer(signer) or actor_of(signer) != actor:
        raise ContradictionError(event, "the actor is not the signer's")
    # An account's signer and its actor are the same 20 bytes: keep one object.
    return Address(signer) if len(signer) == ADDRESS_BYTES else actor


def _check_grantor(event: ConsentGranted | ConsentRevoked, patient: Patient) -> None:
    guardian = None if patient.guardian is None else patient.guardian.actor
    holders = {Capacity.CONTROLLER: patient.actor, Capacity.GUARDIAN: guardian}
    if holders.get(event.capacity) != event.grantor:
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


def _with_patient(state: State, patient: Patient, *touched: Address) -> State:
    """The state with this patient changed. ``touched`` are actors who may act for the patient since, or no longer."""
    state = replace(state, patients=state.patients.set(patient.key, patient))
    for actor in touched:
        acts = actor == patient.actor or (patient.guardian is not None and actor == patient.guardian.actor)
        others = tuple(key for key in state.acting.get(actor, ()) if key != patient.key)
        keys = (*others, patient.key) if acts else others
        state = replace(state, acting=state.acting.set(actor, keys) if keys else _dropped(state.acting, actor))
    return state


def _dropped(entries: Map[_K, _V], key: _K) -> Map[_K, _V]:
    return entries.delete(key) if key in entries else entries
