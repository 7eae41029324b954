"""What accounts and teams are called; the default admin's wallet has the chain vouch for it."""

from fastapi import Request
from fastapi.responses import Response

from app.api.directory import listing
from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import Reader

router = page_router()


@router.api_route("/admin/directory", methods=READ)
async def directory(request: Request, caller: Reader) -> Response:
    return page(request, "admin/directory.html", entries=(await listing(request, caller))["entries"])
