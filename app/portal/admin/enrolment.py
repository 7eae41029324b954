"""The desk: who is enrolled, and a letter with a one-time code for who is to be."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from app.api.caller import Caller
from app.api.patients import listing
from app.core.consent.terms import Role
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import Reader, form_of, must_come_from_here

router = page_router()

# More than a desk reads at a glance: the rest is found by its PatientID.
MOST = 50
_STATES = {
    "submitted": (N_("on its way to the chain"), "warn"),
    "enrolled": (N_("has a letter, has not taken charge yet"), "warn"),
    "claim-mined": (N_("in charge, not final yet"), "warn"),
    "claimed": (N_("in charge"), "good"),
    "erasing": (N_("being erased"), "off"),
}


@router.api_route("/admin", methods=READ)
async def desk(request: Request, caller: Reader) -> Response:
    return await _found(request, caller, "")


@router.post("/admin")
async def search(request: Request, caller: Reader) -> Response:
    """Posted, so that no PatientID is in an address."""
    must_come_from_here(request)
    return await _found(request, caller, (await form_of(request)).get("q", ""))


async def _found(request: Request, caller: Caller, q: str) -> Response:
    caller.must_hold(Role.REGISTRAR)
    everybody = (await listing(request, caller))["patients"]
    wanted = q.strip().casefold()
    found = [one for one in everybody if wanted in one["patient_id"].casefold()]
    found.sort(key=lambda one: (one["patient_id"], one["issuer"]))
    return page(
        request,
        "admin/enrolment.html",
        patients=[_shown(one) for one in found[:MOST]],
        more=max(0, len(found) - MOST),
        total=len(everybody),
        q=q,
    )


def _shown(view: dict[str, Any]) -> dict[str, Any]:
    words, kind = _STATES[view["status"]]
    return {**view, "words": words, "kind": kind}
