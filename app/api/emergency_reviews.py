"""The review of an emergency: by an auditor who is not the one that broke the glass, once, signed, with a note."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request

from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.emergency_views import Written, one_line, path_id, said
from app.api.hexadecimal import WordText, checksum, from_hex, to_hex
from app.api.signed import (
    DEADLINE_S,
    SignedBody,
    document_of,
    must_be_accepted,
    must_be_signed,
    opened_with,
    read_message,
)
from app.api.wiring import Wiring, wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import person
from app.core.consent.emergencies import Emergency, written_hash
from app.core.consent.terms import Finding, Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import EmergencyId, UnixTime
from app.core.signing.messages import EmergencyReview
from app.core.signing.typed_data import Parsed, words_hash
from app.core.signing.words import Names, moment, words_for
from app.store.emergencies import REVIEW, SignedReview

router = APIRouter(tags=["emergency access"])

_SALT_BYTES = 32
_NO_NOTE = bytes(32)
_FINDINGS = {"justified": Finding.JUSTIFIED, "unjustified": Finding.NOT_JUSTIFIED}


class ReviewAsked(Strict):
    """What the reviewer finds, and a note for the patient and other auditors."""

    finding: Literal["justified", "unjustified"]
    note: Written = ""


class ReviewSigned(SignedBody):
    """The review as it was issued and signed; ``note_salt`` opens its note's hash."""

    note: Written = ""
    note_salt: WordText | None = None


@router.post("/api/emergency-access/{emergency}/review/typed-data", openapi_extra=documented(ReviewAsked))
async def prepare(
    request: Request,
    caller: SignedIn,
    emergency: str,
    asked: Annotated[ReviewAsked, Depends(body_of(ReviewAsked))],
) -> dict[str, Any]:
    """The review as a document to sign. The words hold the note; the chain gets its hash alone."""
    wiring = wiring_of(request)
    reviewed = _reviewable(caller, path_id(emergency))
    note, salt = one_line(asked.note), wiring.random_bytes(_SALT_BYTES)
    hashed = written_hash(salt, note) if note else _NO_NOTE
    message = EmergencyReview(reviewed.id, _FINDINGS[asked.finding], hashed, UnixTime(caller.now + DEADLINE_S))
    words = words_for(message, await _names(wiring, caller, reviewed, message, note))
    document = document_of(wiring, message, words)
    return {"typed_data": document, "words": document["message"]["words"], "note_salt": to_hex(salt) if note else None}


@router.post("/api/emergency-access/{emergency}/review", status_code=202, openapi_extra=documented(ReviewSigned))
async def review(
    request: Request,
    caller: SignedIn,
    emergency: str,
    signed: Annotated[ReviewSigned, Depends(body_of(ReviewSigned))],
) -> dict[str, Any]:
    """Close an emergency. One that is found unjustified opens nothing from now on, here before it is mined."""
    wiring = wiring_of(request)
    reviewed = _reviewable(caller, path_id(emergency))
    message, words = read_message(wiring, caller.now, signed.typed_data, EmergencyReview)
    note, salt = one_line(signed.note), _salt(signed)
    if message.emergency != reviewed.id or message.note_hash != (written_hash(salt, note) if note else _NO_NOTE):
        raise ProblemError(problem("invalid-typed-data"))
    ours = words_for(message, await _names(wiring, caller, reviewed, message, note))
    opened = opened_with(wiring, Parsed(message, words), ours)
    signer, signature = caller.session.signer, from_hex(signed.signature)
    await must_be_signed(wiring, opened, signer, signature)
    call = wiring.contracts.emergencies.review_by_signature(message, words_hash(words), signer, signature)
    await must_be_accepted(wiring, call)
    stored = SignedReview(reviewed.id, reviewed.patient, caller.actor, message.finding, note, salt)
    await wiring.emergencies.review(stored, wiring.relayed(REVIEW, reviewed.id, call))
    wiring.wake_relay()
    return {"emergency_id": to_hex(reviewed.id), "finding": said(message.finding), "status": "submitted"}


def _reviewable(caller: Caller, identity: EmergencyId) -> Emergency:
    """The emergency, which is on the chain and not reviewed. Raises 403, 404 or 409."""
    caller.must_hold(Role.AUDITOR)
    found = caller.standing.head.emergencies.get(identity)
    if found is None:
        raise ProblemError(problem("not-found"))
    if found.actor == caller.actor:
        raise ProblemError(problem("forbidden"))
    if found.review is not None:
        raise ProblemError(problem("conflict"))
    return found


def _salt(signed: ReviewSigned) -> bytes:
    """Empty for no note. Raises 422 where one of the two is missing."""
    if bool(one_line(signed.note)) != (signed.note_salt is not None):
        raise ProblemError(problem("invalid-typed-data"))
    return b"" if signed.note_salt is None else from_hex(signed.note_salt)


async def _names(wiring: Wiring, caller: Caller, reviewed: Emergency, message: EmergencyReview, note: str) -> Names:
    who = await grantee_name(wiring, caller.standing, person(reviewed.actor)) or checksum(reviewed.actor)
    called = f"of {who}, begun on {moment(reviewed.window.start)}"
    return Names(emergencies={reviewed.id: called}, written={message.note_hash: note} if note else {})
