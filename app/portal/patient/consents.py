"""Who may look: every consent as a sentence, and one tap to take it back."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from app.api.consent_views import consents_of
from app.api.wiring import wiring_of
from app.portal.page_route import page_router
from app.portal.patient.acting import ActingFor
from app.portal.patient.frame import record_page, titles_of
from app.portal.patient.sentences import STATUS, consent_sentence
from app.portal.site import language_of
from app.portal.templating import READ

router = page_router()

_OVER = frozenset({"revoked", "expired", "failed"})


@router.api_route("/patient/consents", methods=READ)
async def who_may_look(request: Request, acting: ActingFor) -> Response:
    views = await consents_of(wiring_of(request), acting.caller, acting.patient.key)
    language, titles = language_of(request), titles_of(request, acting)
    shown: list[dict[str, Any]] = [
        {
            **view,
            "sentence": consent_sentence(language, view, titles),
            "state": STATUS[view["status"]][0],
            "kind": STATUS[view["status"]][1],
            "to_come": view["status"] == "active" and view["valid_from"] > acting.caller.now,
        }
        for view in views
    ]
    shown.sort(key=lambda one: (one["effect"] != "deny", -one["valid_from"]))
    return record_page(
        request,
        acting,
        "consents.html",
        current=[one for one in shown if one["status"] not in _OVER],
        over=sorted((one for one in shown if one["status"] in _OVER), key=lambda one: -one["valid_until"]),
    )
