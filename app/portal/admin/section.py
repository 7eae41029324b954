"""What the people of the desk find: enrolment, lost wallets, odd identities, and how the gateway is."""

from pathlib import Path

from app.api.caller import Caller
from app.core.consent.terms import Role
from app.portal.admin import enrolment, health, identities, recoveries
from app.portal.navigation import N_, Entry, Section
from app.portal.page_route import page_router

router = page_router()
for part in (enrolment, recoveries, identities, health):
    router.include_router(part.router)


def _is_for(caller: Caller) -> bool:
    return caller.holds(Role.REGISTRAR)


ADMIN = Section(
    name="admin",
    title=N_("Administration"),
    entries=(
        Entry("/admin", N_("Enrol"), "qr"),
        Entry("/admin/recoveries", N_("Lost keys"), "key"),
        Entry("/admin/identities", N_("Odd identities"), "people"),
        Entry("/admin/health", N_("Health"), "pulse"),
    ),
    is_for=_is_for,
    router=router,
    folder=Path(__file__).parent,
)
