"""Lost wallets and passkeys: the queue, and a letter with a one-time code for the new key."""

from fastapi import Request
from fastapi.responses import Response

from app.api.recoveries import listing
from app.api.wiring import wiring_of
from app.core.consent.recovering import Progress
from app.core.consent.terms import Role
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import Reader

router = page_router()

_DAY_S = 86400
_STATES = {
    Progress.WAITING: (N_("the code waits to be used"), "warn"),
    Progress.STARTING: (N_("on its way to the chain"), "warn"),
    Progress.PENDING: (N_("may still be vetoed"), "warn"),
    Progress.READY: (N_("the new key may take over"), "good"),
    Progress.FINISHED: (N_("taken over"), "good"),
    Progress.VETOED: (N_("vetoed"), "bad"),
    Progress.REPLACED: (N_("begun anew"), "off"),
    Progress.EXPIRED: (N_("the code was not used in time"), "off"),
    Progress.FAILED: (N_("the chain refused it"), "bad"),
}


@router.api_route("/admin/recoveries", methods=READ)
async def queue(request: Request, caller: Reader) -> Response:
    caller.must_hold(Role.REGISTRAR)
    shown = []
    for view in (await listing(request, caller))["recoveries"]:
        words, kind = _STATES[Progress(view["status"])]
        shown.append({**view, "words": words, "kind": kind})
    shown.sort(key=lambda one: one["created_at"], reverse=True)
    return page(
        request,
        "admin/recoveries.html",
        recoveries=shown,
        # How long the chain keeps the old controller's right to veto
        days=max(1, round(wiring_of(request).move_delay_s / _DAY_S)),
    )
