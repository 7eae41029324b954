"""Who acts for a patient, from enrolment to erasure: what these events change in the state (docs/CHAIN.md).

Part of ``app.core.consent.fold``, whose invariant holds here too.
"""

from dataclasses import replace
from typing import TypeVar

from immutables import Map

from app.core.consent.basis import ADDRESS_BYTES, NOBODY, actor_of, is_signer
from app.core.consent.contradiction import ContradictionError
from app.core.consent.events import (
    NO_WARD,
    ControllerMoved,
    Event,
    GuardianSet,
    MoveStarted,
    MoveVetoed,
    PatientClaimed,
    PatientEnrolled,
    PatientErased,
)
from app.core.consent.state import Guardian, Move, Patient, Revoked, State
from app.core.identifiers import Address, ConsentId, Grantee, PatientKey, Signer, UnixTime

_K = TypeVar("_K")
_V = TypeVar("_V")

Binding = PatientEnrolled | PatientClaimed | MoveStarted | MoveVetoed | ControllerMoved | GuardianSet | PatientErased

_NONE_LIVE: Map[Grantee, bytes] = Map()
_NONE_REVOKED: Map[ConsentId, Revoked] = Map()
_NEVER = UnixTime(0)
_NO_SIGNER = Signer(b"")


def fold_binding(state: State, event: Binding) -> State:
    """The state after the event. Raises ContradictionError."""
    if isinstance(event, PatientEnrolled):
        return _enrolled(state, event)
    if isinstance(event, PatientClaimed | PatientErased):
        return _claimed(state, event) if isinstance(event, PatientClaimed) else _erased(state, event)
    if isinstance(event, GuardianSet):
        return _guardian(state, event)
    if isinstance(event, ControllerMoved):
        return _moved(state, event)
    return _move(state, event)


def _enrolled(state: State, event: PatientEnrolled) -> State:
    if event.claim_key == NOBODY or not any(event.patient):
        raise ContradictionError(event, "a zero key")
    before = state.patients.get(event.patient)
    if before is None:
        after = Patient(
            key=event.patient,
            claim_key=event.claim_key,
            claim_until=event.claim_until,
            controller=_NO_SIGNER,
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
            ward_until=event.ward_until,
            erased=False,
        )
    elif before.claimed or before.erased:
        raise ContradictionError(event, "the patient is claimed or erased")
    else:
        after = replace(before, claim_key=event.claim_key, claim_until=event.claim_until, ward_until=event.ward_until)
        state = _without_claim(state, before)
    waiting = (*state.claiming.get(event.claim_key, ()), event.patient)
    return with_patient(replace(state, claiming=state.claiming.set(event.claim_key, waiting)), after)


def _claimed(state: State, event: PatientClaimed) -> State:
    before = state.patients.get(event.patient)
    if before is None:
        raise ContradictionError(event, "the patient is not enrolled")
    if before.claimed or before.erased:
        raise ContradictionError(event, "the patient is claimed or erased")
    actor = _same_actor(event, event.controller, event.actor)
    after = replace(before, claim_key=None, claim_until=_NEVER, controller=event.controller, actor=actor)
    return with_patient(_without_claim(state, before), after, actor)


def _erased(state: State, event: PatientErased) -> State:
    """The consents stay as they are: nothing reaches them."""
    before = state.patients.get(event.patient)
    if before is None or before.erased:
        raise ContradictionError(event, "the patient is not enrolled, or erased")
    acted = [] if before.actor is None else [before.actor]
    if before.guardian is not None:
        acted.append(before.guardian.actor)
    after = replace(
        before,
        claim_key=None,
        claim_until=_NEVER,
        controller=_NO_SIGNER,
        actor=None,
        guardian=None,
        move=None,
        ward_until=NO_WARD,
        erased=True,
    )
    return with_patient(state if before.claimed else _without_claim(state, before), after, *acted)


