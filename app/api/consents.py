"""Consents: made ready to sign, relayed when signed, listed with how far they have come, and taken back."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response

from app.api.body import body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.consent_terms import ConsentRequest, given, known_patient, terms_of
from app.api.consent_views import consent_view, consents_of
from app.api.fhir.bundle import bundle
from app.api.fhir.consent import consent_resource
from app.api.hexadecimal import from_hex, to_hex, word
from app.api.reports.accesses import MOST_ROWS
from app.api.reports.consents import consents_report
from app.api.reports.occasion import Occasion
from app.api.reports.typesetting import document
from app.api.reports.words import Language
from app.api.signed import DEADLINE_S, SignedBody, issue, must_be_accepted, must_be_signed, open_message, read_message
from app.api.wiring import Wiring, wiring_of
from app.core.consent.consent_id import consent_id
from app.core.consent.state import Patient
from app.core.consent.terms import MAX_STUDIES, NO_PARENT, Capacity, Role, Terms
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import ConsentId, PatientKey, Signer, UnixTime
from app.core.signing.messages import ConsentOffer, ConsentOffers, Revocation
from app.core.signing.typed_data import words_hash
from app.store.consents import GRANT, REVOKE, SignedMessage
from app.store.outbox import CallState

if TYPE_CHECKING:
    from collections.abc import Sequence

router = APIRouter(tags=["consents"])


@router.post("/api/consents/typed-data", openapi_extra=documented(ConsentRequest))
async def prepare(
    request: Request, caller: SignedIn, asked: Annotated[ConsentRequest, Depends(body_of(ConsentRequest))]
) -> dict[str, Any]:
    """The consent as a document for ``eth_signTypedData_v4``, and the words the patient reads."""
    wiring = wiring_of(request)
    grants = tuple(terms_of(wiring, caller, one) for one in (asked, *asked.also))
    if sum(len(terms.studies) for terms in grants) > MAX_STUDIES:
        raise ProblemError(problem("invalid-request"))
    deadline = UnixTime(caller.now + DEADLINE_S)
    offer = ConsentOffers(grants, deadline) if asked.also else ConsentOffer(grants[0], deadline)
    document = await issue(wiring, caller.standing, offer, speaker=caller.actor)
    ids = [to_hex(_id(wiring, terms)) for terms in grants]
    return {"typed_data": document, "consent_id": ids[0], "consent_ids": ids, "words": document["message"]["words"]}


@router.post("/api/consents", status_code=202, openapi_extra=documented(SignedBody))
async def submit(
    request: Request, caller: SignedIn, signed: Annotated[SignedBody, Depends(body_of(SignedBody))]
) -> dict[str, Any]:
    """Relay a signed consent, or several by one signature. The patient pays nothing; whoever holds the signed message
    could relay it just as well.
    """
    wiring = wiring_of(request)
    offer, words = _read_offer(wiring, caller, signed.typed_data)
    grants = offer.grants if isinstance(offer, ConsentOffers) else (offer.terms,)
    signers = {_signer_of(caller, terms) for terms in grants}
    if len(signers) != 1:
        raise ProblemError(problem("forbidden"))
    signer = signers.pop()
    opened = await open_message(wiring, caller.standing, offer, words, speaker=caller.actor)
    signature = from_hex(signed.signature)
    await must_be_signed(wiring, opened, signer, signature)
    consents, hashed = wiring.contracts.consents, words_hash(opened.words)
    if isinstance(offer, ConsentOffers):
        call = consents.grant_all_by_signature(grants, hashed, offer.deadline, signer, signature)
    else:
        call = consents.grant_by_signature(offer.terms, hashed, offer.deadline, signer, signature)
    identities = [_id(wiring, terms) for terms in grants]
    for identity in identities:
        earlier = await wiring.consents.grant(identity)
        if earlier is not None and earlier.call.state is not CallState.FAILED:
            raise ProblemError(problem("nonce-conflict"))
    await must_be_accepted(wiring, call)
    document = json.dumps(signed.typed_data)
    messages = [
        SignedMessage(identity, terms.patient, document, signer, signature)
        for identity, terms in zip(identities, grants, strict=True)
    ]
    await wiring.consents.submit_grants(messages, wiring.relayed(GRANT, identities[0], call))
    wiring.wake_relay()
    ids = [to_hex(identity) for identity in identities]
    return {"consent_id": ids[0], "consent_ids": ids, "status": "submitted"}


@router.get("/api/consents", response_model=None)
async def listing(
    request: Request,
    caller: SignedIn,
    patient_key: str | None = None,
    format: Literal["json", "fhir", "pdf"] = "json",  # noqa: A002 - the parameter's name in the address
    language: Language = "en",
) -> dict[str, Any] | Response:
    """The consents of the patients the caller acts for, and those that name the caller. Auditors name the patient.

    ``format``: ``json``; ``fhir`` for Consents of FHIR R4; ``pdf`` for a document in ``language``.
    """
    wiring = wiring_of(request)
    patients: Sequence[PatientKey] = sorted(caller.standing.head.patients_of(caller.actor))
    patient = None
    if patient_key is not None:
        key = word(patient_key)
        if key is None:
            raise ProblemError(problem("invalid-parameter"))
        patient = PatientKey(key)
        patients = [patient]
    found = [view for one_patient in patients for view in await consents_of(wiring, caller, one_patient)]
    origin = wiring.place.origin_url
    if format == "fhir":
        asked = {"format": "fhir"} | ({} if patient is None else {"patient_key": to_hex(patient)})
        return bundle([consent_resource(view) for view in found], f"{origin}/api/consents", asked)
    if format == "pdf":
        if len(found) > MOST_ROWS:
            raise ProblemError(problem("invalid-parameter"))
        report = consents_report(found, Occasion(language, origin, caller.now, patient))
        return document(await wiring.typesetter.pdf(report), "who-may-look.pdf")
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
    signer = _signer(caller, known_patient(caller, revocation.patient))
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


def _id(wiring: Wiring, terms: Terms) -> ConsentId:
    return consent_id(terms, wiring.place.chain_id, wiring.deployment.address("ConsentRegistry"))


def _path_id(text: str) -> ConsentId:
    identity = word(text)
    if identity is None:
        raise ProblemError(problem("not-found"))
    return ConsentId(identity)


def _read_offer(wiring: Wiring, caller: Caller, document: dict[str, Any]) -> tuple[ConsentOffer | ConsentOffers, str]:
    if document.get("primaryType") == "Consents":
        return read_message(wiring, caller.now, document, ConsentOffers)
    return read_message(wiring, caller.now, document, ConsentOffer)


def _signer_of(caller: Caller, terms: Terms) -> Signer:
    """Who must have signed the grant: whoever acts for the patient, or who was given what is shared on."""
    if terms.parent == NO_PARENT:
        return _signer(caller, known_patient(caller, terms.patient))
    given(caller, terms.parent)
    return caller.signer


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
    if submitted is None or not (
        caller.acts_for(submitted.message.patient)
        or submitted.message.signer == caller.signer
        or caller.holds(Role.AUDITOR)
    ):
        raise ProblemError(problem("not-found"))
    return submitted.message.patient


def _revoked(caller: Caller, revocation: Revocation) -> bool:
    patient = caller.standing.head.patient(revocation.patient)
    return patient is not None and revocation.consent in patient.revoked
