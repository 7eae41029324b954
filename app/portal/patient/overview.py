"""The first page: my studies, and what waits for me."""

from fastapi import Request
from fastapi.responses import Response

from app.api.wiring import wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import person
from app.core.consent.terms import Purpose
from app.core.identifiers import UnixTime
from app.portal.page_route import page_router
from app.portal.patient.acting import Acting, ActingFor
from app.portal.patient.frame import record_page, titles_of
from app.portal.templating import READ
from app.store.access_requests import RequestState
from app.store.accesses import AccessFilter

router = page_router()

# Break-glass is told again until it was seen on this device, but not for ever
_TOLD_FOR_S = 90 * 86400
_MOST = 20
# What a session must be for, for the gateway to show these images without a consent (docs/CHAIN.md, rule 2).
_OWN = frozenset({Purpose.PATRQT})
_FOR_ANOTHER = frozenset({Purpose.FAMRQT, Purpose.PWATRNY})


@router.api_route("/patient", methods=READ)
async def overview(request: Request, acting: ActingFor) -> Response:
    wiring = wiring_of(request)
    asked = await wiring.access_requests.of_patients([acting.patient.key])
    return record_page(
        request,
        acting,
        "overview.html",
        studies=acting.studies,
        previews=acting.caller.purpose in (_OWN if acting.own else _FOR_ANOTHER),
        titles=titles_of(request, acting),
        requests=[one for one in asked if one.state is RequestState.OPEN],
        emergencies=await _emergencies(request, acting),
        move=acting.patient.move,
    )


async def _emergencies(request: Request, acting: Acting) -> list[dict[str, object]]:
    """Who came in by breaking the glass, newest first."""
    if not acting.caller.may_read_of(acting.patient.key):
        return []
    wiring = wiring_of(request)
    since = UnixTime(acting.caller.now - _TOLD_FOR_S)
    wanted = AccessFilter(since=since, purpose=Purpose.ETREAT)
    page = await wiring.accesses.matching(acting.patient.key, wanted, _MOST)
    return [
        {
            "at": one.at,
            "who": await grantee_name(wiring, acting.caller.standing, person(one.actor)),
            "study": one.study,
        }
        for one in page.accesses
    ]
