"""``/join#CODE``: where an invitation leads somebody of the staff who has no wallet. The code stays in the browser."""

from fastapi import Request
from fastapi.responses import Response

from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import caller_or_none

router = page_router()


@router.api_route("/join", methods=READ)
async def join(request: Request) -> Response:
    """Nobody need be signed in; whoever is waits here for a role."""
    await caller_or_none(request)
    return page(request, "join.html")
