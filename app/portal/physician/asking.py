"""Asking a patient to be let in, and what became of it."""

import json

from fastapi import Request
from fastapi.responses import Response

from app.api.wiring import wiring_of
from app.core.consent.terms import Purpose, Role
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.patient.sentences import ASKED, PURPOSES, SPANS, span_text
from app.portal.physician.staff import Staff, staff_page
from app.portal.site import language_of
from app.portal.templating import READ

router = page_router()

_OFFERED = ("TREAT", "COC", "HPAYMT", "HRESCH")
_STATES = {
    "open": (N_("waiting for an answer"), "warn"),
    "granted": (N_("let in"), "good"),
    "declined": (N_("declined"), "off"),
    "withdrawn": (N_("withdrawn"), "off"),
    "expired": (N_("not answered in time"), "off"),
}


@router.api_route("/physician/requests", methods=READ)
async def requests(request: Request, caller: Staff) -> Response:
    wiring, language = wiring_of(request), language_of(request)
    shown = []
    for one in await wiring.access_requests.by_requester(caller.actor):
        terms = json.loads(one.terms) if one.terms else {}
        state, kind = _STATES[one.state.value]
        deeds = [language.say(said) for action, said in ASKED.items() if action in terms.get("actions", ())]
        codes = [code for code in terms.get("purposes", ()) if code in Purpose.__members__]
        shown.append(
            {
                "id": one.request_id.hex(),
                "open": one.state.value == "open",
                "state": state,
                "kind": kind,
                "reason": one.message,
                "what": language.listed(deeds) if deeds else "",
                "why": language.listed([language.say(PURPOSES[code]) for code in codes], "or") if codes else "",
                "span": span_text(language, int(terms.get("days") or 0)),
                "created_at": one.created_at,
            }
        )
    return staff_page(
        request,
        caller,
        "requests.html",
        requests=shown,
        may_ask=caller.holds(Role.PHYSICIAN),
        purposes=[(code, PURPOSES[code]) for code in _OFFERED],
        spans=[(days, span_text(language, days)) for days, _ in SPANS],
    )
