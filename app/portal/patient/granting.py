"""Letting somebody in, on one screen: whom, which images, what, for what, how long."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.responses import JSONResponse, Response

from app.api.body import body_of
from app.api.consent_terms import ConsentRequest
from app.api.hexadecimal import address, from_hex, identifier, word
from app.api.wiring import wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import person
from app.core.consent.terms import Purpose
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address, Grantee
from app.portal.page_route import page_router
from app.portal.patient.acting import Acting, ActingFor
from app.portal.patient.directory import Known, look_up, search
from app.portal.patient.frame import record_page, titles_of
from app.portal.patient.requests import AskedView, asked_view
from app.portal.patient.sentences import PURPOSES, SPANS, consent_sentence, span_text
from app.portal.site import language_of
from app.portal.templating import READ
from app.store.access_requests import RequestState

router = page_router()

# What patients are asked for; the API takes all of them.
_OFFERED = ("TREAT", "COC", "HPAYMT", "HRESCH")
_USUAL_DAYS = 90
_NO_STORE = {"Cache-Control": "private, no-store"}


@router.api_route("/patient/consents/new", methods=READ)
async def grant(
    request: Request, acting: ActingFor, asked: Annotated[str | None, Query(alias="request")] = None,
    to: str | None = None,
) -> Response:  # fmt: skip
    """``request``: the id of a request that is answered; ``to``: whom the form begins with."""
    open_request = None if asked is None else await _open_request(request, acting, asked)
    preset = [open_request.who] if open_request is not None else await _preset(request, acting, to)
    days = _USUAL_DAYS if open_request is None else open_request.days
    spans = [(span, span_text(language_of(request), span)) for span in sorted({days, *(span for span, _ in SPANS)})]
    purposes = [*_OFFERED, *(code for code in (open_request.purposes if open_request else ()) if code not in _OFFERED)]
    return record_page(
        request,
        acting,
        "grant.html",
        asked=open_request,
        preset=[asdict(one) for one in preset],
        titles=titles_of(request, acting),
        purposes=[(code, PURPOSES[code]) for code in purposes],
        chosen_purposes=open_request.purposes if open_request else ["TREAT"],
        actions=_actions(open_request),
        spans=spans,
        days=days,
    )


@router.api_route("/patient/people", methods=READ)
async def people(request: Request, acting: ActingFor, q: Annotated[str, Query(max_length=100)] = "") -> Response:
    """Who in the directory is called so: for the form's search."""
    found = await search(wiring_of(request), acting.caller, q)
    return JSONResponse({"people": [asdict(one) for one in found]}, headers=_NO_STORE)


@router.post("/patient/sentence")
async def sentence(
    request: Request, acting: ActingFor, asked: Annotated[ConsentRequest, Depends(body_of(ConsentRequest))]
) -> Response:
    """What the chosen terms mean, in the reader's language. What is signed is the API's to say, in its own words."""
    language, titles, wiring = language_of(request), titles_of(request, acting), wiring_of(request)
    said = []
    for one in (asked, *asked.also):
        if not set(one.purposes) <= set(Purpose.__members__):
            raise ProblemError(problem("invalid-request"))
        grantee = _grantee(one.grantee)
        view: dict[str, Any] = {
            "grantee": one.grantee,
            "grantee_name": await grantee_name(wiring, acting.caller.standing, grantee),
            "effect": one.effect,
            "actions": one.actions,
            "purposes": one.purposes,
            "scope": one.scope if isinstance(one.scope, str) else one.scope.model_dump(exclude_none=True),
        }
        said.append(consent_sentence(language, view, titles))
    return JSONResponse({"sentences": said}, headers=_NO_STORE)


def _grantee(text: str) -> Grantee:
    given = from_hex(text)
    return person(Address(given)) if len(given) == 20 else Grantee(given)


async def _open_request(request: Request, acting: Acting, request_id: str) -> AskedView:
    """The request, if it is this patient's and waits for an answer. Raises 404 or 409."""
    identity = identifier(request_id)
    found = None if identity is None else await wiring_of(request).access_requests.find(identity)
    if found is None or found.patient != acting.patient.key:
        raise ProblemError(problem("not-found"))
    if found.state is not RequestState.OPEN:
        raise ProblemError(problem("conflict"))
    return await asked_view(request, acting, found)


async def _preset(request: Request, acting: Acting, to: str | None) -> list[Known]:
    if to is None:
        return []
    account, team = address(to), word(to)
    if account is None and team is None:
        raise ProblemError(problem("invalid-parameter"))
    grantee = person(account) if account is not None else Grantee(team or b"")
    found = await look_up(wiring_of(request), acting.caller, grantee)
    return [found]


def _actions(asked: AskedView | None) -> str:
    """Which of the form's choices comes nearest to what is asked for, never more than that."""
    if asked is None:
        return "view"
    if "share" in asked.actions:
        return "share"
    return "retrieve" if "retrieve" in asked.actions else "view"
