"""Whom a patient names to act for them: named, replaced or removed by the controller's signature, relayed."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.hexadecimal import SignatureText, SignerText, from_hex, to_hex, word
from app.api.signed import DEADLINE_S, issue, must_be_accepted, must_be_signed, open_message, read_message
from app.api.wiring import wiring_of
from app.core.consent.basis import is_signer
from app.core.consent.state import Patient
from app.core.consent.terms import Capacity
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import PatientKey, Signer, UnixTime
from app.core.signing.messages import GuardianChange
from app.core.signing.typed_data import words_hash

router = APIRouter(tags=["guardians"])

GUARDIAN = "guardian"
# Further off it is a slip of the pen: who needs a guardian for longer names one again.
_LONGEST_S = 25 * 366 * 86400
_NOBODY = Signer(b"")
_NameText = Annotated[
    str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]*$")
]


class GuardianAsked(Strict):
    """Who is to act for the patient, until when (Unix seconds); neither removes the guardian."""

    guardian: SignerText | None = None
    valid_until: Annotated[int, Field(gt=0)] | None = None


class GuardianSigned(Strict):
    """The change as issued, and the controller's signature. ``name``: what those who act for the patient shall read;
    kept here alone, and not signed.
    """

    typed_data: dict[str, Any]
    signature: SignatureText
    name: _NameText | None = None


@router.post("/api/patients/{patient_key}/guardian/typed-data", openapi_extra=documented(GuardianAsked))
async def prepare(
    request: Request,
    caller: SignedIn,
    patient_key: str,
    asked: Annotated[GuardianAsked, Depends(body_of(GuardianAsked))],
) -> dict[str, Any]:
    """The change as a document to sign. For the patient's controller alone; for all others there is no such patient."""
    patient = _controlled(caller, patient_key)
    guardian, until = _NOBODY, UnixTime(0)
    if (asked.guardian is None) != (asked.valid_until is None):
        raise ProblemError(problem("invalid-request"))
    if asked.guardian is not None:
        guardian, until = Signer(from_hex(asked.guardian)), UnixTime(asked.valid_until or 0)
        latest = patient.ward_until or caller.now + _LONGEST_S
        if not is_signer(guardian) or guardian == patient.controller or not caller.now < until <= latest:
            raise ProblemError(problem("invalid-request"))
    change = GuardianChange(patient.key, guardian, until, patient.guardian_nonce, UnixTime(caller.now + DEADLINE_S))
    document = await issue(wiring_of(request), caller.standing, change)
    return {"typed_data": document, "words": document["message"]["words"]}


@router.post("/api/patients/{patient_key}/guardian", status_code=202, openapi_extra=documented(GuardianSigned))
async def submit(
    request: Request,
    caller: SignedIn,
    patient_key: str,
    signed: Annotated[GuardianSigned, Depends(body_of(GuardianSigned))],
) -> dict[str, Any]:
    """Relay the signed change."""
    wiring = wiring_of(request)
    patient = _controlled(caller, patient_key)
    change, words = read_message(wiring, caller.now, signed.typed_data, GuardianChange)
    if change.patient != patient.key:
        raise ProblemError(problem("invalid-typed-data"))
    opened = await open_message(wiring, caller.standing, change, words)
    signature = from_hex(signed.signature)
    await must_be_signed(wiring, opened, patient.controller, signature)
    if change.guardian_nonce != patient.guardian_nonce:
        raise ProblemError(problem("nonce-conflict"))
    call = wiring.contracts.patients.set_guardian_by_signature(
        patient.key, change.guardian, change.until, signature, change.deadline, words_hash(opened.words)
    )
    await must_be_accepted(wiring, call)
    if signed.name is not None and change.guardian:
        await wiring.guardian_names.put(patient.key, change.guardian, signed.name)
    await wiring.relay(GUARDIAN, opened.digest, call)
    return {
        "patient_key": to_hex(patient.key),
        "guardian": to_hex(change.guardian) if change.guardian else None,
        "valid_until": change.until or None,
        "status": "submitted",
    }


def _controlled(caller: Caller, given: str) -> Patient:
    """The patient that the caller controls, in whatever capacity. Raises 404: a guardian names no guardian."""
    key = word(given)
    patient = None if key is None else caller.standing.head.patient(PatientKey(key))
    if (
        patient is None
        or patient.actor != caller.actor
        or patient.capacity_of(caller.actor, caller.now) is Capacity.NONE
    ):
        raise ProblemError(problem("not-found"))
    return patient
