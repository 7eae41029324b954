"""The page about programs: for whom it is, what it offers, and that its settings are those of docs/VIEWERS.md."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.consent.basis import role_id
from app.core.consent.events import RoleSet
from app.core.consent.fold import fold_all
from app.core.consent.terms import Role, Window
from app.core.identifiers import Address, UnixTime
from app.core.oauth.scopes import IMAGES, SCOPES, UPLOAD
from app.portal.physician import programs
from tests.portal.opened import ORIGIN, Portal
from tests.support.needs import PROJECT
from tests.support.stores import opened_sqlite

PROGRAMS = "/physician/programs"
LOOKING = {"/physician", "/physician/patients", "/physician/requests", "/physician/emergency"}
SOMEBODY = Address(b"s" * 20)
_ALWAYS = Window(UnixTime(0), UnixTime(1 << 40))
_VIEWERS = (PROJECT / "docs" / "VIEWERS.md").read_text(encoding="utf-8")
_SCRIPT = (PROJECT / "app" / "portal" / "physician" / "static" / "programs.js").read_text(encoding="utf-8")


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    database = opened_sqlite(tmp_path / "store.db")
    yield Portal(database, tmp_path)
    database.close()


def hold(portal: Portal, *roles: Role) -> None:
    portal.api.state = fold_all(portal.api.state, [RoleSet(role_id(role), SOMEBODY, _ALWAYS) for role in roles])


# Who holds what → the section's pages that they have, whether they may ask and break the glass, and whether "store
# images" is offered (and already chosen, for whom a token would open nothing else).
@pytest.mark.parametrize(
    ("roles", "pages", "asks", "breaks", "box"),
    [
        ({Role.PHYSICIAN}, LOOKING | {PROGRAMS}, True, False, ""),
        ({Role.EMERGENCY}, LOOKING | {PROGRAMS}, False, True, ""),
        ({Role.PHYSICIAN, Role.EMERGENCY}, LOOKING | {PROGRAMS}, True, True, ""),
        ({Role.UPLOADER}, {PROGRAMS}, None, None, "chosen"),
        ({Role.UPLOADER, Role.PHYSICIAN}, LOOKING | {PROGRAMS}, True, False, "offered"),
        ({Role.UPLOADER, Role.EMERGENCY}, LOOKING | {PROGRAMS}, False, True, "offered"),
        ({Role.AUDITOR}, set(), None, None, None),
        ({Role.REGISTRAR}, set(), None, None, None),
        (set(), set(), None, None, None),
    ],
)
async def test_each_has_the_pages_that_their_roles_need(
    portal: Portal, roles: set[Role], pages: set[str], *, asks: bool | None, breaks: bool | None, box: str | None
) -> None:
    hold(portal, *roles)
    opened = {path: await portal.open(path, SOMEBODY) for path in LOOKING | {PROGRAMS}}
    assert {path for path, answer in opened.items() if answer.status_code == 200} == pages
    assert {answer.status_code for answer in opened.values()} <= {200, 403}
    if not pages:
        return
    entries = opened[PROGRAMS].text.partition('<nav class="entries"')[2].partition("</nav>")[0]
    assert set(re.findall(r'<a href="([^"]+)"', entries)) == pages
    start = await portal.open("/", SOMEBODY)
    assert start.headers["location"] == ("/physician" if pages >= LOOKING else PROGRAMS)
    if asks is not None:
        assert ('id="ask"' in opened["/physician/requests"].text) == asks
        assert ('id="break"' in opened["/physician/emergency"].text) == breaks
    found = re.search(r'<input type="checkbox" name="upload"( checked)?>', opened[PROGRAMS].text)
    assert box == ("" if found is None else "chosen" if found[1] else "offered")


# --- The settings --------------------------------------------------------------------------------------------------


def section(title: str) -> str:
    """A section of docs/VIEWERS.md."""
    (text,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", _VIEWERS, re.MULTILINE | re.DOTALL)
    return str(text)


def blocks(title: str, language: str) -> list[str]:
    return [one.strip() for one in re.findall(rf"^```{language}\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)]


def filled(text: str) -> str:
    """What the document takes from the environment or from a demo, as the page leaves a place for it."""
    replaced = (
        ("import os\n\n", ""),
        ("f\"Bearer {os.environ['CONSENTRY_TOKEN']}\"", '"Bearer TOKEN"'),
        ('os.environ["CONSENTRY_TOKEN"]', '"TOKEN"'),
        ('os.environ["STUDY"]', '"STUDY"'),
        ("$CONSENTRY_TOKEN", "TOKEN"),
        ("<token>", "TOKEN"),
        ("DEMO-1001", "PATIENT"),
        ("CONSENTRY-DEMO", "ISSUER"),
    )
    for theirs, ours in replaced:
        text = text.replace(theirs, ours)
    return text


def documented() -> dict[str, str]:
    """The page's settings as docs/VIEWERS.md has them, by their place on the page."""
    elsewhere = section("OHIF, of your own on another origin")
    (origin,) = re.findall(r"OHIF at `(http://localhost:\d+)`", elsewhere)
    (link,) = re.findall(r"`(/viewer\?StudyInstanceUIDs=…&token=…)`", elsewhere)
    (header,) = re.findall(r"^\| HTTP headers \| `(.*)` \|$", section("Weasis"), re.MULTILINE)
    (ohif,) = blocks("OHIF, of your own on another origin", "js")
    (slicer,) = blocks("3D Slicer", "python")
    (weasis,) = blocks("Weasis", "text")
    (python,) = blocks("dicomweb-client", "python")
    shell, _ = blocks("dicomweb-client", "sh")
    found = {
        "ohif": ohif,
        "ohif-token": origin + link.replace("…", "STUDY", 1).replace("…", "TOKEN"),
        "slicer": slicer,
        "weasis-header": header,
        "weasis": weasis,
        "python": python,
        "shell": shell,
    }
    return {name: filled(text) for name, text in found.items()}


async def test_the_settings_are_those_of_the_document(portal: Portal) -> None:
    hold(portal, Role.PHYSICIAN)
    text = (await portal.open(PROGRAMS, SOMEBODY)).text
    shown = re.findall(r'<pre id="([^"]+)" class="setting"[^>]*><code>(.*?)</code></pre>', text, re.DOTALL)
    assert {name: html.unescape(code) for name, code in shown} == documented()
    assert ORIGIN == "http://localhost:8080", "the address that the document says is to be replaced"


def test_the_document_names_the_scopes_and_where_tokens_are_made() -> None:
    (row,) = re.findall(r"^\| Scopes \| (.*?);", _VIEWERS, re.MULTILINE)
    assert set(re.findall(r"`([a-z_.]+)`", row)) == set(SCOPES)
    told = section("A token for programs")
    assert f"`{PROGRAMS}`" in told
    assert "POST /api/programs/tokens" in told
    assert {IMAGES, UPLOAD} <= set(re.findall(r"`([a-z.]+)`", told))
    assert f'"{IMAGES} {UPLOAD}" : "{IMAGES}"' in _SCRIPT, "what the page asks for"
    assert '"/api/programs/tokens"' in _SCRIPT
    assert max(seconds for seconds, _ in programs._LIFETIMES) == 7 * 86400
    assert "seven days at most" in told
