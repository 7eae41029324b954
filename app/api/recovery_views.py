"""Recoveries and pending moves as the API shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.api.caller import Caller
from app.api.hexadecimal import checksum, identifier, to_hex, word
from app.api.wiring import Wiring
from app.api.wording import grantee_name
from app.core.consent.basis import actor_of, person
from app.core.consent.recovering import Progress, move_progress
from app.core.consent.state import Move, Patient
from app.core.identifiers import PatientKey
from app.store.outbox import CallState
from app.store.recoveries import Recovery


@dataclass(frozen=True, slots=True)
class Moving:
    """A patient, and the pending move that was asked about; None where that one is not pending."""

    patient: Patient
    move: Move | None


async def find(wiring: Wiring, caller: Caller, given: str) -> Moving | None:
    """By a recovery's id, or by a patient key (0x…): then the move that is pending, whoever began it."""
    identity, key = identifier(given), word(given)
    if identity is not None:
        recovery = await wiring.recoveries.find(identity)
        patient = None if recovery is None else caller.standing.head.patient(recovery.patient)
        if recovery is None or patient is None:
            return None
        move = patient.move
        is_ours = move is not None and move.controller == recovery.controller
        return Moving(patient, move if is_ours else None)
    patient = None if key is None else caller.standing.head.patient(PatientKey(key))
    return None if patient is None else Moving(patient, patient.move)


async def registrar_view(wiring: Wiring, caller: Caller, recovery: Recovery) -> dict[str, Any]:
    """For the desk, which knows the patient by name."""
    patient = wiring.patients.by_key(recovery.patient)
    named = {
        "patient_id": None if patient is None else patient.subject.patient_id,
        "issuer": None if patient is None else patient.subject.issuer,
    }
    return {**await view(wiring, caller, recovery), **named}


async def view(wiring: Wiring, caller: Caller, recovery: Recovery) -> dict[str, Any]:
    """For those who act for the patient, and for the new controller."""
    progress = progress_of(caller, recovery)
    at_head = caller.standing.head.patient(recovery.patient)
    running = progress in {Progress.PENDING, Progress.READY}
    move = at_head.move if running and at_head is not None else None
    return {
        "id": recovery.recovery_id.hex(),
        "patient_key": to_hex(recovery.patient),
        "status": progress.value,
        "registrar": checksum(recovery.registrar),
        "registrar_name": await grantee_name(wiring, caller.standing, person(recovery.registrar)),
        "created_at": recovery.created_at,
        "expires_at": recovery.expires_at,
        "controller": None if recovery.controller is None else to_hex(recovery.controller),
        "account": None if recovery.controller is None else checksum(actor_of(recovery.controller)),
        "ready_at": None if move is None else move.ready_at,
        "ended_at": recovery.ended_at,
    }


def moves_of(caller: Caller, patients: Sequence[PatientKey], known: Sequence[Recovery]) -> list[dict[str, Any]]:
    """Pending moves that no recovery began: the controller did, by transaction. Their id is the patient key."""
    begun = {(one.patient, one.controller) for one in known if one.ended is None}
    found = []
    for key in patients:
        patient = caller.standing.head.patient(key)
        move = None if patient is None else patient.move
        if move is None or (key, move.controller) in begun:
            continue
        progress = Progress.PENDING if caller.now < move.ready_at else Progress.READY
        found.append(
            {
                "id": to_hex(key),
                "patient_key": to_hex(key),
                "status": progress.value,
                "registrar": None,
                "registrar_name": None,
                "created_at": None,
                "expires_at": None,
                "controller": to_hex(move.controller),
                "account": checksum(actor_of(move.controller)),
                "ready_at": move.ready_at,
                "ended_at": None,
            }
        )
    return found


def progress_of(caller: Caller, recovery: Recovery) -> Progress:
    """Where the recovery is, at the head."""
    if recovery.ended is not None:
        return Progress(recovery.ended.value)
    if recovery.controller is None or recovery.call is None:
        return Progress.WAITING if caller.now < recovery.expires_at else Progress.EXPIRED
    call = recovery.call
    if call.state is CallState.FAILED:
        return Progress.FAILED
    if recovery.move_nonce is None and (call.mined is None or call.mined.number > caller.standing.block.number):
        return Progress.STARTING
    at_head = caller.standing.head.patient(recovery.patient)
    return move_progress(at_head, recovery.controller, recovery.move_nonce, caller.now)
