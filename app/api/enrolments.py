"""Enrolment at the desk, and the claim that binds a patient to their wallet (DESIGN decision 8)."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import SignedIn, known_standing, session_of
from app.api.claim_codes import address_of, claimable
from app.api.hexadecimal import AddressText, PasskeyText, SignatureText, from_hex, to_hex, word
from app.api.signed import DEADLINE_S, issue, must_be_accepted, must_be_signed, open_message, read_message
from app.api.signin import enter, entry_of
from app.api.wiring import Wiring, wiring_of
from app.core.consent.basis import ADDRESS_BYTES
from app.core.consent.events import NO_WARD
from app.core.consent.mirror import Standing
from app.core.consent.terms import Purpose, Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address, PatientKey, Signer, Subject, UnixTime
from app.core.pseudonym import patient_key
from app.core.signing.claim_code import RANDOM_BYTES, claim_address, claim_key, make_code, read_code, sign_digest
from app.core.signing.messages import Claim
from app.core.signing.typed_data import words_hash
from app.store.outbox import CallState
from app.store.patients import AlreadyEnrolledError, EnrolledPatient

router = APIRouter(tags=["enrolment"])

CLAIM = "claim"
_COME_SO_FAR = {
    CallState.QUEUED: "submitted",
    CallState.SIGNED: "submitted",
    CallState.MINED: "mined",
    CallState.FINAL: "active",
    CallState.FAILED: "failed",
}

# A desk waits this long for the block before it is told that the enrolment is under way.
_DESK_WAIT_S = 8.0
# Eighteen years for a child, and room for any representation that a court orders; further off it is a slip of the pen.
LONGEST_WARD_S = 25 * 366 * 86400
_LOOK_S = 0.1

_Text = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f\\]*$")]


class EnrolmentRequest(Strict):
    """Whom to enrol, exactly as the archive names them (PatientID and its issuer).

    ``ward_until``: for a child, or somebody who is represented: the Unix time of the day from which they act for
    themselves. Until then whoever claims acts as guardian.
    """

    patient_id: Annotated[_Text, Field(min_length=1)]
    issuer: _Text = ""
    ward_until: Annotated[int, Field(gt=0)] | None = None


class ClaimPreparation(Strict):
    """The one-time code, and what is to control the patient key: a wallet, or a passkey that was made here (default:
    what the caller is signed in with).
    """

    code: Annotated[str, Field(max_length=64)]
    controller: AddressText | PasskeyText | None = None


class ClaimRequest(Strict):
    """The claim as issued, signed by the wallet or passkey.

    The claim key's own signature is made from ``code``, or given as ``claim_signature`` by a client that keeps the
    code to itself. ``cookie``, with the code: signs in to the portal too, by the same signature.
    """

    typed_data: dict[str, Any]
    signature: SignatureText
    code: Annotated[str, Field(max_length=64)] | None = None
    claim_signature: SignatureText | None = None
    cookie: bool = False


@router.post("/api/enrolments", status_code=201, openapi_extra=documented(EnrolmentRequest))
async def enrol(
    request: Request, caller: SignedIn, asked: Annotated[EnrolmentRequest, Depends(body_of(EnrolmentRequest))]
) -> dict[str, Any]:
    """Commit a patient key with a one-time claim key. The code is in this answer and nowhere else.

    Enrolling somebody who has not claimed yet replaces the code; who has claimed is a 409 (recovery is another way).
    """
    wiring = wiring_of(request)
    caller.must_hold(Role.REGISTRAR)
    subject = Subject.typed(asked.patient_id, asked.issuer)
    ward_until = UnixTime(asked.ward_until or NO_WARD)
    if not subject.patient_id or (ward_until and not caller.now < ward_until <= caller.now + LONGEST_WARD_S):
        raise ProblemError(problem("invalid-request"))
    patient = await enrolled(wiring, subject)
    at_head = caller.standing.head.patient(patient.key)
    if at_head is not None and at_head.claimed:
        raise ProblemError(problem("conflict"))
    code = make_code(wiring.random_bytes(RANDOM_BYTES))
    digits = read_code(code)
    assert digits is not None  # noqa: S101 - a code of our own
    address = claim_address(claim_key(digits))
    until = UnixTime(caller.now + wiring.claim_lifetime_s)
    call = wiring.contracts.patients.enrol(patient.key, address, until, ward_until)
    await must_be_accepted(wiring, call)
    await wiring.relay("enrol", wiring.random_bytes(32), call)
    landed = await _landed(wiring, patient.key, address)
    return {
        "patient_key": to_hex(patient.key),
        "code": code,
        "claim_url": f"{wiring.place.origin_url}/claim#{code}",
        "expires_at": until,
        "ward_until": ward_until or None,
        "status": "mined" if landed else "submitted",
    }


@router.post("/api/enrolments/claim/typed-data", openapi_extra=documented(ClaimPreparation))
async def prepare_claim(
    request: Request, asked: Annotated[ClaimPreparation, Depends(body_of(ClaimPreparation))]
) -> dict[str, Any]:
    """The claim as a document to sign. A code that opens nothing is a 404; who has one need not be signed in."""
    wiring = wiring_of(request)
    address = address_of(asked.code)
    controller = await _controller(request, asked.controller)
    standing, now = known_standing(wiring)
    patient = claimable(standing, address, now)
    document = await issue(wiring, standing, Claim(patient.key, controller, UnixTime(now + DEADLINE_S)))
    return {"typed_data": document, "patient_key": to_hex(patient.key), "words": document["message"]["words"]}


@router.post("/api/enrolments/claim", status_code=202, openapi_extra=documented(ClaimRequest))
async def claim(
    request: Request, response: Response, signed: Annotated[ClaimRequest, Depends(body_of(ClaimRequest))]
) -> dict[str, Any]:
    """Bind the patient key to the controller: both the claim key and the controller sign the same message."""
    wiring = wiring_of(request)
    if (signed.code is None) == (signed.claim_signature is None) or (signed.cookie and signed.code is None):
        raise ProblemError(problem("invalid-request"))
    code = None if signed.code is None else read_code(signed.code)
    if signed.code is not None and code is None:
        raise ProblemError(problem("not-found"))
    standing, now = known_standing(wiring)
    message, words = read_message(wiring, now, signed.typed_data, Claim)
    await _must_be_let_in(request, standing, now, message.patient, code)
    patient = standing.head.patient(message.patient)
    purpose = Purpose.FAMRQT if patient is not None and patient.ward_until else Purpose.PATRQT
    opened = await open_message(wiring, standing, message, words)
    signature = from_hex(signed.signature)
    await must_be_signed(wiring, opened, message.controller, signature)
    if code is not None:
        claim_signature = sign_digest(claim_key(code), opened.digest)
    else:
        claim_signature = from_hex(signed.claim_signature or "")
    call = wiring.contracts.patients.claim(
        message.patient, message.controller, claim_signature, signature, message.deadline, words_hash(opened.words)
    )
    await must_be_accepted(wiring, call)
    entry = entry_of(wiring, message.controller, purpose.name)
    anew = await wiring.relay_anew(CLAIM, opened.digest, call)
    answer = {"patient_key": to_hex(message.patient), "controller": to_hex(message.controller), "status": "submitted"}
    if not signed.cookie:
        return answer
    # Once relayed, the signature is for everybody to see. It signs in whoever brought it first, with the code, and
    # nobody after.
    if not anew:
        raise ProblemError(problem("nonce-conflict"))
    return {**answer, **await enter(wiring, response, entry, cookie=True)}


@router.get("/api/enrolments/claim/{digest}")
async def claim_status(request: Request, _caller: SignedIn, digest: str) -> dict[str, Any]:
    """How far the claim with this digest has come; 404 for one that was not handed in here."""
    signed = word(digest)
    call = None if signed is None else await wiring_of(request).outbox.find(CLAIM, signed)
    if call is None:
        raise ProblemError(problem("not-found"))
    return {"status": _COME_SO_FAR[call.state]}


async def enrolled(wiring: Wiring, subject: Subject) -> EnrolledPatient:
    """The patient's own salt and key, made once."""
    known = wiring.patients.by_subject(subject)
    if known is not None:
        return known
    salt = wiring.random_bytes(32)
    contract = wiring.deployment.address("PatientRegistry")
    key = patient_key(wiring.site_key, salt, subject, wiring.place.chain_id, contract)
    try:
        return await wiring.patients.enrol(subject, key, salt)
    except AlreadyEnrolledError:  # another gateway was quicker; its row is the one that counts
        await wiring.patients.refresh()
        known = wiring.patients.by_subject(subject)
        if known is None:
            raise ProblemError(problem("conflict")) from None
        return known


