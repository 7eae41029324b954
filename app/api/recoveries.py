"""A lost wallet: the desk begins, the patient's new key takes the one-time code, the delay runs, the old controller may
veto, the new one takes over.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn, known_standing, session_of
from app.api.hexadecimal import SignatureText, SignerText, from_hex, identifier, to_hex
from app.api.recovery_codes import hash_of, is_movable, waiting_with
from app.api.recovery_views import Moving, find, moves_of, registrar_view, view
from app.api.signed import (
    DEADLINE_S,
    SignedBody,
    issue,
    must_be_accepted,
    must_be_signed,
    open_message,
    read_message,
)
from app.api.wiring import Wiring, wiring_of
from app.core.consent.basis import actor_of, is_signer
from app.core.consent.state import Move, Patient
from app.core.consent.terms import Capacity, Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Signer, Subject, UnixTime
from app.core.signing.claim_code import RANDOM_BYTES, make_code
from app.core.signing.messages import MoveAcceptance, MoveVeto
from app.core.signing.typed_data import words_hash
from app.store.recoveries import START_MOVE

router = APIRouter(tags=["recovery"])

ACCEPT = "accept-move"
VETO = "veto-move"

_Text = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f\\]*$")]
_CodeText = Annotated[str, Field(max_length=64)]


class RecoveryAsked(Strict):
    """Who has lost their wallet, exactly as the archive names them."""

    patient_id: Annotated[_Text, Field(min_length=1)]
    issuer: _Text = ""


class RecoveryPreparation(Strict):
    """The one-time code, and the new key of somebody who is not signed in with it."""

    code: _CodeText
    controller: SignerText


class RecoveryClaimed(Strict):
    """The one-time code, and the new key: shown by being signed in with it, or by its signature over what
    ``claim/typed-data`` issued.
    """

    code: _CodeText
    controller: SignerText | None = None
    typed_data: dict[str, Any] | None = None
    signature: SignatureText | None = None


@router.post("/api/recoveries", status_code=201, openapi_extra=documented(RecoveryAsked))
async def begin(
    request: Request, caller: SignedIn, asked: Annotated[RecoveryAsked, Depends(body_of(RecoveryAsked))]
) -> dict[str, Any]:
    """Begin at the desk, once it is sure who stands before it. The code is in this answer and nowhere else.

    Beginning again replaces a code that was not used. Nothing moves before the code is used, and then not for the
    delay.
    """
    wiring = wiring_of(request)
    caller.must_hold(Role.REGISTRAR)
    patient = wiring.patients.by_subject(Subject.typed(asked.patient_id, asked.issuer))
    if patient is None:
        raise ProblemError(problem("not-found"))
    at_head = caller.standing.head.patient(patient.key)
    if at_head is None or not at_head.claimed:
        raise ProblemError(problem("conflict"))
    code = make_code(wiring.random_bytes(RANDOM_BYTES))
    recovery = await wiring.recoveries.begin(patient.key, caller.actor, hash_of(code))
    url = f"{wiring.place.origin_url}/recover#{code}"
    return {**await registrar_view(wiring, caller, recovery), "code": code, "recovery_url": url}


@router.post("/api/recoveries/claim/typed-data", openapi_extra=documented(RecoveryPreparation))
async def prepare_claim(
    request: Request, asked: Annotated[RecoveryPreparation, Depends(body_of(RecoveryPreparation))]
) -> dict[str, Any]:
    """What the new key signs to show that it is the caller's: the acceptance of the move that will be started, which
    works for an hour. Whoever has the code need not be signed in.
    """
    wiring = wiring_of(request)
    recovery = await waiting_with(wiring, asked.code)
    standing, now = known_standing(wiring)
    patient = _movable(standing.head.patient(recovery.patient))
    controller = _new_signer(from_hex(asked.controller), patient)
    number = patient.move_nonce + 1
    acceptance = MoveAcceptance(patient.key, controller, number, UnixTime(now + DEADLINE_S))
    document = await issue(wiring, standing, acceptance)
    return {"typed_data": document, "words": document["message"]["words"]}


@router.post("/api/recoveries/claim", status_code=202, openapi_extra=documented(RecoveryClaimed))
async def claim(
    request: Request, asked: Annotated[RecoveryClaimed, Depends(body_of(RecoveryClaimed))]
) -> dict[str, Any]:
    """Use the code: the move to the new key starts, and with it the delay in which the old controller may veto."""
    wiring = wiring_of(request)
    recovery = await waiting_with(wiring, asked.code)
    standing, _now = known_standing(wiring)
    patient = _movable(standing.head.patient(recovery.patient))
    controller = await _shown(request, asked, patient)
    call = wiring.contracts.patients.start_move(patient.key, controller)
    await must_be_accepted(wiring, call)
    claimed = await wiring.recoveries.claim(
        hash_of(asked.code), controller, wiring.relayed(START_MOVE, recovery.recovery_id, call)
    )
    if claimed is None:
        raise ProblemError(problem("not-found"))
    wiring.wake_relay()
    return {
        "id": claimed.recovery_id.hex(),
        "patient_key": to_hex(claimed.patient),
        "controller": to_hex(controller),
        "status": "starting",
        "delay_s": wiring.move_delay_s,
    }


@router.get("/api/recoveries")
async def listing(request: Request, caller: SignedIn) -> dict[str, Any]:
    """All for registrars. For everybody else those of the patients they act for, with moves that they began themselves,
    and those that lead to them.
    """
    wiring = wiring_of(request)
    if caller.holds(Role.REGISTRAR):
        return {"recoveries": [await registrar_view(wiring, caller, one) for one in await wiring.recoveries.all()]}
    own = caller.own_patients()
    found = await wiring.recoveries.of_patients(own) if own else []
    known = {one.recovery_id for one in found}
    leading_here = await wiring.recoveries.towards([caller.signer])
    found += [one for one in leading_here if one.recovery_id not in known]
    views = [await view(wiring, caller, one) for one in found]
    return {"recoveries": views + moves_of(caller, own, found)}


@router.get("/api/recoveries/{recovery}")
async def one(request: Request, caller: SignedIn, recovery: str) -> dict[str, Any]:
    """One recovery, for those it concerns; 404 for everybody else."""
    wiring = wiring_of(request)
    found = await wiring.recoveries.find(_recovery_id(recovery))
    if found is None:
        raise ProblemError(problem("not-found"))
    if caller.holds(Role.REGISTRAR):
        return await registrar_view(wiring, caller, found)
    if found.controller != caller.signer and not caller.acts_for(found.patient):
        raise ProblemError(problem("not-found"))
    return await view(wiring, caller, found)


@router.post("/api/recoveries/{recovery}/acceptance/typed-data")
async def prepare_acceptance(request: Request, caller: SignedIn, recovery: str) -> dict[str, Any]:
    """Taking over, as a document for the new controller to sign. 409 while the delay still runs."""
    wiring = wiring_of(request)
    moving, move = await _to_be_accepted(wiring, caller, recovery)
    deadline = UnixTime(caller.now + DEADLINE_S)
    acceptance = MoveAcceptance(moving.patient.key, move.controller, moving.patient.move_nonce, deadline)
    document = await issue(wiring, caller.standing, acceptance)
    return {"typed_data": document, "words": document["message"]["words"]}


@router.post("/api/recoveries/{recovery}/acceptance", status_code=202, openapi_extra=documented(SignedBody))
async def accept(
    request: Request, caller: SignedIn, recovery: str, signed: Annotated[SignedBody, Depends(body_of(SignedBody))]
) -> dict[str, Any]:
    """Relay the new controller's signature: the move is finished, and the old controller decides nothing any more."""
    wiring = wiring_of(request)
    moving, move = await _to_be_accepted(wiring, caller, recovery)
    patient = moving.patient
    message, words = read_message(wiring, caller.now, signed.typed_data, MoveAcceptance)
    if (message.patient, message.controller) != (patient.key, move.controller):
        raise ProblemError(problem("invalid-typed-data"))
    opened = await open_message(wiring, caller.standing, message, words)
    signature = from_hex(signed.signature)
    await must_be_signed(wiring, opened, move.controller, signature)
    if message.move_nonce != patient.move_nonce:
        raise ProblemError(problem("nonce-conflict"))
    call = wiring.contracts.patients.finish_move(patient.key, signature, message.deadline, words_hash(opened.words))
    await must_be_accepted(wiring, call)
    await wiring.relay(ACCEPT, opened.digest, call)
    return {"patient_key": to_hex(patient.key), "controller": to_hex(move.controller), "status": "submitted"}


