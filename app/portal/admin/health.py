"""How the gateway is: whether it serves, how far behind the chain it is, what waits, what alarmed."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from app.api.admins import must_run_staff
from app.api.emergency_views import emergency_states
from app.api.health import readyz
from app.api.wiring import wiring_of
from app.core.consent.terms import Role
from app.portal.admin.hours import hours_of, since
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.site import language_of
from app.portal.templating import READ, page
from app.portal.visitor import Reader

router = page_router()

_PARTS = {
    "ok": (N_("answers"), "good"),
    "unavailable": (N_("does not answer"), "bad"),
    "credentials-refused": (N_("refuses the gateway's credentials"), "bad"),
}
# The kinds of app/gateway/ports.py and app/alarms.py
ALARMS = {
    "wrong-patient": N_("The archive gave another patient's images"),
    "wrong-resource": N_("The archive gave another image than was asked for"),
    "upstream-invalid": N_("The archive's answer was not valid"),
    "credentials-refused": N_("The archive refused the gateway's credentials"),
    "log-late": N_("Access records waited too long for the chain"),
}
# Those of app/loops/lane.py
TROUBLES = {
    "the account cannot pay": N_("the gateway's account cannot pay"),
    "the node refuses the transaction": N_("the node refuses the transaction"),
    "fees are above the limit": N_("fees are above the limit"),
    "a transaction reverted": N_("a transaction was refused by its contract"),
    "something else used the account's nonce": N_("something else sends from the gateway's account"),
    "the contract's log does not end where ours does": N_("the log on the chain does not end where ours does"),
    "the contract refuses the batch": N_("the contract refuses the records"),
    "the chain cannot be asked": N_("the chain cannot be asked"),
    "the database cannot be used": N_("the database cannot be used"),
}


@router.api_route("/admin/health", methods=READ)
async def health(request: Request, caller: Reader) -> Response:
    wiring = wiring_of(request)
    await must_run_staff(wiring, caller)
    now: dict[str, Any] = await readyz(request, Response())
    age_s = now["chain"]["confirmed_age_s"]
    reviews = await emergency_states(wiring, caller.standing, caller.now)
    hours = await wiring.accesses.by_hour(since(caller.now))
    return page(
        request,
        "admin/health.html",
        now=now,
        age_s=None if age_s is None else int(age_s),
        node=_PARTS[now["chain"]["rpc"]],
        archive=_PARTS[now["pacs"]],
        is_registrar=caller.holds(Role.REGISTRAR),
        unresolved=wiring.identities.unresolved,
        open=reviews["open"],
        due=reviews["review-due"],
        overdue=reviews["review-overdue"],
        troubles=[TROUBLES[one] for one in now["log"]["trouble"]],
        alarms=[(ALARMS[kind], number) for kind, number in wiring.condition().alarms],
        chart=hours_of(hours, caller.now, language_of(request)),
        at=wiring.clock(),
    )
