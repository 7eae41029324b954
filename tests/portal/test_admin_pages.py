"""Which of the desk's and the administrator's pages somebody has, page by page, in the navigation as by the address."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.api.wiring import Condition
from app.core.consent.events import TeamCreated, TeamPartSet
from app.core.consent.fold import fold_all
from app.core.consent.terms import TeamPart, Window
from app.core.identifiers import Address, Grantee, UnixTime
from tests.api.in_process import ADMIN, AUDITOR, NOW, PATIENT, PHYSICIAN, REGISTRAR, STRANGER
from tests.portal.opened import Portal
from tests.support.stores import opened_sqlite

_LEAD = Address(b"\x44" * 20)
_TEAM = Grantee(b"\x55" * 32)
_WHO = {
    "patient": PATIENT,
    "physician": PHYSICIAN,
    "auditor": AUDITOR,
    "registrar": REGISTRAR,
    "admin": ADMIN,
    "lead": _LEAD,
    "nobody's": STRANGER,
}
_DESK, _STAFF = {"registrar"}, {"registrar", "admin"}
_PAGES = {
    "/admin": _DESK,
    "/admin/recoveries": _DESK,
    "/admin/identities": _DESK,
    "/admin/roles": _STAFF,
    "/admin/roles/invitations": _STAFF,
    "/admin/directory": _STAFF,
    "/admin/teams": _STAFF | {"lead"},
    "/admin/health": _STAFF,
}


async def _answers(*_asked: object) -> None:
    """The archive and the node do."""


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    database = opened_sqlite(tmp_path / "store.db")
    opened = Portal(database, tmp_path)
    opened.archive.check = _answers  # type: ignore[attr-defined]
    well = Condition(None, 0.0, 0, 0, 0, 0, late=False, trouble=(), notices_waiting=0, notices_given_up=0)
    opened.api.wiring.journal = SimpleNamespace(available=True)  # type: ignore[misc,assignment]
    opened.api.wiring.condition = lambda: well  # type: ignore[misc]
    opened.api.wiring.nodes = SimpleNamespace(check_chain=_answers)  # type: ignore[misc,assignment]
    leads = TeamPartSet(_TEAM, _LEAD, TeamPart.LEAD, Window(UnixTime(0), UnixTime(NOW + 86_400)), 1)
    opened.api.state = fold_all(opened.api.state, [TeamCreated(_TEAM), leads])
    yield opened
    database.close()


@pytest.mark.parametrize("path", _PAGES)
async def test_who_has_the_page(portal: Portal, path: str) -> None:
    seen = {name for name, who in _WHO.items() if (await portal.open(path, who)).status_code == 200}
    assert seen == _PAGES[path]
    assert (await portal.open(path, None)).status_code == 303


@pytest.mark.parametrize("name", _WHO)
async def test_what_is_offered_is_what_opens(portal: Portal, name: str) -> None:
    """An entry that answers 403 leads nowhere, and a page that nothing leads to is found by nobody."""
    own = {path for path, who in _PAGES.items() if name in who} - {"/admin/roles/invitations"}
    start = await portal.open("/", _WHO[name])
    offered: set[str] = set()
    if own:
        page = (await portal.open(min(own, key=len), _WHO[name])).text
        offered = set(re.findall(r'<li><a href="(/admin[^"?]*)"', page[page.index('class="entries"') :]))
        assert f'href="{min(own, key=list(_PAGES).index)}"' in start.text or start.status_code == 303
    assert offered == own
    assert own or "/admin" not in start.text
