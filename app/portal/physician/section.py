"""What a physician finds, and whoever holds the emergency role."""

from pathlib import Path

from app.api.caller import Caller
from app.core.consent.terms import Role
from app.portal.navigation import N_, Entry, Section
from app.portal.page_route import page_router
from app.portal.physician import asking, breaking, images, patients, programs, sharing

router = page_router()
for part in (images, patients, sharing, asking, breaking, programs):
    router.include_router(part.router)


def _is_for(caller: Caller) -> bool:
    return caller.holds(Role.PHYSICIAN) or caller.holds(Role.EMERGENCY)


PHYSICIAN = Section(
    name="physician",
    title=N_("Patients"),
    entries=(
        Entry("/physician", N_("Images"), "image"),
        Entry("/physician/patients", N_("My patients"), "people"),
        Entry("/physician/requests", N_("Ask"), "mail"),
        Entry("/physician/emergency", N_("Emergency"), "alert"),
        Entry("/physician/programs", N_("Programs"), "key"),
    ),
    is_for=_is_for,
    router=router,
    folder=Path(__file__).parent,
)
