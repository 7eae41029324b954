"""A physician asks, the patient answers. Granting still takes the patient's signature over a consent."""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.hexadecimal import WordText, checksum, from_hex, identifier, to_hex
from app.api.wiring import Wiring, wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import person
from app.core.consent.terms import Purpose, Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import ConsentId, PatientKey, Subject
from app.store.access_requests import AskedAccess, RequestState

router = APIRouter(tags=["access requests"])

_LONGEST_DAYS = 3650
# What was asked of a patient who has been erased since.
_FORGOTTEN: dict[str, Any] = {"actions": [], "purposes": [], "days": None}
# The patient reads it: lines of text, nothing unseen.
_Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]*$",
    ),
]
_ActionWord = Literal["search", "view", "retrieve", "share"]


def _finding_and_fetching() -> list[_ActionWord]:
    return ["search", "view", "retrieve"]


class AccessAsked(Strict):
    """What is asked of whom: the patient by the code they gave (patient key) or by PatientID and issuer."""

    patient_key: WordText | None = None
    patient_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    issuer: Annotated[str, Field(max_length=64)] = ""
    reason: _Reason
    actions: Annotated[list[_ActionWord], Field(min_length=1, max_length=4)] = Field(
        default_factory=_finding_and_fetching
    )
    purposes: Annotated[list[str], Field(min_length=1, max_length=16)] = Field(default_factory=lambda: ["TREAT"])
    days: Annotated[int, Field(ge=1, le=_LONGEST_DAYS)] = 90


class Decision(Strict):
    """The patient's answer; ``consent_id`` names the consent that was signed for it."""

    decision: Literal["accept", "decline"]
    consent_id: WordText | None = None


@router.post("/api/access-requests", status_code=202, openapi_extra=documented(AccessAsked))
async def ask(
    request: Request, caller: SignedIn, asked: Annotated[AccessAsked, Depends(body_of(AccessAsked))]
) -> dict[str, Any]:
    """Ask. The answer is the same whether or not such a patient is enrolled: asking finds nothing out."""
    wiring = wiring_of(request)
    caller.must_hold(Role.PHYSICIAN)
    if (asked.patient_key is None) == (asked.patient_id is None) or not set(asked.purposes) <= set(Purpose.__members__):
        raise ProblemError(problem("invalid-request"))
    terms = {"actions": asked.actions, "purposes": asked.purposes, "days": asked.days}
    # A request to nobody is kept like any other: the same work, the same answer, the same listing for the asker.
    created = await wiring.access_requests.ask(_patient(wiring, asked), caller.actor, json.dumps(terms), asked.reason)
    return {"id": created.request_id.hex(), "status": created.state.value}


@router.get("/api/access-requests")
async def listing(request: Request, caller: SignedIn) -> dict[str, Any]:
    """Requests to the patients the caller acts for, and the caller's own."""
    wiring = wiring_of(request)
    own = caller.own_patients()
    found = await wiring.access_requests.of_patients(own) if own else []
    seen = {one.request_id for one in found}
    found += [one for one in await wiring.access_requests.by_requester(caller.actor) if one.request_id not in seen]
    return {"requests": [await _view(wiring, caller, one) for one in found]}


@router.get("/api/access-requests/{request_id}")
async def one(request: Request, caller: SignedIn, request_id: str) -> dict[str, Any]:
    """One request, for those it concerns."""
    wiring = wiring_of(request)
    found = await _find(wiring, request_id)
    if found.requester != caller.actor and not caller.acts_for(found.patient):
        raise ProblemError(problem("not-found"))
    return await _view(wiring, caller, found)


@router.post("/api/access-requests/{request_id}/decision", openapi_extra=documented(Decision))
async def decide(
    request: Request, caller: SignedIn, request_id: str, answer: Annotated[Decision, Depends(body_of(Decision))]
) -> dict[str, Any]:
    """The patient's answer. Accepting opens nothing by itself: the consent that the patient signed does."""
    wiring = wiring_of(request)
    found = await _find(wiring, request_id)
    if not caller.acts_for(found.patient):
        raise ProblemError(problem("not-found"))
    state = RequestState.GRANTED if answer.decision == "accept" else RequestState.DECLINED
    consent = None if answer.consent_id is None else ConsentId(from_hex(answer.consent_id))
    decided = await wiring.access_requests.decide(found.request_id, state, consent)
    if decided is None:
        raise ProblemError(problem("conflict"))
    return await _view(wiring, caller, decided)


def _patient(wiring: Wiring, asked: AccessAsked) -> PatientKey:
    if asked.patient_key is not None:
        return PatientKey(from_hex(asked.patient_key))
    enrolled = wiring.patients.by_subject(Subject.typed(asked.patient_id or "", asked.issuer))
    return PatientKey(wiring.random_bytes(32)) if enrolled is None else enrolled.key


async def _find(wiring: Wiring, request_id: str) -> AskedAccess:
    identity = identifier(request_id)
    found = None if identity is None else await wiring.access_requests.find(identity)
    if found is None:
        raise ProblemError(problem("not-found"))
    return found


async def _view(wiring: Wiring, caller: Caller, asked: AskedAccess) -> dict[str, Any]:
    mine = caller.acts_for(asked.patient)
    return {
        "id": asked.request_id.hex(),
        "status": asked.state.value,
        "requester": checksum(asked.requester),
        "requester_name": await grantee_name(wiring, caller.standing, person(asked.requester)),
        # The asker is not told the key of somebody they named by PatientID.
        "patient_key": to_hex(asked.patient) if mine else None,
        "reason": asked.message,
        **(json.loads(asked.terms) if asked.terms else _FORGOTTEN),
        "consent_id": None if asked.consent_id is None else to_hex(asked.consent_id),
        "created_at": asked.created_at,
        "decided_at": asked.decided_at,
    }
