"""Studies of the archive whose patient is in doubt, and what the desk said of them (ADR 32)."""

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response

from app.api.identities import listing, resolutions, scan_status
from app.core.consent.terms import Role
from app.core.oddities import Oddity
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import Reader

router = page_router()

_AT_ONCE = 25
_ODDITIES = {
    Oddity.SEVERAL_PATIENTS: N_("More than one patient in one study"),
    Oddity.MULTI_VALUED: N_("More than one PatientID in one file"),
    Oddity.BLANK: N_("The PatientID is blank"),
    Oddity.MISSING: N_("There is no PatientID"),
    Oddity.DIFFERS_BY_ISSUER: N_("Somebody enrolled has the same PatientID from another issuer"),
    Oddity.DIFFERS_BY_SPELLING: N_("Somebody enrolled has the same PatientID but for case or spaces"),
}


@router.api_route("/admin/identities", methods=READ)
async def identities(
    request: Request, caller: Reader, after: Annotated[str, Query(pattern=r"^[0-9.]{0,64}$")] = ""
) -> Response:
    caller.must_hold(Role.REGISTRAR)
    found = await listing(request, caller, after=after, limit=_AT_ONCE)
    said = await resolutions(request, caller, in_force=True)
    return page(
        request,
        "admin/identities.html",
        studies=[{**one, "words": _ODDITIES[Oddity(one["oddity"])]} for one in found["studies"]],
        following=found["next"],
        unresolved=found["unresolved"],
        scan=await scan_status(request, caller),
        resolutions=said["resolutions"],
    )
