"""Breaking the glass: one form, one signature, and the images are there; somebody else reviews it."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from app.api.emergency_views import emergency_views
from app.api.hexadecimal import checksum
from app.api.wiring import wiring_of
from app.core.consent.terms import Role
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.physician.staff import Staff, staff_page
from app.portal.templating import READ

router = page_router()

_STATES = {
    "open": (N_("open"), "bad"),
    "review-due": (N_("over, to be reviewed"), "warn"),
    "review-overdue": (N_("over, review overdue"), "warn"),
    "reviewed": (N_("reviewed"), "good"),
}
_FINDINGS = {"justified": (N_("found justified"), "good"), "unjustified": (N_("found not justified"), "bad")}


@router.api_route("/physician/emergency", methods=READ)
async def emergency(request: Request, caller: Staff) -> Response:
    wiring, own = wiring_of(request), checksum(caller.actor)
    shown: list[dict[str, Any]] = []
    for one in await emergency_views(wiring, caller):
        if one["actor"] == own:
            state, kind = _STATES[one["state"]]
            finding = None if one["review"] is None else _FINDINGS[one["review"]["finding"]]
            shown.append({**one, "words": state, "kind": kind, "finding": finding})
    return staff_page(
        request,
        caller,
        "emergency.html",
        emergencies=shown,
        may_break=caller.holds(Role.EMERGENCY),
        longest_minutes=wiring.emergency_rules.longest_s // 60,
    )
