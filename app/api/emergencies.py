"""Break-glass: a holder of the emergency role says why, signs it, and is let in at once; somebody else reviews it.

The gateway judges on the chain's state or, while the chain is away, on what it knew of it up to 15 minutes ago (DESIGN,
decision 3). What was signed here counts here from the moment it is stored.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import SignedIn, session_of, standing_for
from app.api.emergency_views import Written, emergency_view, emergency_views, one_line, path_id
from app.api.enrolments import enrolled
from app.api.hexadecimal import SignatureText, WordText, from_hex, to_hex
from app.api.signed import document_of, must_be_accepted, must_be_signed, opened_with
from app.api.signin import Entry, enter, roles
from app.api.wiring import Wiring, wiring_of
from app.chain.contracts import CallData
from app.core.consent.basis import ADDRESS_BYTES
from app.core.consent.emergencies import PURPOSE, Opening, emergency_id, written_hash
from app.core.consent.mirror import Standing
from app.core.consent.policy import holds_role
from app.core.consent.terms import Role, Window
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address, EmergencyId, Subject, UnixTime
from app.core.signing.messages import EmergencyAccess
from app.core.signing.typed_data import Refusal, parse, words_hash
from app.core.signing.words import Names, words_for
from app.store.emergencies import OPEN, QuotaReachedError, SignedOpening
from app.store.patients import EnrolledPatient
from app.store.sessions import Session

router = APIRouter(tags=["emergency access"])

_SHORTEST_REASON = 10
# From being issued to being handed in: a hospital in a hurry reads quickly.
_FRESH_S = 300
_SALT_BYTES = 32
_Id = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f\\]*$")]


class EmergencyAsked(Strict):
    """Whose images, and why; ``minutes``: for how long, within what the contract allows."""

    patient_id: Annotated[_Id, Field(min_length=1)]
    issuer: _Id = ""
    reason: Annotated[Written, Field(min_length=_SHORTEST_REASON)]
    minutes: Annotated[int, Field(ge=5, le=1440)] | None = None


class EmergencySigned(Strict):
    """The same again, with the document as it was issued and the wallet's signature over it.

    ``cookie``: the portal's session becomes one for emergency treatment. Without it a token for one is in the answer.
    """

    patient_id: Annotated[_Id, Field(min_length=1)]
    issuer: _Id = ""
    reason: Annotated[Written, Field(min_length=_SHORTEST_REASON)]
    reason_salt: WordText
    typed_data: dict[str, Any]
    signature: SignatureText
    cookie: bool = False


@dataclass(frozen=True, slots=True)
class Rescuer:
    """A holder of the emergency role at one moment. ``snapshot_age_s``: None, or how old the roles are."""

    session: Session
    standing: Standing
    now: UnixTime
    snapshot_age_s: int | None

    @property
    def actor(self) -> Address:
        return self.session.actor


async def rescuer_of(request: Request) -> Rescuer:
    """The caller, who holds EMERGENCY. Raises 400, 401, 403, or 503 where not even a young snapshot is there."""
    session = await session_of(request)
    standing, now, age_s = standing_for(wiring_of(request), PURPOSE)
    if not holds_role(standing, Role.EMERGENCY, session.actor, now):
        raise ProblemError(problem("forbidden"))
    return Rescuer(session, standing, now, age_s)


_Rescuing = Annotated[Rescuer, Depends(rescuer_of)]


@router.post("/api/emergency-access/typed-data", openapi_extra=documented(EmergencyAsked))
async def prepare(
    request: Request, rescuer: _Rescuing, asked: Annotated[EmergencyAsked, Depends(body_of(EmergencyAsked))]
) -> dict[str, Any]:
    """The emergency as a document to sign. The words hold the reason; the chain gets its hash alone.

    The answer is the same whether or not anybody of that name is enrolled or in the archive.
    """
    wiring = wiring_of(request)
    _must_have_quota(wiring, rescuer)
    subject = _subject(asked.patient_id, asked.issuer)
    reason = one_line(asked.reason)
    patient = await enrolled(wiring, subject)
    reason_salt = wiring.random_bytes(_SALT_BYTES)
    longest = wiring.emergency_rules.longest_s
    lasts = longest if asked.minutes is None else min(60 * asked.minutes, longest)
    window = Window(rescuer.now, UnixTime(rescuer.now + lasts))
    opening = Opening(patient.key, written_hash(reason_salt, reason), window, wiring.random_bytes(_SALT_BYTES))
    message = EmergencyAccess(opening)
    document = document_of(wiring, message, words_for(message, _names(subject, opening, reason)))
    return {
        "typed_data": document,
        "words": document["message"]["words"],
        "reason_salt": to_hex(reason_salt),
        "emergency_id": to_hex(_id(wiring, opening, rescuer.actor)),
        "valid_until": window.end,
    }


@router.post("/api/emergency-access", status_code=201, openapi_extra=documented(EmergencySigned))
async def open_emergency(
    request: Request,
    response: Response,
    rescuer: _Rescuing,
    signed: Annotated[EmergencySigned, Depends(body_of(EmergencySigned))],
) -> dict[str, Any]:
    """Break the glass: from now on, for the time signed, this person may see this patient's images."""
    wiring = wiring_of(request)
    subject, reason = _subject(signed.patient_id, signed.issuer), one_line(signed.reason)
    parsed = parse(signed.typed_data, wiring.domains)
    if isinstance(parsed, Refusal) or not isinstance(parsed.message, EmergencyAccess):
        raise ProblemError(problem("invalid-typed-data"))
    opening, reason_salt = parsed.message.opening, from_hex(signed.reason_salt)
    patient = wiring.patients.by_subject(subject)
    if patient is None or not _is_what_was_issued(wiring, rescuer, patient, opening, reason_salt, reason):
        raise ProblemError(problem("invalid-typed-data"))
    opened = opened_with(wiring, parsed, words_for(parsed.message, _names(subject, opening, reason)))
    signer, signature = rescuer.session.signer, from_hex(signed.signature)
    await must_be_signed(wiring, opened, signer, signature)
    call = wiring.contracts.emergencies.open_by_signature(opening, words_hash(opened.words), signer, signature)
    enrolment = _enrolment(wiring, rescuer, patient)
    if rescuer.snapshot_age_s is None and enrolment is None:
        await must_be_accepted(wiring, call)
    identity = _id(wiring, opening, rescuer.actor)
    stored = SignedOpening(
        emergency_id=identity,
        patient=patient.key,
        actor=rescuer.actor,
        reason=reason,
        reason_salt=reason_salt,
        window=opening.window,
        signer=signer,
        signature=signature,
        snapshot_age_s=rescuer.snapshot_age_s,
    )
    await _store(wiring, rescuer, stored, call, enrolment)
    answer = {"emergency_id": to_hex(identity), "valid_until": opening.window.end, "status": "open"}
    entry = Entry(signer, PURPOSE, roles(rescuer.standing, rescuer.actor, rescuer.now))
    return answer | await enter(wiring, response, entry, cookie=signed.cookie, until=opening.window.end)


