"""Who broke the glass, why, what they looked at, and the review that somebody else has to close."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from app.api.emergency_views import emergency_view, emergency_views, path_id
from app.api.hexadecimal import checksum
from app.api.wiring import wiring_of
from app.core.consent.terms import Role
from app.core.http.problem import ProblemError, problem
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import Reader

router = page_router()

STATES = {
    "open": (N_("open"), "bad"),
    "review-due": (N_("to be reviewed"), "warn"),
    "review-overdue": (N_("review overdue"), "bad"),
    "reviewed": (N_("reviewed"), "good"),
}
FINDINGS = {"justified": (N_("justified"), "good"), "unjustified": (N_("not justified"), "bad")}


@router.api_route("/auditor/emergencies", methods=READ)
async def listing(request: Request, caller: Reader) -> Response:
    caller.must_hold(Role.AUDITOR)
    views = await emergency_views(wiring_of(request), caller)
    return page(
        request,
        "auditor/emergencies.html",
        waiting=[_shown(one) for one in views if one["state"] != "reviewed"],
        closed=[_shown(one) for one in views if one["state"] == "reviewed"],
        own=checksum(caller.actor),
    )


@router.api_route("/auditor/emergencies/{emergency}", methods=READ)
async def one(request: Request, caller: Reader, emergency: str) -> Response:
    caller.must_hold(Role.AUDITOR)
    wiring = wiring_of(request)
    view = await emergency_view(wiring, caller, path_id(emergency))
    if view is None:
        raise ProblemError(problem("not-found"))
    return page(request, "auditor/emergency.html", one=_shown(view), own=checksum(caller.actor))


def _shown(view: dict[str, Any]) -> dict[str, Any]:
    state, kind = STATES[view["state"]]
    review = view["review"]
    finding = None if review is None else FINDINGS[review["finding"]]
    return {**view, "state_words": state, "kind": kind, "finding": finding}
