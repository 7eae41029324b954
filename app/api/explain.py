"""Why an actor would or would not be let in to a resource now, and which consent decides (for the patient and the
auditor).
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.consent_terms import AskedConsent, terms_of
from app.api.hexadecimal import AddressText, address, from_hex, to_hex, word
from app.api.wiring import Wiring, wiring_of
from app.core.consent.basis import GUARDIAN, NO_STUDY, SELF
from app.core.consent.consent_id import consent_id
from app.core.consent.explaining import denials, with_consent
from app.core.consent.fold import ContradictionError
from app.core.consent.mirror import Standing
from app.core.consent.policy import AccessRequest, Deny, date_matters, decide_standing
from app.core.consent.terms import Action, Purpose, Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address, BasisId, ConsentId, PatientKey, StudyUid
from app.core.pseudonym import study_key

router = APIRouter(tags=["consents"])

_OWN = {SELF: "self", GUARDIAN: "guardian"}


class WhatIf(Strict):
    """A question as for ``GET /api/explain``, and a consent that nobody signed yet."""

    actor: AddressText
    study: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    action: Literal["search", "view", "retrieve", "share"] = "retrieve"
    purpose: Annotated[str, Field(max_length=16)] = "TREAT"
    consent: AskedConsent


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
    """``study``: a StudyInstanceUID; without one the question is about everything of the patient. ``denied_by`` names
    the denials that win.
    """
    wiring = wiring_of(request)
    who = address(actor)
    if who is None:
        raise ProblemError(problem("invalid-parameter"))
    patient = _patient(caller, patient_key)
    question = await _question(wiring, caller, who, patient, study, action.upper(), purpose.upper())
    return _answer(wiring, caller, caller.standing, question)


@router.post("/api/explain", openapi_extra=documented(WhatIf))
async def what_if(
    request: Request, caller: SignedIn, asked: Annotated[WhatIf, Depends(body_of(WhatIf))]
) -> dict[str, Any]:
    """What a consent would change before anybody signs it: the answer ``now``, and ``then``, once it were final."""
    wiring = wiring_of(request)
    terms = terms_of(wiring, caller, asked.consent)
    who = Address(from_hex(asked.actor))
    if not caller.acts_for(terms.patient):  # whoever shares on learns nothing of the patient's other consents
        raise ProblemError(problem("forbidden"))
    question = await _question(
        wiring, caller, who, terms.patient, asked.study, asked.action.upper(), asked.purpose.upper()
    )
    known = caller.standing.head.patients[terms.patient]
    capacity = known.capacity_of(caller.actor, caller.now)
    identity = consent_id(terms, wiring.place.chain_id, wiring.deployment.address("ConsentRegistry"))
    try:
        then = with_consent(caller.standing, terms, identity, caller.actor, capacity)
    except ContradictionError:
        raise ProblemError(problem("invalid-request")) from None
    return {
        "now": _answer(wiring, caller, caller.standing, question),
        "then": _answer(wiring, caller, then, question, identity),
    }


async def _question(
    wiring: Wiring, caller: Caller, who: Address, patient: PatientKey, study: str | None, what: str, why: str
) -> AccessRequest:
    if what not in Action.__members__ or why not in Purpose.__members__:
        raise ProblemError(problem("invalid-parameter"))
    if not caller.acts_for(patient) and not caller.holds(Role.AUDITOR):
        raise ProblemError(problem("not-found"))
    if study is None:
        return AccessRequest(who, patient, NO_STUDY, Action[what], Purpose[why])
    enrolled = wiring.patients.by_key(patient)
    if enrolled is None:
        raise ProblemError(problem("not-found"))
    contract = wiring.deployment.address("PatientRegistry")
    uid = StudyUid(study)
    key = study_key(wiring.site_key, enrolled.salt, uid, wiring.place.chain_id, contract)
    date = None
    if date_matters(caller.standing, patient):
        found = await wiring.origin.subjects_of(uid)
        owner = None if found.accepted is None else wiring.identities.ownership.of_study(uid, found.accepted)
        date = found.date if owner is not None and owner.key == patient else None
    return AccessRequest(who, patient, key, Action[what], Purpose[why], date)


def _answer(
    wiring: Wiring, caller: Caller, standing: Standing, question: AccessRequest, asked: ConsentId | None = None
) -> dict[str, Any]:
    """``asked``: the consent that is only thought of."""
    verdict = decide_standing(standing, question, caller.now, wiring.consents.revoked_here)
    denying = {
        consent: None for state in (standing.head, standing.final) for consent in denials(state, question, caller.now)
    }
    answer: dict[str, Any] = {
        "denied_by": ["this consent" if consent == asked else to_hex(consent) for consent in denying],
        "block": {"number": standing.block.number, "hash": to_hex(standing.block.hash)},
        "at": caller.now,
    }
    if isinstance(verdict, Deny):
        return {"verdict": "deny", "reason": verdict.reason.value, **answer}
    basis = (
        "this consent"
        if asked is not None and verdict.basis == BasisId(asked)
        else _OWN.get(verdict.basis, to_hex(verdict.basis))
    )
    return {"verdict": "permit", "basis": basis, **answer}


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
