"""What a patient finds, and whoever acts for one."""

from pathlib import Path

from app.api.caller import Caller
from app.portal.navigation import N_, Entry, Section
from app.portal.page_route import page_router
from app.portal.patient import consents, granting, looked, overview, record, requests

router = page_router()
for part in (overview, granting, consents, requests, looked, record):
    router.include_router(part.router)


def _is_for(caller: Caller) -> bool:
    return bool(caller.own_patients())


PATIENT = Section(
    name="patient",
    title=N_("My images"),
    entries=(
        Entry("/patient", N_("Overview"), "home"),
        Entry("/patient/consents", N_("Who may look"), "people"),
        Entry("/patient/requests", N_("Requests"), "mail"),
        Entry("/patient/accesses", N_("Who looked"), "eye"),
        Entry("/patient/record", N_("My record"), "person"),
    ),
    is_for=_is_for,
    router=router,
    folder=Path(__file__).parent,
)
