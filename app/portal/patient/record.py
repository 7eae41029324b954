"""My record: who acts for me, how I am reached, and where my key is."""

from datetime import UTC, datetime

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from app.api.wiring import wiring_of
from app.core.consent.basis import person
from app.core.patient_code import show_patient_code
from app.portal.page_route import page_router
from app.portal.patient.acting import Acting, ActingFor
from app.portal.patient.directory import look_up
from app.portal.patient.frame import record_page
from app.portal.templating import READ, short_address

router = page_router()

_DAY_S = 86400
# The API names nobody a guardian for longer
_LONGEST_DAYS = 25 * 365


@router.api_route("/patient/record", methods=READ)
async def my_record(request: Request, acting: ActingFor) -> Response:
    guardian = acting.patient.guardian
    if guardian is not None and guardian.until <= acting.caller.now:
        guardian = None
    names = wiring_of(request).guardian_names
    known = None if guardian is None else await look_up(wiring_of(request), acting.caller, person(guardian.actor))
    return record_page(
        request,
        acting,
        "record.html",
        decides=acting.patient.actor == acting.caller.actor,
        first_day=_day_after(acting, 1),
        last_day=_day_after(acting, _LONGEST_DAYS),
        code="" if acting.enrolled is None else show_patient_code(acting.enrolled.code),
        guardian=known,
        guardian_name=None if guardian is None else await names.find(acting.patient.key, guardian.signer),
        guardian_until=None if guardian is None else guardian.until,
        controller=short_address(acting.patient.actor or b""),
        move=acting.patient.move,
    )


@router.api_route("/patient/record/now", methods=READ)
async def now(acting: ActingFor) -> Response:
    """How far changes of the record have come at the head, for the script that waits for one."""
    patient = acting.patient
    return JSONResponse(
        {"guardian_nonce": patient.guardian_nonce, "moving": patient.move is not None},
        headers={"Cache-Control": "private, no-store"},
    )


def _day_after(acting: Acting, days: int) -> str:
    return datetime.fromtimestamp(acting.caller.now + days * _DAY_S, UTC).date().isoformat()
