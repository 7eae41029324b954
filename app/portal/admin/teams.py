"""Care teams: registrars found them and set their leads, leads their leads and members, each by a signature."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from app.api.admins import must_run_staff
from app.api.caller import Caller
from app.api.care_teams import listing
from app.api.hexadecimal import checksum
from app.api.wiring import wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import person, role_id
from app.core.consent.terms import Role, TeamPart
from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import Reader

router = page_router()


def leads_a_team(caller: Caller) -> bool:
    return any(team.has(TeamPart.LEAD, caller.actor, caller.now) for team in caller.standing.head.teams.values())


@router.api_route("/admin/teams", methods=READ)
async def teams(request: Request, caller: Reader) -> Response:
    if not leads_a_team(caller):
        await must_run_staff(wiring_of(request), caller)
    found = (await listing(request, caller))["teams"]
    own = checksum(caller.actor)
    is_registrar = caller.holds(Role.REGISTRAR)
    for one in found:
        one["led"] = any(lead["account"] == own and lead["now"] for lead in one["leads"])
    sees_all = is_registrar or caller.is_admin
    return page(
        request,
        "admin/teams.html",
        teams=[one for one in found if sees_all or one["led"]],
        is_registrar=is_registrar,
        people=await _physicians(request, caller),
    )


async def _physicians(request: Request, caller: Caller) -> list[dict[str, Any]]:
    """Who could be in a team: whoever holds the role, by the name that the chain vouches for."""
    wiring, physician = wiring_of(request), role_id(Role.PHYSICIAN)
    accounts = [account for role, account in caller.standing.head.roles if role == physician]
    named = [(await grantee_name(wiring, caller.standing, person(one)), checksum(one)) for one in accounts]
    return [{"name": name, "account": account} for name, account in sorted(named, key=lambda one: one[0] or "")]
