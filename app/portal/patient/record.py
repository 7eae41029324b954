"""My record: who acts for me, how I am reached, and where my key is."""

from fastapi import Request
from fastapi.responses import Response

from app.api.hexadecimal import to_hex
from app.api.wiring import wiring_of
from app.core.consent.basis import person
from app.portal.page_route import page_router
from app.portal.patient.acting import ActingFor
from app.portal.patient.directory import look_up
from app.portal.patient.frame import record_page
from app.portal.templating import READ, short_address

router = page_router()


@router.api_route("/patient/record", methods=READ)
async def my_record(request: Request, acting: ActingFor) -> Response:
    guardian = acting.patient.guardian
    if guardian is not None and guardian.until <= acting.caller.now:
        guardian = None
    known = None if guardian is None else await look_up(wiring_of(request), acting.caller, person(guardian.actor))
    return record_page(
        request,
        acting,
        "record.html",
        patient_key=to_hex(acting.patient.key),
        guardian=known,
        guardian_until=None if guardian is None else guardian.until,
        controller=short_address(acting.patient.actor or b""),
        move=acting.patient.move,
    )