async def _landed(wiring: Wiring, key: PatientKey, address: Address) -> bool:
    """Whether the enrolment with that claim key reached the head while the desk waits."""
    for _ in range(int(_DESK_WAIT_S / _LOOK_S)):
        standing = wiring.standing()
        patient = None if standing is None else standing.head.patient(key)
        if patient is not None and patient.claim_key == address:
            return True
        await asyncio.sleep(_LOOK_S)
    return False


async def _controller(request: Request, given: str | None) -> Signer:
    """What is to control the patient key. Raises 401, or 422 for a passkey that nobody could sign in with here."""
    if given is None:
        return (await session_of(request)).signer
    signer, wiring = Signer(from_hex(given)), wiring_of(request)
    if len(signer) > ADDRESS_BYTES and (
        wiring.relying_party.key_of(signer) is None or await wiring.passkeys.of_signer(signer) is None
    ):
        raise ProblemError(problem("invalid-request"))
    return signer


async def _must_be_let_in(
    request: Request, standing: Standing, now: UnixTime, patient: PatientKey, code: str | None
) -> None:
    """Raises 401 for whoever neither holds the code that waits for this patient nor is signed in: nobody else has us
    ask a node.
    """
    waiting = None if code is None else standing.head.claimable_with(claim_address(claim_key(code)), now)
    if waiting is None or waiting.key != patient:
        await session_of(request)
