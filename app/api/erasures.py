"""Erasure: the desk ends every link between a person and what the chain holds of them; auditors see that it was
done.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.hexadecimal import checksum, to_hex, word
from app.api.signed import must_be_accepted
from app.api.wiring import Wiring, wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import person
from app.core.consent.terms import Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import PatientKey, Subject
from app.store.erasures import ERASE, Erasure
from app.store.outbox import CallState
from app.store.patients import EnrolledPatient

router = APIRouter(tags=["erasure"])


class ErasureAsked(Strict):
    """Why (a code: no words, which could name somebody), and once more who, as the archive names them: it cannot be
    taken back.
    """

    reason: Literal["patient-request", "guardian-request", "retention-ended", "enrolled-in-error", "legal-order"]
    patient_id: Annotated[str, Field(min_length=1, max_length=64)]
    issuer: Annotated[str, Field(max_length=64)] = ""


@router.post("/api/patients/{patient_key}/erasure", status_code=202, openapi_extra=documented(ErasureAsked))
async def erase(
    request: Request,
    caller: SignedIn,
    patient_key: str,
    asked: Annotated[ErasureAsked, Depends(body_of(ErasureAsked))],
) -> dict[str, Any]:
    """Begin it, or go on with one that failed on its way to the chain. From this answer on nobody is let in here."""
    wiring = wiring_of(request)
    caller.must_hold(Role.REGISTRAR)
    patient = _patient(wiring, patient_key)
    if patient.subject != Subject.typed(asked.patient_id, asked.issuer):
        raise ProblemError(problem("conflict"))
    at_head = caller.standing.head.patient(patient.key)
    if at_head is None:  # its enrolment has not reached the chain: there is nothing to end there yet
        raise ProblemError(problem("conflict"))
    call = wiring.contracts.patients.erase(patient.key)
    if not at_head.erased:
        await must_be_accepted(wiring, call)
    relayed = None if at_head.erased else wiring.relayed(ERASE, patient.key, call)
    acting = [at_head.controller, *(() if at_head.guardian is None else (at_head.guardian.signer,))]
    erasure = await wiring.erasures.begin(patient.key, caller.actor, asked.reason, relayed, acting)
    wiring.wake_relay()
    return await _view(wiring, caller, erasure)


@router.get("/api/erasures")
async def listing(request: Request, caller: SignedIn) -> dict[str, Any]:
    """Every erasure, for auditors and registrars: which key, who did it, when and why. Of whom, nobody can say."""
    wiring = wiring_of(request)
    if not caller.holds(Role.AUDITOR):
        caller.must_hold(Role.REGISTRAR)
    return {"erasures": [await _view(wiring, caller, one) for one in await wiring.erasures.all()]}


@router.get("/api/erasures/{patient_key}")
async def one(request: Request, caller: SignedIn, patient_key: str) -> dict[str, Any]:
    """How far one has come, for the same."""
    wiring = wiring_of(request)
    if not caller.holds(Role.AUDITOR):
        caller.must_hold(Role.REGISTRAR)
    key = word(patient_key)
    found = None if key is None else await wiring.erasures.find(PatientKey(key))
    if found is None:
        raise ProblemError(problem("not-found"))
    return await _view(wiring, caller, found)


def _patient(wiring: Wiring, given: str) -> EnrolledPatient:
    """The patient, enrolled or being erased. Raises 404: also once there is nobody left."""
    key = word(given)
    known = None if key is None else wiring.patients.by_key(PatientKey(key))
    if known is None:
        known = next((one for one in wiring.patients.being_erased() if one.key == key), None)
    if known is None:
        raise ProblemError(problem("not-found"))
    return known


async def _view(wiring: Wiring, caller: Caller, erasure: Erasure) -> dict[str, Any]:
    registrar, call = erasure.registrar, erasure.call
    return {
        "patient_key": to_hex(erasure.patient),
        "status": _status(caller, erasure),
        "reason": erasure.reason,
        "registrar": None if registrar is None else checksum(registrar),
        "registrar_name": None if registrar is None else await grantee_name(wiring, caller.standing, person(registrar)),
        "asked_at": erasure.asked_at,
        "erased_at": erasure.erased_at,
        "tx_hash": None if call is None or call.mined_tx is None else to_hex(call.mined_tx),
        "block": None if call is None or call.mined is None else call.mined.number,
    }


def _status(caller: Caller, erasure: Erasure) -> str:
    """Submitted → mined → erased, or failed on its way to the chain: then it is asked for once more."""
    if erasure.erased_at is not None:
        return "erased"
    known = caller.standing.head.patient(erasure.patient)
    if known is not None and known.erased:
        return "mined"
    return "failed" if erasure.call is not None and erasure.call.state is CallState.FAILED else "submitted"