@router.post("/api/recoveries/{recovery}/veto/typed-data")
async def prepare_veto(request: Request, caller: SignedIn, recovery: str) -> dict[str, Any]:
    """The veto as a document for the present controller to sign: until the move is finished, also after the delay."""
    wiring = wiring_of(request)
    moving, _move = await _to_be_vetoed(wiring, caller, recovery)
    veto_ = MoveVeto(moving.patient.key, moving.patient.move_nonce, UnixTime(caller.now + DEADLINE_S))
    document = await issue(wiring, caller.standing, veto_)
    return {"typed_data": document, "words": document["message"]["words"]}


@router.post("/api/recoveries/{recovery}/veto", status_code=202, openapi_extra=documented(SignedBody))
async def veto(
    request: Request, caller: SignedIn, recovery: str, signed: Annotated[SignedBody, Depends(body_of(SignedBody))]
) -> dict[str, Any]:
    """Relay the controller's veto. It can be sent as a plain transaction just as well."""
    wiring = wiring_of(request)
    moving, _move = await _to_be_vetoed(wiring, caller, recovery)
    patient = moving.patient
    message, words = read_message(wiring, caller.now, signed.typed_data, MoveVeto)
    if message.patient != patient.key:
        raise ProblemError(problem("invalid-typed-data"))
    opened = await open_message(wiring, caller.standing, message, words)
    signature = from_hex(signed.signature)
    await must_be_signed(wiring, opened, patient.controller, signature)
    if message.move_nonce != patient.move_nonce:
        raise ProblemError(problem("nonce-conflict"))
    call = wiring.contracts.patients.veto_move_by_signature(
        patient.key, signature, message.deadline, words_hash(opened.words)
    )
    await must_be_accepted(wiring, call)
    await wiring.relay(VETO, opened.digest, call)
    return {"patient_key": to_hex(patient.key), "status": "submitted"}


