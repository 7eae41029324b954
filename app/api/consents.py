"""Consents: made ready to sign, relayed when signed, listed with how far they have come, and taken back."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.consent_views import consent_view, consents_of
from app.api.hexadecimal import AddressText, WordText, from_hex, to_hex, word
from app.api.signed import DEADLINE_S, SignedBody, issue, must_be_accepted, must_be_signed, open_message, read_message
from app.api.wiring import Wiring, wiring_of
from app.api.wording import key_of
from app.core.basis import person
from app.core.consent import Patient
from app.core.consent_id import consent_id
from app.core.identifiers import Address, ConsentId, Grantee, PatientKey, Signer, StudyUid, UnixTime
from app.core.messages import ConsentOffer, Revocation
from app.core.problem import ProblemError, problem
from app.core.terms import MAX_STUDIES, Action, Capacity, Effect, Purpose, Role, Terms, Window
from app.core.typed_data import words_hash
from app.store.consents import GRANT, REVOKE, SignedMessage
from app.store.outbox import CallState

if TYPE_CHECKING:
    from collections.abc import Sequence

router = APIRouter(tags=["consents"])

_UidText = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
_LATEST = 1 << 40  # far beyond any consent, far below the 48 bits a time has on the chain


class NamedStudies(Strict):
    """A scope of named studies."""

    studies: Annotated[list[_UidText], Field(min_length=1, max_length=MAX_STUDIES)]


class ConsentRequest(Strict):
    """What to consent to. Times in Unix seconds; ``valid_from`` left out means now."""

    patient_key: WordText | None = None
    grantee: AddressText | WordText
    scope: Literal["all"] | NamedStudies
    actions: Annotated[list[Literal["search", "view", "retrieve", "share"]], Field(min_length=1, max_length=4)]
    purposes: Annotated[list[str], Field(min_length=1, max_length=16)]
    valid_from: Annotated[int, Field(ge=0, lt=_LATEST)] | None = None
    valid_until: Annotated[int, Field(gt=0, lt=_LATEST)]
    effect: Literal["permit", "deny"] = "permit"


@router.post("/api/consents/typed-data", openapi_extra=documented(ConsentRequest))
async def prepare(
    request: Request, caller: SignedIn, asked: Annotated[ConsentRequest, Depends(body_of(ConsentRequest))]
) -> dict[str, Any]:
    """The consent as a document for ``eth_signTypedData_v4``, and the words the patient reads."""
    wiring = wiring_of(request)
    patient = _own_patient(caller, asked.patient_key)
    terms = _terms(wiring, caller, patient, asked)
    offer = ConsentOffer(terms, UnixTime(caller.now + DEADLINE_S))
    document = await issue(wiring, caller.standing, offer)
    return {"typed_data": document, "consent_id": to_hex(_id(wiring, terms)), "words": document["message"]["words"]}


@router.post("/api/consents", status_code=202, openapi_extra=documented(SignedBody))
async def submit(
    request: Request, caller: SignedIn, signed: Annotated[SignedBody, Depends(body_of(SignedBody))]
) -> dict[str, Any]:
    """Relay a signed consent. The patient pays nothing; whoever holds the signed message could relay it just as
    well.
    """
    wiring = wiring_of(request)
    offer, words = read_message(wiring, caller.now, signed.typed_data, ConsentOffer)
    signer = _signer(caller, _known(caller, offer.terms.patient))
    opened = await open_message(wiring, caller.standing, offer, words)
    signature = from_hex(signed.signature)
    await must_be_signed(wiring, opened, signer, signature)
    identity = _id(wiring, offer.terms)
    call = wiring.contracts.consents.grant_by_signature(
        offer.terms, words_hash(opened.words), offer.deadline, signer, signature
    )
    earlier = await wiring.consents.grant(identity)
    if earlier is not None and earlier.call.state is not CallState.FAILED:
        raise ProblemError(problem("nonce-conflict"))
    await must_be_accepted(wiring, call)
    message = SignedMessage(identity, offer.terms.patient, json.dumps(signed.typed_data), signer, signature)
    await wiring.consents.submit_grant(message, wiring.relayed(GRANT, identity, call))
    wiring.wake_relay()
    return {"consent_id": to_hex(identity), "status": "submitted"}


@router.get("/api/consents")
async def listing(request: Request, caller: SignedIn, patient_key: str | None = None) -> dict[str, Any]:
    """The consents of the patients the caller acts for, and those that name the caller. Auditors name the patient."""
    wiring = wiring_of(request)
    patients: Sequence[PatientKey] = sorted(caller.standing.head.patients_of(caller.actor))
    if patient_key is not None:
        key = word(patient_key)
        if key is None:
            raise ProblemError(problem("invalid-parameter"))
        patients = [PatientKey(key)]
    found = [view for patient in patients for view in await consents_of(wiring, caller, patient)]
    return {"consents": found}


@router.get("/api/consents/{consent}")
async def one(request: Request, caller: SignedIn, consent: str) -> dict[str, Any]:
    """One consent the caller may know of, else 404."""
    wiring = wiring_of(request)
    identity = _path_id(consent)
    patient = await _patient_of(wiring, caller, identity)
    view = await consent_view(wiring, caller, patient, identity)
    if view is None:
        raise ProblemError(problem("not-found"))
    return view


@router.post("/api/consents/{consent}/revocation/typed-data")
async def prepare_revocation(request: Request, caller: SignedIn, consent: str) -> dict[str, Any]:
    """The revocation of that consent as a document to sign."""
    wiring = wiring_of(request)
    identity = _path_id(consent)
    patient = await _patient_of(wiring, caller, identity)
    if not caller.acts_for(patient):
        raise ProblemError(problem("not-found"))
    document = await issue(wiring, caller.standing, Revocation(patient, identity, UnixTime(caller.now + DEADLINE_S)))
    return {"typed_data": document, "words": document["message"]["words"]}


@router.post("/api/consents/{consent}/revocation", status_code=202, openapi_extra=documented(SignedBody))
async def revoke(
    request: Request, caller: SignedIn, consent: str, signed: Annotated[SignedBody, Depends(body_of(SignedBody))]
) -> dict[str, Any]:
    """Take a consent back: from the moment the signature is good nobody is let in on it here, before any block holds
    it.

    The chain is not asked first: this works while no node answers, for as long as the last standing counts (after that
    nobody is let in on anything), and the message goes out when a node does.
    """
    wiring = wiring_of(request)
    revocation, words = read_message(wiring, caller.now, signed.typed_data, Revocation)
    if revocation.consent != _path_id(consent):
        raise ProblemError(problem("invalid-typed-data"))
    signer = _signer(caller, _known(caller, revocation.patient))
    opened = await open_message(wiring, caller.standing, revocation, words)
    signature = from_hex(signed.signature)
    await must_be_signed(wiring, opened, signer, signature)
    call = wiring.contracts.consents.revoke_by_signature(
        revocation.patient, revocation.consent, words_hash(opened.words), revocation.deadline, signer, signature
    )
    earlier = await wiring.consents.revocation(revocation.patient, revocation.consent)
    if _revoked(caller, revocation) or (earlier is not None and earlier.call.state is not CallState.FAILED):
        raise ProblemError(problem("nonce-conflict"))
    message = SignedMessage(revocation.consent, revocation.patient, json.dumps(signed.typed_data), signer, signature)
    await wiring.consents.submit_revocation(
        message, wiring.relayed(REVOKE, revocation.patient + revocation.consent, call)
    )
    wiring.wake_relay()
    return {"consent_id": to_hex(revocation.consent), "status": "revoked"}


def _terms(wiring: Wiring, caller: Caller, patient: Patient, asked: ConsentRequest) -> Terms:
    start = caller.now if asked.valid_from is None else UnixTime(asked.valid_from)
    end = UnixTime(asked.valid_until)
    if end <= max(start, caller.now) or not set(asked.purposes) <= set(Purpose.__members__):
        raise ProblemError(problem("invalid-request"))
    actions = Action(0)
    for name in asked.actions:
        actions |= Action[name.upper()]
    return Terms(
        patient=patient.key,
        grantee=_grantee(from_hex(asked.grantee)),
        effect=Effect[asked.effect.upper()],
        actions=actions,
        purposes=sum({1 << Purpose[name] for name in asked.purposes}),
        window=Window(start, end),
        studies=_studies(wiring, caller, patient.key, asked),
        epoch=patient.epoch,
        consent_nonce=wiring.random_bytes(32),
    )


def _studies(wiring: Wiring, caller: Caller, patient: PatientKey, asked: ConsentRequest) -> tuple[Any, ...]:
    if asked.scope == "all":
        return ()
    enrolled = wiring.patients.by_key(patient)
    if enrolled is None or not caller.may_read_of(patient):  # the words will describe the studies
        raise ProblemError(problem("conflict"))
    return tuple(sorted({key_of(wiring, enrolled, StudyUid(uid)) for uid in asked.scope.studies}))


def _grantee(given: bytes) -> Grantee:
    grantee = person(Address(given)) if len(given) == 20 else Grantee(given)
    if not any(grantee):
        raise ProblemError(problem("invalid-request"))
    return grantee


def _id(wiring: Wiring, terms: Terms) -> ConsentId:
    return consent_id(terms, wiring.place.chain_id, wiring.deployment.address("ConsentRegistry"))


def _path_id(text: str) -> ConsentId:
    identity = word(text)
    if identity is None:
        raise ProblemError(problem("not-found"))
    return ConsentId(identity)


def _own_patient(caller: Caller, given: str | None) -> Patient:
    """The patient the caller acts for: the one named, or the only one."""
    own = caller.own_patients()
    keys = own if given is None else [key for key in own if key == from_hex(given)]
    if len(keys) != 1:
        raise ProblemError(problem("forbidden" if given is not None or not own else "invalid-request"))
    return _known(caller, keys[0])


def _known(caller: Caller, key: PatientKey) -> Patient:
    patient = caller.standing.head.patient(key)
    if patient is None or not patient.claimed:
        raise ProblemError(problem("forbidden"))
    return patient


def _signer(caller: Caller, patient: Patient) -> Signer:
    """The signer of record for what the caller may be to the patient. Raises 403 when that is nothing.

    Only the patient's controller and guardian hand messages in here: so nobody learns from the answers whether a
    patient is enrolled.
    """
    capacity = patient.capacity_of(caller.actor, caller.now)
    if capacity is Capacity.NONE:
        raise ProblemError(problem("forbidden"))
    if patient.actor == caller.actor:
        return patient.controller
    if patient.guardian is None:
        raise ProblemError(problem("forbidden"))
    return patient.guardian.signer


async def _patient_of(wiring: Wiring, caller: Caller, identity: ConsentId) -> PatientKey:
    """The patient whose consent it is, among those the caller may know of; 404 otherwise."""
    for key in caller.standing.head.patients_of(caller.actor):
        patient = caller.standing.head.patient(key)
        if patient is not None and patient.consent(identity) is not None:
            return key
    submitted = await wiring.consents.grant(identity)
    if submitted is None or not (caller.acts_for(submitted.message.patient) or caller.holds(Role.AUDITOR)):
        raise ProblemError(problem("not-found"))
    return submitted.message.patient


def _revoked(caller: Caller, revocation: Revocation) -> bool:
    patient = caller.standing.head.patient(revocation.patient)
    return patient is not None and revocation.consent in patient.revoked
