"""Consents as the API shows them: the terms, and how far each has come."""

import json
from typing import Any

from app.api.caller import Caller
from app.api.consent_terms import day_text
from app.api.hexadecimal import checksum, to_hex
from app.api.wiring import Wiring
from app.api.wording import grantee_name, studies_of
from app.core.consent.basis import person, person_of
from app.core.consent.consent_id import consent_id
from app.core.consent.grants import Consent
from app.core.consent.state import Revoked
from app.core.consent.terms import NO_PARENT, Action, Capacity, Effect, Purpose, Role, Terms, Window
from app.core.identifiers import ConsentId, PatientKey, StudyKey
from app.core.signing.messages import ConsentOffer, ConsentOffers
from app.core.signing.typed_data import Parsed, parse
from app.pacs.origin import OriginInvalidError, OriginUnavailableError
from app.store.consents import Submitted
from app.store.outbox import CallState

_CAPACITIES = {Capacity.CONTROLLER: "self", Capacity.GUARDIAN: "guardian", Capacity.GRANTEE: "grantee"}


async def consents_of(wiring: Wiring, caller: Caller, patient: PatientKey) -> list[dict[str, Any]]:
    """Every consent of the patient that the caller may know of, as granted on the chain or submitted here."""
    known = caller.standing.head.patient(patient)
    ids: dict[ConsentId, None] = {}
    if known is not None:
        ids.update(dict.fromkeys(consent.id for consent in known.live_consents()))
        ids.update(dict.fromkeys(known.revoked))
    messages = {one.message.consent_id: one for one in await wiring.consents.grants_of([patient])}
    ids.update(dict.fromkeys(messages))
    labels = await _study_labels(wiring, caller, patient)
    views = [await _view(wiring, caller, patient, identity, messages.get(identity), labels) for identity in ids]
    return [view for view in views if view is not None]


async def consent_view(
    wiring: Wiring, caller: Caller, patient: PatientKey, identity: ConsentId
) -> dict[str, Any] | None:
    """One consent, or None where there is none or the caller may not know of it."""
    message = await wiring.consents.grant(identity)
    labels = await _study_labels(wiring, caller, patient)
    return await _view(wiring, caller, patient, identity, message, labels)


async def _view(
    wiring: Wiring,
    caller: Caller,
    patient: PatientKey,
    identity: ConsentId,
    message: Submitted | None,
    labels: dict[StudyKey, str],
) -> dict[str, Any] | None:
    terms = _mined_terms(caller, patient, identity) or _submitted_terms(wiring, message)
    if terms is None or not _may_know(caller, patient, terms):
        return None
    grantee = person_of(terms.grantee)
    status = _status(wiring, caller, patient, identity, terms.window, message)
    return {
        "consent_id": to_hex(identity),
        "patient_key": to_hex(patient),
        "grantee": to_hex(terms.grantee) if grantee is None else checksum(grantee),
        "grantee_name": await grantee_name(wiring, caller.standing, terms.grantee),
        "effect": terms.effect.name.lower(),
        "actions": [action.name.lower() for action in Action if action in terms.actions and action.name],
        "purposes": [purpose.name for purpose in Purpose if terms.purposes & 1 << purpose],
        "scope": _scope(terms, labels),
        "share_depth": terms.share_depth,
        "parent": None if terms.parent == NO_PARENT else to_hex(terms.parent),
        "valid_from": terms.window.start,
        "valid_until": terms.window.end,
        "status": status,
        "final": _is_final(caller, patient, identity, status),
        **_capacities(caller, patient, identity),
        "words": _words(message) if _knows_studies(caller, patient) else None,
        "tx_hash": None if message is None or message.call.mined_tx is None else to_hex(message.call.mined_tx),
    }


def _status(
    wiring: Wiring,
    caller: Caller,
    patient: PatientKey,
    identity: ConsentId,
    window: Window,
    message: Submitted | None,
) -> str:
    """Submitted → mined → active, or revoked, expired, failed."""
    at_head = caller.standing.head.patient(patient)
    mined = None if at_head is None else at_head.consent(identity)
    if isinstance(mined, Revoked) or (patient, identity) in wiring.consents.revoked_here:
        return "revoked"
    if mined is None and message is not None and message.call.state is CallState.FAILED:
        return "failed"
    if window.end <= caller.now:
        return "expired"
    if mined is None:
        return "submitted"
    final = caller.standing.final.patient(patient)
    return "active" if final is not None and final.consent(identity) is not None else "mined"