@router.get("/api/emergency-access")
async def listing(request: Request, caller: SignedIn) -> dict[str, Any]:
    """Every emergency for auditors; for everybody else those of the patients they act for, and their own."""
    return {"emergencies": await emergency_views(wiring_of(request), caller)}


@router.get("/api/emergency-access/{emergency}")
async def one(request: Request, caller: SignedIn, emergency: str) -> dict[str, Any]:
    """One emergency that the caller may know of, with what was looked at under it; else 404."""
    identity = path_id(emergency)
    view = await emergency_view(wiring_of(request), caller, identity)
    if view is None:
        raise ProblemError(problem("not-found"))
    return view


def _subject(patient_id: str, issuer: str) -> Subject:
    subject = Subject.typed(patient_id, issuer)
    if not subject.patient_id:
        raise ProblemError(problem("invalid-request"))
    return subject


def _names(subject: Subject, opening: Opening, reason: str) -> Names:
    """The patient as the desk and the archive call them: the words are the caller's and stay here."""
    called = subject.patient_id + (f" ({subject.issuer})" if subject.issuer else "")
    return Names(patient=called, written={opening.reason_hash: reason})


def _id(wiring: Wiring, opening: Opening, actor: Address) -> EmergencyId:
    return emergency_id(opening, actor, wiring.place.chain_id, wiring.deployment.address("EmergencyAccess"))


def _is_what_was_issued(
    wiring: Wiring, rescuer: Rescuer, patient: EnrolledPatient, opening: Opening, reason_salt: bytes, reason: str
) -> bool:
    """Whether it is about this patient and reason, was issued a moment ago, and lasts no longer than it may."""
    window = opening.window
    return (
        opening.patient == patient.key
        and opening.reason_hash == written_hash(reason_salt, reason)
        and rescuer.now - _FRESH_S <= window.start <= rescuer.now
        and rescuer.now < window.end <= window.start + wiring.emergency_rules.longest_s
    )


def _must_have_quota(wiring: Wiring, rescuer: Rescuer) -> None:
    if rescuer.standing.head.openings_on(rescuer.actor, rescuer.now) >= wiring.emergency_rules.quota:
        raise ProblemError(problem("emergency-quota"))


def _enrolment(wiring: Wiring, rescuer: Rescuer, patient: EnrolledPatient) -> CallData | None:
    """What puts the patient's key on the chain, where nobody has: under it the accesses are recorded.

    Its claim key is nobody's; the desk enrols again, with another, when the patient comes.
    """
    if rescuer.standing.head.patient(patient.key) is not None:
        return None
    until = UnixTime(rescuer.now + wiring.claim_lifetime_s)
    return wiring.contracts.patients.enrol(patient.key, Address(wiring.random_bytes(ADDRESS_BYTES)), until)


async def _store(
    wiring: Wiring, rescuer: Rescuer, opening: SignedOpening, call: CallData, enrolment: CallData | None
) -> None:
    state = rescuer.standing.head
    enrolling = None if enrolment is None else wiring.relayed("enrol", wiring.random_bytes(32), enrolment)
    try:
        await wiring.emergencies.open(
            opening,
            wiring.relayed(OPEN, opening.emergency_id, call),
            enrolling,
            quota=wiring.emergency_rules.quota,
            landed=state.openings_on(rescuer.actor, opening.window.start),
        )
    except QuotaReachedError:
        raise ProblemError(problem("emergency-quota")) from None
    wiring.wake_relay()
