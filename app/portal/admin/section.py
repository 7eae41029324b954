"""What a PACS administrator and a registrar find: roles, directory, enrolment, teams, recovery, health."""

from pathlib import Path

from app.api.caller import Caller
from app.core.consent.terms import Role
from app.portal.navigation import N_, Section
from app.portal.page_route import page_router

router = page_router()


def _is_for(caller: Caller) -> bool:
    return caller.holds(Role.REGISTRAR)


ADMIN = Section(
    name="admin",
    title=N_("Administration"),
    entries=(),
    is_for=_is_for,
    router=router,
    folder=Path(__file__).parent,
)
