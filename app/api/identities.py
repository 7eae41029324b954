"""The odd identities of the archive: looked at, looked for, and resolved by the people of the desk (ADR 32)."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import SignedIn
from app.api.hexadecimal import WordText, checksum, from_hex, identifier, to_hex
from app.api.wiring import Wiring, wiring_of
from app.core.consent.terms import Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import PatientKey, StudyUid, Subject
from app.core.oddities import Enrolled, Oddity
from app.pacs.origin import OriginTooBroadError
from app.store.identity_resolutions import Resolution
from app.store.identity_scans import Scan
from app.store.odd_studies import Held, OddStudy, seen
from app.store.patients import EnrolledPatient

router = APIRouter(tags=["identities"])

_MOST = 200
# Rows of the database behind one answer: where most are resolved a page may hold fewer than was asked for.
_MOST_LOOKED_AT = 5_000
_Text = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f\\]*$")]
# Colleagues read it: lines of text, nothing unseen.
_Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]*$",
    ),
]
_Limit = Annotated[int, Query(ge=1, le=_MOST)]


class ResolutionAsked(Strict):
    """``alias``: the identity ``patient_id`` with ``issuer`` is the same person as the enrolled patient, in all
    studies. ``study``: this one is the patient's, while its identities have the ``fingerprint`` that was looked at.
    """

    kind: Literal["alias", "study"]
    patient_key: WordText
    reason: _Reason
    patient_id: Annotated[_Text, Field(min_length=1)] | None = None
    issuer: _Text | None = None
    study: Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")] | None = None
    fingerprint: WordText | None = None


@router.get("/api/identities")
async def listing(
    request: Request,
    caller: SignedIn,
    oddity: str | None = None,
    state: Literal["unresolved", "resolved", "all"] = "unresolved",
    after: str = "",
    limit: _Limit = 50,
) -> dict[str, Any]:
    """Studies whose patient is in doubt, in the order of their UIDs, from the one behind ``after`` on; ``next`` is what
    to give as ``after`` for more, null at the end.
    """
    wiring = wiring_of(request)
    caller.must_hold(Role.REGISTRAR)
    if oddity is not None and oddity not in {one.value for one in Oddity}:
        raise ProblemError(problem("invalid-parameter"))
    desk = wiring.identities
    kind = None if oddity is None else Oddity(oddity)
    found: list[OddStudy] = []
    looked_at, following = 0, after
    while len(found) < limit and looked_at < _MOST_LOOKED_AT:
        some = await desk.studies.page(following, limit, kind)
        if not some:
            following = ""
            break
        for one in some:
            following = one.study
            looked_at += 1
            if state == "all" or one.is_resolved(desk.ownership) == (state == "resolved"):
                found.append(one)
                if len(found) == limit:
                    break
    enrolled = await desk.enrolled()
    return {
        "studies": [_study_view(wiring, enrolled, one) for one in found],
        "next": following or None,
        "unresolved": desk.unresolved,
    }


@router.post("/api/identities/scan", status_code=202)
async def scan(request: Request, caller: SignedIn) -> dict[str, Any]:
    """Look through the archive. One that runs already goes on."""
    caller.must_hold(Role.REGISTRAR)
    return _scan_view(await wiring_of(request).identities.scans.start(caller.actor))


@router.get("/api/identities/scan")
async def scan_status(request: Request, caller: SignedIn) -> dict[str, Any]:
    """How far the last look through the archive has come."""
    caller.must_hold(Role.REGISTRAR)
    return _scan_view(await wiring_of(request).identities.scans.last())


@router.get("/api/identities/resolutions")
async def resolutions(
    request: Request,
    caller: SignedIn,
    *,
    in_force: bool | None = None,
    after: str | None = None,
    limit: _Limit = 50,
) -> dict[str, Any]:
    """What was said, by whom, when and why, the newest first; with ``in_force`` only what is, or only what is not."""
    caller.must_hold(Role.REGISTRAR)
    begin = None if after is None else identifier(after)
    if after is not None and begin is None:
        raise ProblemError(problem("invalid-parameter"))
    found = await wiring_of(request).identities.resolutions.listed(begin, limit, in_force=in_force)
    following = found[-1].resolution_id.hex() if len(found) == limit else None
    return {"resolutions": [_resolution_view(one) for one in found], "next": following}


@router.post("/api/identities/resolutions", status_code=201, openapi_extra=documented(ResolutionAsked))
async def resolve(
    request: Request, caller: SignedIn, asked: Annotated[ResolutionAsked, Depends(body_of(ResolutionAsked))]
) -> dict[str, Any]:
    """Say whose an odd identity, or an odd study, is. It counts on this gateway at once, on others within seconds.

    409 where the study's identities are others by now than those that were looked at, where the archive's word is
    plain, or where something else is in force of it.
    """
    wiring = wiring_of(request)
    caller.must_hold(Role.REGISTRAR)
    patient = wiring.patients.by_key(PatientKey(from_hex(asked.patient_key)))
    if patient is None:
        raise ProblemError(problem("not-found"))
    if asked.kind == "alias":
        made = await _alias(wiring, caller, asked, patient)
    else:
        made = await _study(wiring, caller, asked, patient)
    return _resolution_view(made)


@router.delete("/api/identities/resolutions/{resolution_id}")
async def withdraw(request: Request, caller: SignedIn, resolution_id: str) -> dict[str, Any]:
    """Take it back. Answers that run because of it are cut. It stays on the list, with who took it back and when."""
    caller.must_hold(Role.REGISTRAR)
    identity = identifier(resolution_id)
    ended = (
        None if identity is None else await wiring_of(request).identities.resolutions.withdraw(identity, caller.actor)
    )
    if ended is None:
        raise ProblemError(problem("not-found"))
    return _resolution_view(ended)


async def _alias(wiring: Wiring, caller: SignedIn, asked: ResolutionAsked, patient: EnrolledPatient) -> Resolution:
    if asked.study is not None or asked.fingerprint is not None or asked.patient_id is None:
        raise ProblemError(problem("invalid-request"))
    alias = Subject.typed(asked.patient_id, asked.issuer or "")
    if not alias.patient_id:
        raise ProblemError(problem("invalid-request"))
    return await wiring.identities.resolutions.alias(alias, patient.key, asked.reason, caller.actor)


async def _study(wiring: Wiring, caller: SignedIn, asked: ResolutionAsked, patient: EnrolledPatient) -> Resolution:
    if asked.study is None or asked.fingerprint is None or asked.patient_id is not None or asked.issuer is not None:
        raise ProblemError(problem("invalid-request"))
    desk, study = wiring.identities, StudyUid(asked.study)
    try:
        answer = await wiring.origin.subjects_of(study)
    except OriginTooBroadError:
        raise ProblemError(problem("search-too-broad")) from None
    accepted = answer.accepted
    if accepted is None:
        raise ProblemError(problem("not-found"))
    fingerprint, sole = accepted.fingerprint, accepted.subject
    is_plain = sole is not None and wiring.patients.by_subject(sole) is not None
    if fingerprint is None or fingerprint != from_hex(asked.fingerprint) or is_plain:
        oddity = (await desk.enrolled()).oddity(accepted.identities)
        await desk.studies.note([seen(study, oddity, accepted, answer.instances)])
        raise ProblemError(problem("conflict"))
    return await desk.resolutions.study(study, fingerprint, patient.key, asked.reason, caller.actor)


def _study_view(wiring: Wiring, enrolled: Enrolled, one: OddStudy) -> dict[str, Any]:
    desk = wiring.identities
    return {
        "study": one.study,
        "oddity": one.oddity.value,
        "state": "resolved" if one.is_resolved(desk.ownership) else "unresolved",
        "identities": [_identity_view(wiring, enrolled, held) for held in one.identities],
        "identity_count": one.count,
        "instances": one.instances,
        "fingerprint": None if one.fingerprint is None else to_hex(one.fingerprint),
        "first_seen": one.first_seen,
        "last_seen": one.last_seen,
    }


def _identity_view(wiring: Wiring, enrolled: Enrolled, held: Held) -> dict[str, Any]:
    """``patient_key``: whose it is by enrolment or an alias; ``alike``: the enrolled whom it may mean."""
    owner = wiring.identities.ownership.of_subject(held.identity.subject)
    alike = (wiring.patients.by_subject(subject) for subject in enrolled.like(held.identity))
    return {
        "patient_ids": list(held.identity.patient_ids),
        "issuers": list(held.identity.issuers),
        "instances": held.instances,
        "patient_key": None if owner is None else to_hex(owner.key),
        "alike": [
            {
                "patient_key": to_hex(patient.key),
                "patient_id": patient.subject.patient_id,
                "issuer": patient.subject.issuer,
            }
            for patient in alike
            if patient is not None
        ],
    }


def _resolution_view(one: Resolution) -> dict[str, Any]:
    return {
        "id": one.resolution_id.hex(),
        "kind": one.kind.value,
        "patient_key": to_hex(one.patient),
        "patient_id": None if one.alias is None else one.alias.patient_id,
        "issuer": None if one.alias is None else one.alias.issuer,
        "study": one.study,
        "fingerprint": None if one.fingerprint is None else to_hex(one.fingerprint),
        "reason": one.reason,
        "made_by": checksum(one.made_by),
        "made_at": one.made_at,
        "withdrawn_by": None if one.withdrawn_by is None else checksum(one.withdrawn_by),
        "withdrawn_at": one.withdrawn_at,
    }


def _scan_view(one: Scan | None) -> dict[str, Any]:
    if one is None:
        return {"state": "none"}
    return {
        "state": one.state.value,
        "done": one.done,
        "total": one.total,
        "found": one.found,
        "skipped": one.skipped,
        "trouble": one.trouble or None,
        "started_by": checksum(one.started_by),
        "started_at": one.started_at,
        "finished_at": one.finished_at,
    }
