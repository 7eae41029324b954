"""What an auditor finds: the log, reviews of break-glass, verification."""

from pathlib import Path

from app.api.caller import Caller
from app.core.consent.terms import Role
from app.portal.auditor import emergencies, log, verification
from app.portal.navigation import N_, Entry, Section
from app.portal.page_route import page_router

router = page_router()
for part in (log, emergencies, verification):
    router.include_router(part.router)


def _is_for(caller: Caller) -> bool:
    return caller.holds(Role.AUDITOR)


AUDITOR = Section(
    name="auditor",
    title=N_("Audit"),
    entries=(
        Entry("/auditor", N_("The log"), "list"),
        Entry("/auditor/emergencies", N_("Emergencies"), "alert"),
        Entry("/auditor/verification", N_("Verification"), "shield"),
    ),
    is_for=_is_for,
    router=router,
    folder=Path(__file__).parent,
)
