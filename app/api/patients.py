"""Patients as the desk sees them, and as those see them who act for them."""

from typing import Any

from fastapi import APIRouter, Request

from app.api.caller import Caller, SignedIn
from app.api.hexadecimal import checksum, to_hex
from app.api.wiring import Wiring, wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import actor_of, person
from app.core.consent.state import Guardian, Patient
from app.core.consent.terms import Capacity, Role
from app.core.patient_code import show_patient_code
from app.store.patients import EnrolledPatient

router = APIRouter(tags=["patients"])

_CAPACITIES = {Capacity.CONTROLLER: "self", Capacity.GUARDIAN: "guardian"}


@router.get("/api/patients")
async def listing(request: Request, caller: SignedIn) -> dict[str, Any]:
    """Enrolled patients for registrars; the patients the caller acts for, for everybody else.

    ``code`` is for those who act for the patient: they read it to a physician who is to ask.
    """
    wiring = wiring_of(request)
    if caller.holds(Role.REGISTRAR):
        enrolled = wiring.patients.all() + wiring.patients.being_erased()
    else:
        own = (wiring.patients.by_key(key) for key in caller.own_patients())
        enrolled = [patient for patient in own if patient is not None]
    going = {patient.key for patient in wiring.patients.being_erased()}
    return {"patients": [await _view(wiring, caller, one, going=one.key in going) for one in enrolled]}


async def _view(wiring: Wiring, caller: Caller, patient: EnrolledPatient, *, going: bool) -> dict[str, Any]:
    at_head = caller.standing.head.patient(patient.key)
    capacity = Capacity.NONE if at_head is None else at_head.capacity_of(caller.actor, caller.now)
    return {
        "patient_key": to_hex(patient.key),
        "patient_id": patient.subject.patient_id,
        "issuer": patient.subject.issuer,
        "status": "erasing" if going else _status(caller, at_head),
        "controller": None if at_head is None or at_head.actor is None else checksum(at_head.actor),
        "capacity": _CAPACITIES.get(capacity),
        "code": show_patient_code(patient.code) if capacity is not Capacity.NONE else None,
        "ward_until": None if at_head is None else at_head.ward_until or None,
        "guardian": None if at_head is None else await _guardian(wiring, caller, patient, at_head.guardian),
        "move": None if at_head is None else _move(at_head),
    }


def _status(caller: Caller, at_head: Patient | None) -> str:
    if at_head is None:
        return "submitted"
    if not at_head.claimed:
        return "enrolled"
    final = caller.standing.final.patient(at_head.key)
    # Images are shown once the claim is final.
    return "claimed" if final is not None and final.claimed else "claim-mined"


async def _guardian(
    wiring: Wiring, caller: Caller, patient: EnrolledPatient, guardian: Guardian | None
) -> dict[str, Any] | None:
    """The named guardian while their time runs, called as the patient called them, else as the directory does."""
    if guardian is None or guardian.until <= caller.now:
        return None
    name = await wiring.guardian_names.find(patient.key, guardian.signer)
    return {
        "account": checksum(guardian.actor),
        "signer": to_hex(guardian.signer),
        "name": name or await grantee_name(wiring, caller.standing, person(guardian.actor)),
        "until": guardian.until,
    }


def _move(patient: Patient) -> dict[str, Any] | None:
    """The pending move to another controller."""
    move = patient.move
    if move is None:
        return None
    return {
        "account": checksum(actor_of(move.controller)),
        "signer": to_hex(move.controller),
        "ready_at": move.ready_at,
        "number": patient.move_nonce,
    }
