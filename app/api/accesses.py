"""Who looked: for the patient (their own), the actor (their own) and the auditor (all), with the proof of each."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from app.api.caller import Caller, SignedIn
from app.api.fhir.audit_event import audit_event
from app.api.fhir.bundle import bundle
from app.api.hexadecimal import checksum, identifier, to_hex, word
from app.api.reports.accesses import MOST_ROWS, accesses_report
from app.api.reports.occasion import Occasion
from app.api.reports.typesetting import document
from app.api.reports.words import Language
from app.api.wiring import Wiring, wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import GUARDIAN, SELF, UPLOADER, person
from app.core.consent.mirror import Standing
from app.core.consent.terms import Deed, Modification, Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import AccessRecordId, Address, PatientKey
from app.store.accesses import LARGEST_PAGE, Access, Page

router = APIRouter(tags=["accesses"])

# A cursor is a row's number, and those have 63 bits.
_Cursor = Annotated[int | None, Query(ge=0, lt=1 << 63)]
_PAGE = 100
_NO_CONSENT = {SELF: "self", GUARDIAN: "guardian", UPLOADER: "uploader"}
_MODIFIED = {Modification.STORE: "stored"}


class _Asked(BaseModel):
    """What ``GET /api/accesses`` can be asked."""

    patient_key: str | None = None
    limit: int | None = None
    cursor: _Cursor = None
    format: Literal["json", "fhir", "pdf"] = "json"
    language: Language = "en"

    def query(self) -> dict[str, str]:
        """The query that asks this again."""
        return {name: str(value) for name, value in self.model_dump(exclude_defaults=True).items()}


@router.get("/api/accesses", response_model=None)
async def listing(request: Request, caller: SignedIn, asked: Annotated[_Asked, Query()]) -> dict[str, Any] | Response:
    """The newest first. ``cursor``: what the page before gave as ``next``.

    Without ``patient_key``: everything for auditors; for everybody else who looked at the patients they act for, and
    what they looked at themselves. ``format``: ``json``; ``fhir`` for IHE BALP AuditEvents (FHIR R4); ``pdf`` for a
    document of up to 2,000 accesses in ``language``.
    """
    wiring = wiring_of(request)
    limit = (MOST_ROWS if asked.format == "pdf" else _PAGE) if asked.limit is None else asked.limit
    if not 1 <= limit <= (MOST_ROWS if asked.format == "pdf" else LARGEST_PAGE):
        raise ProblemError(problem("invalid-parameter"))
    own = [key for key in caller.own_patients() if caller.may_read_of(key)]
    patient = None if asked.patient_key is None else _patient(caller, own, asked.patient_key)
    page = await _page(wiring, caller, own, patient, limit, asked.cursor)
    if asked.format == "json":
        views = [await _view(wiring, caller.standing, access) for access in page.accesses]
        return {"accesses": views, "next": page.cursor}
    names = await _names(wiring, caller.standing, page)
    if asked.format == "fhir":
        chain_id, origin = wiring.place.chain_id, wiring.place.origin_url
        events = [audit_event(access, names[access.actor], origin, chain_id) for access in page.accesses]
        return bundle(events, f"{origin}/api/accesses", asked.query(), page.cursor)
    occasion = Occasion(asked.language, wiring.place.origin_url, caller.now, patient)
    report = accesses_report(page.accesses, page.cursor, names, caller.standing, occasion)
    return document(await wiring.typesetter.pdf(report), "who-looked.pdf")


@router.get("/api/accesses/export")
async def export(request: Request, caller: SignedIn, limit: int = 100, cursor: _Cursor = None) -> dict[str, Any]:
    """What opens every commitment, for auditors: canonical bytes and salt, the newest first."""
    wiring = wiring_of(request)
    caller.must_hold(Role.AUDITOR)
    if not 1 <= limit <= LARGEST_PAGE:
        raise ProblemError(problem("invalid-parameter"))
    page = await wiring.accesses.all(limit, cursor)
    # An erased patient's records have nothing left to open them with.
    records = [{"record": to_hex(one.body), "salt": to_hex(one.salt)} for one in page.accesses if one.body]
    return {"records": records, "next": page.cursor}


@router.get("/api/accesses/{record_id}/proof")
async def proof(request: Request, caller: SignedIn, record_id: str) -> dict[str, Any]:
    """What opens the commitment on the chain, and where it stands. 404 until the record is on the chain."""
    wiring = wiring_of(request)
    access = await _known(wiring, caller, record_id)
    if access.on_chain is None:
        raise ProblemError(problem("not-found"))
    return {
        "id": access.record_id.hex(),
        "chain_id": wiring.place.chain_id,
        "contract": checksum(wiring.deployment.address("AccessLog")),
        "seq": access.on_chain.seq,
        "tx_hash": to_hex(access.on_chain.tx_hash),
        "block": {"number": access.on_chain.block.number, "hash": to_hex(access.on_chain.block.hash)},
        "final": access.on_chain.final,
        "basis": to_hex(access.basis),
        "accessor": checksum(access.actor),
        "patient_key": to_hex(access.patient),
        "decision_block": {"number": access.decided_at.number, "hash": to_hex(access.decided_at.hash)},
        "commitment": to_hex(access.commitment),
        "record": to_hex(access.body),
        "salt": to_hex(access.salt),
    }


def _patient(caller: Caller, own: list[PatientKey], text: str) -> PatientKey:
    """The patient that is asked about. Raises 400, or 404 for one that the caller may not ask about."""
    key = word(text)
    if key is None:
        raise ProblemError(problem("invalid-parameter"))
    if key not in own and not caller.holds(Role.AUDITOR):
        raise ProblemError(problem("not-found"))
    return PatientKey(key)


async def _page(
    wiring: Wiring, caller: Caller, own: list[PatientKey], patient: PatientKey | None, limit: int, cursor: int | None
) -> Page:
    """So many accesses that the caller may know of, however many the store gives at once."""
    found: list[Access] = []
    while True:
        some = min(limit - len(found), LARGEST_PAGE)
        if patient is not None:
            page = await wiring.accesses.of_patients([patient], some, cursor)
        elif caller.holds(Role.AUDITOR):
            page = await wiring.accesses.all(some, cursor)
        else:
            page = await wiring.accesses.concerning(own, caller.actor, some, cursor)
        found += page.accesses
        cursor = page.cursor
        if cursor is None or len(found) == limit:
            return Page(found, cursor)


async def _names(wiring: Wiring, standing: Standing, page: Page) -> dict[Address, str | None]:
    actors = {access.actor for access in page.accesses}
    return {actor: await grantee_name(wiring, standing, person(actor)) for actor in actors}


async def _known(wiring: Wiring, caller: Caller, record_id: str) -> Access:
    identity = identifier(record_id)
    access = None if identity is None else await wiring.accesses.find(AccessRecordId(identity))
    if access is None or not _may_know(caller, access):
        raise ProblemError(problem("not-found"))
    return access


def _may_know(caller: Caller, access: Access) -> bool:
    return access.actor == caller.actor or caller.may_read_of(access.patient) or caller.holds(Role.AUDITOR)


async def _view(wiring: Wiring, standing: Standing, access: Access) -> dict[str, Any]:
    outcome, on_chain = access.outcome, access.on_chain
    return {
        "id": access.record_id.hex(),
        "at": access.at,
        "actor": checksum(access.actor),
        "actor_name": await grantee_name(wiring, standing, person(access.actor)),
        "patient_key": to_hex(access.patient),
        "study": access.study,
        "action": _said(access.action),
        "purpose": access.purpose.name,
        "basis": _NO_CONSENT.get(access.basis, to_hex(access.basis)),
        "outcome": None
        if outcome is None
        else {"status": outcome.status, "bytes": outcome.body_bytes, "complete": outcome.complete},
        "seq": None if on_chain is None else on_chain.seq,
        "tx_hash": None if on_chain is None else to_hex(on_chain.tx_hash),
        "block": None if on_chain is None else on_chain.block.number,
        "status": "recorded" if on_chain is None else "final" if on_chain.final else "mined",
    }


def _said(deed: Deed) -> str:
    return _MODIFIED[deed] if isinstance(deed, Modification) else (deed.name or "").lower()
