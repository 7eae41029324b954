"""The studies that somebody may see: asked of the data path by the page itself, as any viewer asks."""

from fastapi import Request
from fastapi.responses import Response

from app.portal.page_route import page_router
from app.portal.physician.staff import Staff, staff_page
from app.portal.templating import READ

router = page_router()


@router.api_route("/physician", methods=READ)
async def images(request: Request, caller: Staff) -> Response:
    return staff_page(request, caller, "images.html")
