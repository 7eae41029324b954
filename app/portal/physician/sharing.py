"""Sharing on what one was given: with a colleague, never wider, never longer."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import JSONResponse, Response

from app.api.consent_terms import given
from app.api.consent_views import consent_view
from app.api.hexadecimal import word
from app.api.wiring import wiring_of
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import ConsentId
from app.portal.page_route import page_router
from app.portal.patient.directory import search
from app.portal.patient.sentences import ASKED, PURPOSES, consent_sentence
from app.portal.physician.staff import Staff, staff_page
from app.portal.site import language_of
from app.portal.templating import READ

router = page_router()

_DAY_S = 86_400
_SPANS = (1, 7, 30, 90, 365)


@router.api_route("/physician/share/{consent}", methods=READ)
async def share(request: Request, caller: Staff, consent: str) -> Response:
    wiring, identity = wiring_of(request), word(consent)
    if identity is None:
        raise ProblemError(problem("not-found"))
    parent = given(caller, ConsentId(identity))
    view = await consent_view(wiring, caller, parent.patient, parent.id)
    if view is None or view["status"] != "active" or not parent.share_depth:
        raise ProblemError(problem("not-found"))
    left = (parent.window.end - caller.now) // _DAY_S
    return staff_page(
        request,
        caller,
        "share.html",
        parent=view,
        sentence=consent_sentence(language_of(request), view, {}),
        actions=[(name, ASKED[name]) for name in ASKED if name in view["actions"] and name != "share"],
        purposes=[(code, PURPOSES[code]) for code in view["purposes"]],
        spans=[days for days in _SPANS if days <= left],
    )


@router.api_route("/physician/people", methods=READ)
async def people(request: Request, caller: Staff, q: Annotated[str, Query(max_length=100)] = "") -> Response:
    """Who in the directory is called so: for the form's search."""
    found = await search(wiring_of(request), caller, q)
    headers = {"Cache-Control": "private, no-store"}
    return JSONResponse({"people": [asdict(one) for one in found if not one.team]}, headers=headers)
