"""Whose images one may see, on which consent, and until when; and what may be shared on."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from app.api.consent_views import consents_of
from app.api.wiring import Wiring, wiring_of
from app.core.identifiers import PatientKey
from app.portal.page_route import page_router
from app.portal.patient.sentences import STATUS, consent_sentence
from app.portal.physician.staff import Staff, staff_page
from app.portal.site import language_of
from app.portal.templating import READ

router = page_router()

_OVER = frozenset({"revoked", "expired", "failed"})
# Whoever has more patients than this searches for one.
_MOST = 200


@router.api_route("/physician/patients", methods=READ)
async def patients(request: Request, caller: Staff) -> Response:
    wiring, language, head = wiring_of(request), language_of(request), caller.standing.head
    keys = sorted(key for key in head.patients_of(caller.actor) if not caller.acts_for(key))
    shown: list[dict[str, Any]] = []
    for key in keys[:_MOST]:
        views = [view for view in await consents_of(wiring, caller, key) if view["effect"] == "permit"]
        consents = [
            {
                **view,
                "sentence": consent_sentence(language, view, {}),
                "words": STATUS[view["status"]][0],
                "kind": STATUS[view["status"]][1],
                "over": view["status"] in _OVER,
                "may_share": view["status"] == "active" and view["share_depth"] > 0 and _is_own(caller.actor, view),
            }
            for view in views
        ]
        if consents:
            consents.sort(key=lambda one: (one["over"], one["valid_until"]))
            shown.append({"name": _name(wiring, key, consents), "consents": consents})
    shown.sort(key=lambda one: (all(consent["over"] for consent in one["consents"]), one["name"]))
    return staff_page(request, caller, "patients.html", patients=shown, more=max(0, len(keys) - _MOST))


def _is_own(actor: bytes, view: dict[str, Any]) -> bool:
    """Whether it names the person, and not a team of theirs: a team shares nothing on."""
    return str(view["grantee"]).lower() == f"0x{actor.hex()}"


def _name(wiring: Wiring, key: PatientKey, consents: list[dict[str, Any]]) -> str:
    """The MRN while a consent is in force; before and after that the patient is a number to the reader."""
    known = wiring.patients.by_key(key)
    if known is None or not any(one["status"] == "active" for one in consents):
        return f"0x{key.hex()[:8]}…"
    return known.subject.patient_id + (f" ({known.subject.issuer})" if known.subject.issuer else "")
