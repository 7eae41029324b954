"""What a physician finds, whoever holds the emergency role, and, of the programs alone, whoever stores images."""

from pathlib import Path

from app.api.oauth.programs import may_make
from app.core.consent.terms import Purpose
from app.portal.navigation import N_, Entry, Section
from app.portal.page_route import page_router
from app.portal.physician import asking, breaking, images, patients, programs, sharing
from app.portal.physician.staff import is_staff

router = page_router()
for part in (images, patients, sharing, asking, breaking, programs):
    router.include_router(part.router)


PHYSICIAN = Section(
    name="physician",
    title=N_("Patients"),
    entries=(
        Entry("/physician", N_("Images"), "image", is_staff),
        Entry("/physician/patients", N_("My patients"), "people", is_staff),
        Entry("/physician/requests", N_("Ask"), "mail", is_staff),
        Entry("/physician/emergency", N_("Emergency"), "alert", is_staff),
        Entry("/physician/programs", N_("Programs"), "key"),
    ),
    is_for=may_make,
    router=router,
    folder=Path(__file__).parent,
    begins_for=frozenset({Purpose.TREAT, Purpose.ETREAT}),
)