def _movable(patient: Patient | None) -> Patient:
    if patient is None or not is_movable(patient):
        raise ProblemError(problem("conflict"))
    return patient


def _new_signer(given: bytes, patient: Patient) -> Signer:
    """A new controller: whatever the contracts take as one, but the present one while they act."""
    signer = Signer(given)
    if not is_signer(signer):
        raise ProblemError(problem("invalid-request"))
    if signer == patient.controller and not patient.ward_until:
        raise ProblemError(problem("conflict"))
    return signer


async def _shown(request: Request, asked: RecoveryClaimed, patient: Patient) -> Signer:
    """The new controller, who has shown that the key is theirs. Raises 401, 403, 409, 422."""
    wiring = wiring_of(request)
    if (asked.typed_data is None) != (asked.signature is None):
        raise ProblemError(problem("invalid-request"))
    if asked.typed_data is None or asked.signature is None:
        session = await session_of(request)
        own = session.signer
        controller = _new_signer(own if asked.controller is None else from_hex(asked.controller), patient)
        if controller != own:
            raise ProblemError(problem("forbidden"))
        return controller
    standing, now = known_standing(wiring)
    message, words = read_message(wiring, now, asked.typed_data, MoveAcceptance)
    controller = _new_signer(message.controller, patient)
    if message.patient != patient.key or (asked.controller is not None and from_hex(asked.controller) != controller):
        raise ProblemError(problem("invalid-typed-data"))
    opened = await open_message(wiring, standing, message, words)
    await must_be_signed(wiring, opened, controller, from_hex(asked.signature))
    return controller


async def _to_be_accepted(wiring: Wiring, caller: Caller, given: str) -> tuple[Moving, Move]:
    """The pending move to the caller, ready. Raises 404 where none leads to them, 409 while its delay runs."""
    moving = await find(wiring, caller, given)
    move = None if moving is None else moving.move
    if moving is None or move is None or actor_of(move.controller) != caller.actor:
        raise ProblemError(problem("not-found"))
    if caller.now < move.ready_at:
        raise ProblemError(problem("conflict"))
    return moving, move


async def _to_be_vetoed(wiring: Wiring, caller: Caller, given: str) -> tuple[Moving, Move]:
    """The pending move away from the caller. Raises 404 for whoever does not control the patient, 409 where none is
    pending.
    """
    moving = await find(wiring, caller, given)
    if moving is None or moving.patient.actor != caller.actor:
        raise ProblemError(problem("not-found"))
    if moving.patient.capacity_of(caller.actor, caller.now) is Capacity.NONE:
        raise ProblemError(problem("not-found"))
    if moving.move is None:
        raise ProblemError(problem("conflict"))
    return moving, moving.move


def _recovery_id(text: str) -> bytes:
    identity = identifier(text)
    if identity is None:
        raise ProblemError(problem("not-found"))
    return identity
