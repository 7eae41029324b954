"""What an auditor finds: the log, reviews of break-glass, verification."""

from pathlib import Path

from app.api.caller import Caller
from app.core.consent.terms import Role
from app.portal.navigation import N_, Section
from app.portal.page_route import page_router

router = page_router()


def _is_for(caller: Caller) -> bool:
    return caller.holds(Role.AUDITOR)


AUDITOR = Section(
    name="auditor",
    title=N_("Audit"),
    entries=(),
    is_for=_is_for,
    router=router,
    folder=Path(__file__).parent,
)
