"""A physician asks, the patient answers. Granting still takes the patient's signature over a consent.

Asking finds nothing out: whether there is such a patient changes neither the answer nor the work behind it, nor when
one has asked too much.
"""

import hmac
import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.consent_views import consent_view
from app.api.hexadecimal import WordText, checksum, from_hex, identifier, to_hex
from app.api.requesters import requester_of
from app.api.wiring import Wiring, wiring_of
from app.core.consent.basis import person_of
from app.core.consent.terms import Purpose, Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import ConsentId, PatientKey, Subject
from app.core.patient_code import read_patient_code
from app.store.access_requests import AskedAccess, RequestState, TooManyAskedError, TooManyOpenError

router = APIRouter(tags=["access requests"])

_LONGEST_DAYS = 3650
_ASKED_DOMAIN = b"consentry.asked.v1"
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
    """What is asked of whom: the patient by the code they gave, by their patient key, or by PatientID and issuer."""

    patient_code: Annotated[str, Field(max_length=64)] | None = None
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
    """The patient's answer; ``consent_id`` names the consent that was signed for it, which may be narrower than what
    was asked for.
    """

    decision: Literal["accept", "decline"]
    consent_id: WordText | None = None


@router.post("/api/access-requests", status_code=202, openapi_extra=documented(AccessAsked))
async def ask(
    request: Request, caller: SignedIn, asked: Annotated[AccessAsked, Depends(body_of(AccessAsked))]
) -> dict[str, Any]:
    """Ask. A code with a slip in it is a 422: whoever reads it finds that out by themselves."""
    wiring = wiring_of(request)
    caller.must_hold(Role.PHYSICIAN)
    named = [asked.patient_code, asked.patient_key, asked.patient_id]
    if named.count(None) != 2 or not set(asked.purposes) <= set(Purpose.__members__):
        raise ProblemError(problem("invalid-request"))
    terms = {"actions": asked.actions, "purposes": asked.purposes, "days": asked.days}
    # What other gateways have enrolled is looked at first, and always: else a miss would cost more than a hit.
    await wiring.patients.refresh()
    patient, way = _named(wiring, asked)
    try:
        created = await wiring.access_requests.ask(
            patient, caller.actor, json.dumps(terms), asked.reason, _hash(wiring, way)
        )
    except TooManyOpenError:
        raise ProblemError(problem("conflict")) from None
    except TooManyAskedError as error:
        raise ProblemError(problem("too-many-requests").with_header("Retry-After", str(error.wait_s))) from None
    return {"id": created.request_id.hex(), "status": created.state.value, "expires_at": created.expires_at}


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
    """The patient's answer. Accepting opens nothing by itself: the consent that the patient signed does. Of two answers
    at once, or an answer and a withdrawal, the first counts and the other is a 409.
    """
    wiring = wiring_of(request)
    found = await _find(wiring, request_id)
    if not caller.acts_for(found.patient):
        raise ProblemError(problem("not-found"))
    accepts = answer.decision == "accept"
    consent = None if answer.consent_id is None else ConsentId(from_hex(answer.consent_id))
    if consent is not None and (not accepts or not await _answers(wiring, caller, found, consent)):
        raise ProblemError(problem("invalid-request"))
    state = RequestState.GRANTED if accepts else RequestState.DECLINED
    return await _close(wiring, caller, found, state, consent)


@router.post("/api/access-requests/{request_id}/withdrawal")
async def withdraw(request: Request, caller: SignedIn, request_id: str) -> dict[str, Any]:
    """The asker takes it back, as long as nobody has answered."""
    wiring = wiring_of(request)
    found = await _find(wiring, request_id)
    if found.requester != caller.actor:
        raise ProblemError(problem("not-found"))
    return await _close(wiring, caller, found, RequestState.WITHDRAWN, None)


def _named(wiring: Wiring, asked: AccessAsked) -> tuple[PatientKey, tuple[str, ...]]:
    """Whose key it is, a random one for nobody's (an erased patient's too: nothing is written of them any more); and
    how they were named, in the one way of writing it.
    """
    way: tuple[str, ...]
    if asked.patient_key is not None:
        key = PatientKey(from_hex(asked.patient_key))
        enrolled, way = wiring.patients.by_key(key, look_again=False), ("key", key.hex())
    elif asked.patient_code is not None:
        digits = read_patient_code(asked.patient_code)
        if digits is None:
            raise ProblemError(problem("invalid-request"))
        enrolled, way = wiring.patients.by_code(digits), ("code", digits)
    else:
        subject = Subject.typed(asked.patient_id or "", asked.issuer)
        enrolled = wiring.patients.by_subject(subject, look_again=False)
        way = ("subject", subject.patient_id, subject.issuer)
    nobody = PatientKey(wiring.random_bytes(32))
    return (nobody if enrolled is None else enrolled.key), way


def _hash(wiring: Wiring, way: tuple[str, ...]) -> bytes:
    """By which open requests are counted: keyed, since a PatientID can be guessed."""
    said = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in way)
    return hmac.digest(wiring.site_key, _ASKED_DOMAIN + said, "sha256")


async def _answers(wiring: Wiring, caller: Caller, asked: AskedAccess, consent: ConsentId) -> bool:
    """Whether that consent is the patient's, lets somebody in, and names the requester or a team of theirs."""
    found = await consent_view(wiring, caller, asked.patient, consent)
    named = {
        to_hex(grantee) if person_of(grantee) is None else checksum(asked.requester)
        for grantee in caller.standing.head.named_as(asked.requester, caller.now)
    }
    return found is not None and found["effect"] == "permit" and found["grantee"] in named


async def _close(
    wiring: Wiring, caller: Caller, found: AskedAccess, state: RequestState, consent: ConsentId | None
) -> dict[str, Any]:
    closed = await wiring.access_requests.decide(found.request_id, state, consent)
    if closed is None:
        raise ProblemError(problem("conflict"))
    return await _view(wiring, caller, closed)


async def _find(wiring: Wiring, request_id: str) -> AskedAccess:
    identity = identifier(request_id)
    found = None if identity is None else await wiring.access_requests.find(identity)
    if found is None:
        raise ProblemError(problem("not-found"))
    return found


async def _view(wiring: Wiring, caller: Caller, asked: AskedAccess) -> dict[str, Any]:
    """As the patient's side reads it, or the asker: who learns that it was granted, and from their consents what; and
    not why it was declined.
    """
    mine = caller.acts_for(asked.patient)
    return {
        "id": asked.request_id.hex(),
        "status": asked.state.value,
        **await requester_of(wiring, caller, asked.requester),
        # The asker is not told the key of somebody they named by code or PatientID.
        "patient_key": to_hex(asked.patient) if mine else None,
        "reason": asked.message,
        **json.loads(asked.terms),
        "consent_id": None if asked.consent_id is None else to_hex(asked.consent_id),
        "created_at": asked.created_at,
        "expires_at": asked.expires_at,
        "decided_at": asked.decided_at,
    }