def _without_claim(state: State, patient: Patient) -> State:
    """The state in which the patient no longer waits for its claim key."""
    claim_key = patient.claim_key or NOBODY
    others = tuple(key for key in state.claiming.get(claim_key, ()) if key != patient.key)
    claiming = state.claiming.set(claim_key, others) if others else dropped(state.claiming, claim_key)
    return replace(state, claiming=claiming)


def _move(state: State, event: MoveStarted | MoveVetoed) -> State:
    before, _ = of_claimed(state, event, event.patient)
    if isinstance(event, MoveVetoed):
        if before.move is None:
            raise ContradictionError(event, "no move is pending")
        return with_patient(state, replace(before, move=None))
    # To the same one only where it is the ward's own already: a move after the ward's time then frees them.
    frees = before.ward_until and event.ready_at > before.ward_until
    if not is_signer(event.controller) or (event.controller == before.controller and not frees):
        raise ContradictionError(event, "not a new controller")
    move = Move(event.controller, event.ready_at)
    return with_patient(state, replace(before, move=move, move_nonce=before.move_nonce + 1))


def _moved(state: State, event: ControllerMoved) -> State:
    before, old = of_claimed(state, event, event.patient)
    if before.move is None or before.move.controller != event.controller:
        raise ContradictionError(event, "that move is not pending")
    # A ward comes of age by a move that was started when its time was over, and such a one is ready later still.
    comes_of_age = not event.ward_until and before.move.ready_at > before.ward_until
    if event.ward_until != before.ward_until and not comes_of_age:
        raise ContradictionError(event, "the ward is not of age")
    new = _same_actor(event, event.controller, event.actor)
    ward = event.ward_until
    after = replace(before, controller=event.controller, actor=new, move=None, ward_until=ward)
    return with_patient(state, after, old, new)


def _guardian(state: State, event: GuardianSet) -> State:
    before, _ = of_claimed(state, event, event.patient)
    touched = [] if before.guardian is None else [before.guardian.actor]
    guardian = None
    if event.guardian:
        if before.ward_until and event.until > before.ward_until:
            raise ContradictionError(event, "a ward's guardian after the ward's time")
        actor = _same_actor(event, event.guardian, event.actor)
        guardian = Guardian(event.guardian, actor, event.until)
        touched.append(actor)
    elif event.actor != NOBODY or event.until:
        raise ContradictionError(event, "no guardian, yet an actor or a time")
    return with_patient(state, replace(before, guardian=guardian, guardian_nonce=before.guardian_nonce + 1), *touched)


def of_claimed(state: State, event: Event, key: PatientKey) -> tuple[Patient, Address]:
    """The claimed patient that the event is about, and who controls it. Raises ContradictionError."""
    patient = state.patients.get(key)
    if patient is None or patient.actor is None:
        raise ContradictionError(event, "the patient is not claimed")
    return patient, patient.actor


def _same_actor(event: Event, signer: Signer, actor: Address) -> Address:
    if not is_signer(signer) or actor_of(signer) != actor:
        raise ContradictionError(event, "the actor is not the signer's")
    # An account's signer and its actor are the same 20 bytes: keep one object.
    return Address(signer) if len(signer) == ADDRESS_BYTES else actor


def with_patient(state: State, patient: Patient, *touched: Address) -> State:
    """The state with this patient changed. ``touched`` are actors who may act for the patient since, or no longer."""
    state = replace(state, patients=state.patients.set(patient.key, patient))
    for actor in touched:
        acts = actor == patient.actor or (patient.guardian is not None and actor == patient.guardian.actor)
        others = tuple(key for key in state.acting.get(actor, ()) if key != patient.key)
        keys = (*others, patient.key) if acts else others
        state = replace(state, acting=state.acting.set(actor, keys) if keys else dropped(state.acting, actor))
    return state


def dropped(entries: Map[_K, _V], key: _K) -> Map[_K, _V]:
    """The entries without that key, whether or not it was there."""
    return entries.delete(key) if key in entries else entries