def _capacities(caller: Caller, patient: PatientKey, identity: ConsentId) -> dict[str, str | None]:
    """In what capacity it was granted and taken back, as the chain says; None as long as it does not."""
    known = caller.standing.head.patient(patient)
    found = None if known is None else known.consent(identity)
    granted, revoked = (found.consent, found) if isinstance(found, Revoked) else (found, None)
    return {
        "granted_as": None if granted is None else _CAPACITIES[granted.capacity],
        "revoked_as": None if revoked is None else _CAPACITIES[revoked.capacity],
    }


def _is_final(caller: Caller, patient: PatientKey, identity: ConsentId, status: str) -> bool:
    """Whether the chain says for good what ``status`` says: that it is granted, or that it is taken back."""
    known = caller.standing.final.patient(patient)
    consent = None if known is None else known.consent(identity)
    return consent is not None and isinstance(consent, Revoked) == (status == "revoked")


def _mined_terms(caller: Caller, patient: PatientKey, identity: ConsentId) -> Terms | None:
    known = caller.standing.head.patient(patient)
    consent = None if known is None else known.consent(identity)
    if isinstance(consent, Revoked):
        consent = consent.consent
    return None if consent is None else _terms(consent)


def _terms(consent: Consent) -> Terms:
    return Terms(
        patient=consent.patient,
        grantee=consent.grantee,
        effect=Effect(consent.effect),
        actions=consent.actions,
        purposes=consent.purposes,
        window=consent.window,
        studies=consent.studies,
        epoch=consent.epoch,
        consent_nonce=b"",
        dates=consent.dates,
        parent=NO_PARENT if consent.line is None else consent.line.parent,
        share_depth=consent.share_depth,
    )


def _scope(terms: Terms, labels: dict[StudyKey, str]) -> str | dict[str, Any]:
    if not terms.studies and not terms.dates.bounded:
        return "all"
    scope: dict[str, Any] = {}
    if terms.studies:
        scope["studies"] = [labels.get(key, to_hex(key)) for key in terms.studies]
    if terms.dates.bounded:
        scope |= {"from_date": day_text(terms.dates.first), "to_date": day_text(terms.dates.last)}
    return scope


def _submitted_terms(wiring: Wiring, message: Submitted | None) -> Terms | None:
    document = _document(message)
    parsed = None if document is None else parse(document, wiring.domains)
    if message is None or not isinstance(parsed, Parsed):
        return None
    if isinstance(parsed.message, ConsentOffer):
        return parsed.message.terms
    if isinstance(parsed.message, ConsentOffers):
        contract = wiring.deployment.address("ConsentRegistry")
        named = {consent_id(terms, wiring.place.chain_id, contract): terms for terms in parsed.message.grants}
        return named.get(message.message.consent_id)
    return None


def _words(message: Submitted | None) -> str | None:
    document = _document(message)
    return None if document is None else document["message"]["words"]


def _document(message: Submitted | None) -> Any:  # noqa: ANN401 - the JSON that was signed
    """What was signed, or None where it was not handed in here or its patient has been erased."""
    return None if message is None or not message.message.typed_data else json.loads(message.message.typed_data)


def _may_know(caller: Caller, patient: PatientKey, terms: Terms) -> bool:
    """Those who act for the patient, auditors, and whom a permit names. A denial is nothing to whom it denies."""
    if caller.acts_for(patient) or caller.holds(Role.AUDITOR):
        return True
    if terms.parent != NO_PARENT and _was_given(caller, patient, terms.parent):
        return True  # their own sharing on
    return terms.effect is Effect.PERMIT and terms.grantee in caller.standing.head.named_as(caller.actor, caller.now)


def _was_given(caller: Caller, patient: PatientKey, consent: ConsentId) -> bool:
    terms = _mined_terms(caller, patient, consent)
    return terms is not None and terms.grantee == person(caller.actor)


def _knows_studies(caller: Caller, patient: PatientKey) -> bool:
    """Who may read the words: they describe studies, whether or not the grantee can find those, now or ever."""
    return caller.may_read_of(patient) or caller.holds(Role.AUDITOR)


async def _study_labels(wiring: Wiring, caller: Caller, patient: PatientKey) -> dict[StudyKey, str]:
    """StudyInstanceUIDs behind the salted keys, for those who act for the patient.

    None while the archive does not answer: consents are listed, and taken back, all the same.
    """
    enrolled = wiring.patients.by_key(patient)
    if enrolled is None or not caller.may_read_of(patient):
        return {}
    try:
        return {study.key: study.uid for study in await studies_of(wiring, enrolled)}
    except (OriginUnavailableError, OriginInvalidError):
        return {}
