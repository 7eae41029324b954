"""The programs that act for somebody now, a token for one more, and the settings that each takes."""

from fastapi import Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from app.api.oauth.programs import OFFERED, acting_for
from app.api.wiring import wiring_of
from app.core.consent.terms import Role
from app.portal.asked_programs import ABILITIES
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.patient.sentences import PURPOSES
from app.portal.physician.staff import TokenMaker, is_staff, staff_page
from app.portal.templating import READ

router = page_router()

_LIFETIMES = ((3600, N_("1 hour")), (28_800, N_("8 hours")), (86_400, N_("1 day")), (604_800, N_("7 days")))


@router.api_route("/physician/programs", methods=READ)
async def programs(request: Request, caller: TokenMaker) -> Response:
    ground = wiring_of(request).oauth.ground
    acting = await run_in_threadpool(acting_for, ground, caller.actor)
    shown = [
        {
            **one,
            "abilities": [ABILITIES[scope] for scope in one["scope"].split(" ") if scope in ABILITIES],
            "why": PURPOSES[one["purpose"]],
        }
        for one in acting
    ]
    return staff_page(
        request,
        caller,
        "programs.html",
        programs=shown,
        purposes=[(code, PURPOSES[code]) for code in OFFERED],
        lifetimes=[one for one in _LIFETIMES if one[0] <= ground.refresh_lifetime_s],
        may_look=is_staff(caller),
        may_upload=caller.holds(Role.UPLOADER),
        gateway=ground.issuer,
    )
