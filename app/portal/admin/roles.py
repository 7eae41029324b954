"""Who holds which role; the default admin's wallet gives and withdraws them."""

from fastapi import Request
from fastapi.responses import Response

from app.api.directory import listing as entries_of
from app.api.roles import listing
from app.core.consent.terms import Role
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import Reader

router = page_router()

WORDS = {
    "REGISTRAR": N_("Registrar: enrols patients, replaces lost keys"),
    "PHYSICIAN": N_("Physician: sees what patients allow"),
    "EMERGENCY": N_("Emergency: may break the glass"),
    "AUDITOR": N_("Auditor: reads the log, reviews emergencies"),
    "UPLOADER": N_("Uploader: stores images"),
    "RECORDER": N_("Recorder: the gateway's account that writes the log"),
}


@router.api_route("/admin/roles", methods=READ)
async def roles(request: Request, caller: Reader) -> Response:
    found = await listing(request, caller)
    people = (await entries_of(request, caller))["entries"] if caller.is_admin else []
    held = found["roles"]
    return page(
        request,
        "admin/roles.html",
        admin=found["admin"],
        groups=[(role.value, WORDS[role.value], [one for one in held if one["role"] == role.value]) for role in Role],
        people=[one for one in people if not one["team"]],
    )
