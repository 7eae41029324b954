"""How the gateway is: whether it serves, how far behind the chain it is, what waits to be put on it."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from app.api.health import readyz
from app.api.wiring import wiring_of
from app.core.consent.terms import Role
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import Reader

router = page_router()

_PARTS = {
    "ok": (N_("answers"), "good"),
    "unavailable": (N_("does not answer"), "bad"),
    "credentials-refused": (N_("refuses the gateway's credentials"), "bad"),
}


@router.api_route("/admin/health", methods=READ)
async def health(request: Request, caller: Reader) -> Response:
    caller.must_hold(Role.REGISTRAR)
    now: dict[str, Any] = await readyz(request, Response())
    return page(
        request,
        "admin/health.html",
        now=now,
        node=_PARTS[now["chain"]["rpc"]],
        archive=_PARTS[now["pacs"]],
        unresolved=wiring_of(request).identities.unresolved,
    )
