"""What the people of the desk and the administrator find: enrolment, lost wallets, odd identities, roles, names, teams,
and how the gateway is. Leads find their teams.
"""

from pathlib import Path

from app.api.caller import Caller
from app.core.consent.terms import Role
from app.portal.admin import directory, enrolment, health, identities, invitations, recoveries, roles, teams
from app.portal.navigation import N_, Entry, Section
from app.portal.page_route import page_router

router = page_router()
for part in (enrolment, recoveries, identities, roles, invitations, directory, teams, health):
    router.include_router(part.router)


def _desk(caller: Caller) -> bool:
    return caller.holds(Role.REGISTRAR)


def _staff(caller: Caller) -> bool:
    return _desk(caller) or caller.is_admin


def _with_teams(caller: Caller) -> bool:
    return _staff(caller) or teams.leads_a_team(caller)


ADMIN = Section(
    name="admin",
    title=N_("Administration"),
    entries=(
        Entry("/admin", N_("Enrol"), "qr", _desk),
        Entry("/admin/recoveries", N_("Lost keys"), "key", _desk),
        Entry("/admin/identities", N_("Odd identities"), "search", _desk),
        Entry("/admin/roles", N_("Roles"), "shield", _staff),
        Entry("/admin/directory", N_("Directory"), "people", _staff),
        Entry("/admin/teams", N_("Teams"), "team", _with_teams),
        Entry("/admin/health", N_("Health"), "pulse", _staff),
    ),
    is_for=_with_teams,
    router=router,
    folder=Path(__file__).parent,
)
