"""What a physician finds: search, my patients, asking, tokens for programs."""

from pathlib import Path

from app.api.caller import Caller
from app.core.consent.terms import Role
from app.portal.navigation import N_, Section
from app.portal.page_route import page_router

router = page_router()


def _is_for(caller: Caller) -> bool:
    return caller.holds(Role.PHYSICIAN)


PHYSICIAN = Section(
    name="physician",
    title=N_("My work"),
    entries=(),
    is_for=_is_for,
    router=router,
    folder=Path(__file__).parent,
)
