"""Why an actor would or would not be let in to a resource now, and which consent decides (for the patient and the
auditor).
"""

from typing import Any

from fastapi import APIRouter, Request

from app.api.caller import SignedIn
from app.api.hexadecimal import address, to_hex, word
from app.api.wiring import wiring_of
from app.core.basis import GUARDIAN, SELF
from app.core.identifiers import PatientKey, StudyKey, StudyUid
from app.core.policy import AccessRequest, Deny, decide_standing
from app.core.problem import ProblemError, problem
from app.core.pseudonym import study_key
from app.core.terms import Action, Purpose, Role

router = APIRouter(tags=["consents"])

_OWN = {SELF: "self", GUARDIAN: "guardian"}


@router.get("/api/explain")
async def explain(
    request: Request,
    caller: SignedIn,
    actor: str,
    patient_key: str | None = None,
    study: str | None = None,
    action: str = "retrieve",
    purpose: str = "TREAT",
) -> dict[str, Any]:
    """``study``: a StudyInstanceUID; without one the question is about everything of the patient."""
    wiring = wiring_of(request)
    who, what, why = address(actor), action.upper(), purpose.upper()
    if who is None or what not in Action.__members__ or why not in Purpose.__members__:
        raise ProblemError(problem("invalid-parameter"))
    patient = _patient(caller, patient_key)
    if not caller.acts_for(patient) and not caller.holds(Role.AUDITOR):
        raise ProblemError(problem("not-found"))
    enrolled = wiring.patients.by_key(patient)
    if study is not None and enrolled is None:
        raise ProblemError(problem("not-found"))
    key = StudyKey(bytes(32))
    if study is not None and enrolled is not None:
        contract = wiring.deployment.address("PatientRegistry")
        key = study_key(wiring.site_key, enrolled.salt, StudyUid(study), wiring.place.chain_id, contract)
    question = AccessRequest(who, patient, key, Action[what], Purpose[why])
    verdict = decide_standing(caller.standing, question, caller.now, wiring.consents.revoked_here)
    answer: dict[str, Any] = {
        "block": {"number": caller.standing.block.number, "hash": to_hex(caller.standing.block.hash)},
        "at": caller.now,
    }
    if isinstance(verdict, Deny):
        return {"verdict": "deny", "reason": verdict.reason.value, **answer}
    return {"verdict": "permit", "basis": _OWN.get(verdict.basis, to_hex(verdict.basis)), **answer}


def _patient(caller: SignedIn, given: str | None) -> PatientKey:
    """The patient asked about: as given, else the only one the caller acts for."""
    if given is not None:
        key = word(given)
        if key is None:
            raise ProblemError(problem("invalid-parameter"))
        return PatientKey(key)
    own = caller.own_patients()
    if len(own) != 1:
        raise ProblemError(problem("invalid-parameter"))
    return own[0]
