"""Staff without a wallet are invited to make a passkey, by a letter with a one-time code."""

from fastapi import Request
from fastapi.responses import Response

from app.api.invitations import listing
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import Reader

router = page_router()

STATES = {
    "open": (N_("has a letter, has made no passkey yet"), "warn"),
    "expired": (N_("the code was not used in time"), "off"),
    "used": (N_("has a passkey and no role yet"), "warn"),
    "role": (N_("has a passkey and a role"), "good"),
}


@router.api_route("/admin/roles/invitations", methods=READ)
async def invitations(request: Request, caller: Reader) -> Response:
    shown = []
    for view in (await listing(request, caller))["invitations"]:
        words, kind = STATES["role" if view["has_role"] else view["status"]]
        shown.append({**view, "words": words, "kind": kind})
    return page(request, "admin/invitations.html", invitations=shown)
