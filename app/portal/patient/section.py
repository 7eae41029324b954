"""What a patient finds, and whoever acts for one."""

from pathlib import Path

from app.api.caller import Caller
from app.portal.navigation import N_, Section
from app.portal.page_route import page_router

router = page_router()


def _is_for(caller: Caller) -> bool:
    return bool(caller.own_patients())


PATIENT = Section(
    name="patient",
    title=N_("My images"),
    entries=(),
    is_for=_is_for,
    router=router,
    folder=Path(__file__).parent,
)
