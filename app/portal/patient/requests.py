"""Who asks to look, why, and for how long."""

import json
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from app.api.wiring import wiring_of
from app.core.consent.basis import person
from app.core.consent.terms import Purpose
from app.portal.page_route import page_router
from app.portal.patient.acting import Acting, ActingFor
from app.portal.patient.directory import Known, look_up
from app.portal.patient.frame import record_page
from app.portal.patient.sentences import ASKED, PURPOSES, span_text
from app.portal.site import language_of
from app.portal.templating import READ
from app.store.access_requests import AskedAccess, RequestState

router = page_router()


@dataclass(frozen=True, slots=True)
class AskedView:
    """A request as its page shows it. ``days`` is 0 and the rest empty for what has been forgotten since."""

    id: str
    state: str
    who: Known
    reason: str
    actions: list[str]
    purposes: list[str]
    days: int
    span: str
    what: str
    why: str
    created_at: int
    decided_at: int | None


@router.api_route("/patient/requests", methods=READ)
async def waiting(request: Request, acting: ActingFor) -> Response:
    found = await wiring_of(request).access_requests.of_patients([acting.patient.key])
    views = [await asked_view(request, acting, one) for one in found]
    return record_page(
        request,
        acting,
        "requests.html",
        waiting=[one for one in views if one.state == RequestState.OPEN],
        decided=[one for one in views if one.state != RequestState.OPEN],
    )


async def asked_view(request: Request, acting: Acting, asked: AskedAccess) -> AskedView:
    language = language_of(request)
    terms = json.loads(asked.terms) if asked.terms else {}
    purposes = [code for code in terms.get("purposes", []) if code in Purpose.__members__]
    actions = list(terms.get("actions", []))
    deeds = [said for action, said in ASKED.items() if action in actions]
    return AskedView(
        id=asked.request_id.hex(),
        state=asked.state.value,
        who=await look_up(wiring_of(request), acting.caller, person(asked.requester)),
        reason=asked.message,
        actions=actions,
        purposes=purposes,
        days=int(terms.get("days") or 0),
        span=span_text(language, int(terms.get("days") or 0)),
        what=language.listed([language.say(deed) for deed in deeds]) if deeds else "",
        why=language.listed([language.say(PURPOSES[code]) for code in purposes], "or") if purposes else "",
        created_at=asked.created_at,
        decided_at=asked.decided_at,
    )
