"""Who holds which role; the default admin's wallet gives and withdraws them."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from app.api.caller import Caller
from app.api.directory import listing as entries_of
from app.api.invitations import listing as invitations_of
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
    people = await _known(request, caller) if caller.is_admin else []
    held = found["roles"]
    return page(
        request,
        "admin/roles.html",
        admin=found["admin"],
        groups=[(role.value, WORDS[role.value], [one for one in held if one["role"] == role.value]) for role in Role],
        people=people,
    )


async def _known(request: Request, caller: Caller) -> list[dict[str, Any]]:
    """Whom the form offers by name: people of the directory, and who was invited and is not there yet."""
    entries = (await entries_of(request, caller))["entries"]
    invited = (await invitations_of(request, caller))["invitations"]
    named = {one["account"] for one in entries if one["name"]}
    people = {one["account"]: one["name"] for one in entries if not one["team"]}
    people |= {one["account"]: one["name"] for one in invited if one["account"] and one["account"] not in named}
    return [{"account": account, "name": name} for account, name in people.items()]
