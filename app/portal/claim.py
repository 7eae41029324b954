"""``/claim#CODE``: where the QR code from the desk leads. The code stays in the browser until it is used."""

from fastapi import Request
from fastapi.responses import Response

from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import caller_or_none

router = page_router()


@router.api_route("/claim", methods=READ)
async def claim(request: Request) -> Response:
    """Nobody need be signed in: whoever opens it holds a code, or is asked for it."""
    await caller_or_none(request)
    return page(request, "claim.html")
