"""Emergencies as the API shows them: who, when, how far on the chain, what was found, and to some the reason."""

from collections import Counter
from typing import Annotated, Any

from pydantic import Field

from app.api.caller import Caller
from app.api.hexadecimal import checksum, to_hex, word
from app.api.wiring import Wiring
from app.api.wording import grantee_name
from app.core.consent.basis import person
from app.core.consent.emergencies import Emergency
from app.core.consent.mirror import Standing
from app.core.consent.terms import Finding, Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address, BasisId, EmergencyId, PatientKey, UnixTime
from app.core.signing.words import MAX_WRITTEN_LENGTH, plain
from app.store.accesses import LARGEST_PAGE
from app.store.emergencies import StoredEmergency, StoredReview
from app.store.outbox import CallState

# A review is due when the emergency is over, and late a week after that.
REVIEW_WITHIN_S = 7 * 86_400
_FINDINGS = {Finding.JUSTIFIED: "justified", Finding.NOT_JUSTIFIED: "unjustified"}

# A line of text that people are shown and sign.
Written = Annotated[str, Field(max_length=MAX_WRITTEN_LENGTH, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


def one_line(text: str) -> str:
    """The text as it is signed, hashed and kept: nothing unseen in it, no white space around it."""
    return plain(text, MAX_WRITTEN_LENGTH)


def path_id(text: str) -> EmergencyId:
    """The id from an address. Raises 404 for what is none."""
    read = word(text)
    if read is None:
        raise ProblemError(problem("not-found"))
    return EmergencyId(read)


def said(finding: Finding) -> str:
    return _FINDINGS[finding]


async def emergency_views(wiring: Wiring, caller: Caller) -> list[dict[str, Any]]:
    """Those that the caller may know of, the newest first."""
    own = [key for key in caller.own_patients() if caller.may_read_of(key)]
    if caller.holds(Role.AUDITOR):
        stored = await wiring.emergencies.all()
    else:
        stored = await wiring.emergencies.by_actor(caller.actor)
        stored += await wiring.emergencies.of_patients(own) if own else []
    state = caller.standing.head
    ids: dict[EmergencyId, StoredEmergency | None] = {one.opening.emergency_id: one for one in stored}
    if caller.holds(Role.AUDITOR):
        ids |= {identity: None for identity in state.emergencies if identity not in ids}
    else:
        elsewhere = [one for key in own for one in state.emergencies_of(key)]
        ids |= {one.id: None for one in elsewhere if one.id not in ids}
    views = [await _view(wiring, caller, identity, one) for identity, one in ids.items()]
    return sorted(views, key=lambda view: (-view["valid_from"], view["id"]))


async def emergency_states(wiring: Wiring, standing: Standing, now: UnixTime) -> Counter[str]:
    """How many emergencies there are in each state, of whomever: no more than that is told."""
    stored = {one.opening.emergency_id: one for one in await wiring.emergencies.all()}
    states: Counter[str] = Counter()
    for identity in stored.keys() | standing.head.emergencies.keys():
        on_chain, here = standing.head.emergencies.get(identity), stored.get(identity)
        end = here.opening.window.end if here is not None else standing.head.emergencies[identity].window.end
        landed = on_chain is not None and on_chain.review is not None
        under_way = here is not None and here.review is not None and here.review.call.state is not CallState.FAILED
        states[_state(now, end, reviewed=landed or under_way)] += 1
    return states


async def emergency_view(wiring: Wiring, caller: Caller, identity: EmergencyId) -> dict[str, Any] | None:
    """One of them with the ids of its access records; None where the caller may not know of it."""
    stored = await wiring.emergencies.find(identity)
    on_chain = caller.standing.head.emergencies.get(identity)
    whose = _whose(stored, on_chain)
    if whose is None or not _may_know(caller, *whose):
        return None
    view = await _view(wiring, caller, identity, stored)
    page = await wiring.accesses.on_basis(whose[0], BasisId(identity), LARGEST_PAGE)
    return view | {"accesses": [access.record_id.hex() for access in page]}


def _whose(stored: StoredEmergency | None, on_chain: Emergency | None) -> tuple[PatientKey, Address] | None:
    if stored is not None:
        return stored.opening.patient, stored.opening.actor
    return None if on_chain is None else (on_chain.patient, on_chain.actor)


def _may_know(caller: Caller, patient: PatientKey, actor: Address) -> bool:
    return actor == caller.actor or caller.may_read_of(patient) or caller.holds(Role.AUDITOR)


async def _view(
    wiring: Wiring, caller: Caller, identity: EmergencyId, stored: StoredEmergency | None
) -> dict[str, Any]:
    on_chain = caller.standing.head.emergencies.get(identity)
    if stored is not None:
        patient, actor, window = stored.opening.patient, stored.opening.actor, stored.opening.window
    else:
        assert on_chain is not None  # noqa: S101 - it is known from one of the two
        patient, actor, window = on_chain.patient, on_chain.actor, on_chain.window
    review = await _review(wiring, caller, on_chain, None if stored is None else stored.review)
    mine = caller.may_read_of(patient) or caller.holds(Role.AUDITOR)
    return {
        "id": to_hex(identity),
        "actor": checksum(actor),
        "actor_name": await grantee_name(wiring, caller.standing, person(actor)),
        "patient_key": to_hex(patient) if mine else None,
        # Empty where it was opened at a gateway of another hospital, or the patient was erased
        "reason": "" if stored is None else stored.opening.reason,
        "valid_from": window.start,
        "valid_until": window.end,
        "status": _status(caller, identity, stored, on_chain),
        "state": _state(caller.now, window.end, reviewed=review is not None),
        "snapshot_age_s": None if stored is None else stored.opening.snapshot_age_s,
        "review": review,
    }


async def _review(
    wiring: Wiring, caller: Caller, on_chain: Emergency | None, stored: StoredReview | None
) -> dict[str, Any] | None:
    landed = None if on_chain is None else on_chain.review
    if landed is not None:
        reviewer, finding = landed.reviewer, landed.finding
    elif stored is not None and stored.call.state is not CallState.FAILED:
        reviewer, finding = stored.review.reviewer, stored.review.finding
    else:
        return None
    is_ours = stored is not None and stored.review.reviewer == reviewer
    return {
        "finding": said(finding),
        "reviewer": checksum(reviewer),
        "reviewer_name": await grantee_name(wiring, caller.standing, person(reviewer)),
        "note": stored.review.note if stored is not None and is_ours else "",
        "status": "submitted" if landed is None else "mined",
    }


def _status(caller: Caller, identity: EmergencyId, stored: StoredEmergency | None, on_chain: Emergency | None) -> str:
    """How far it has come on the chain."""
    if on_chain is not None:
        return "final" if identity in caller.standing.final.emergencies else "mined"
    return "failed" if stored is not None and stored.call.state is CallState.FAILED else "submitted"


def _state(now: UnixTime, until: UnixTime, *, reviewed: bool) -> str:
    """What is to be done about it."""
    if reviewed:
        return "reviewed"
    if now < until:
        return "open"
    return "review-due" if now < until + REVIEW_WITHIN_S else "review-overdue"
