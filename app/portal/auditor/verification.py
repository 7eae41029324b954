"""The replay of the whole log, begun with a button: how far it is, and what it found."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from app.api.verifications import run_view
from app.api.wiring import wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import person
from app.core.consent.terms import Role
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import Reader

router = page_router()

_STATES = {
    "running": (N_("under way"), "warn"),
    "good": (N_("complete and authorised"), "good"),
    "bad": (N_("not in order"), "bad"),
    "failed": (N_("could not be carried out"), "bad"),
    "lost": (N_("broken off"), "off"),
}


@router.api_route("/auditor/verification", methods=READ)
async def runs(request: Request, caller: Reader) -> Response:
    caller.must_hold(Role.AUDITOR)
    wiring = wiring_of(request)
    shown: list[dict[str, Any]] = []
    for run in await wiring.verifications.newest():
        view = run_view(run)
        words, kind = _STATES[view["status"]]
        name = await grantee_name(wiring, caller.standing, person(run.asked_by))
        shown.append({**view, "words": words, "kind": kind, "by": name or view["asked_by"]})
    return page(request, "auditor/verification.html", runs=shown)
