"""``/recover#CODE``: where the letter leads that the desk gives to somebody who lost their key, and where the new key
takes over once the delay is past. The code stays in the browser until it is used.
"""

from fastapi import Request
from fastapi.responses import Response

from app.portal.page_route import page_router
from app.portal.templating import READ, page
from app.portal.visitor import caller_or_none

router = page_router()


@router.api_route("/recover", methods=READ)
async def recover(request: Request) -> Response:
    """Whoever opens it is led to sign in with the new key; the code waits in the window."""
    await caller_or_none(request)
    return page(request, "recover.html")
