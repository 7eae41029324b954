"""The frame around every page: who is let in, in which language, and what is said when something is away."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from fastapi import Request, Response

from app.core.consent.basis import role_id
from app.core.consent.events import RoleSet
from app.core.consent.fold import fold_all
from app.core.consent.terms import Purpose, Role, Window
from app.core.http.credentials import SESSION_COOKIE
from app.core.identifiers import Signer, UnixTime
from app.portal.page_route import page_router
from app.portal.templating import page
from app.portal.visitor import Reader
from app.store.engine import StoreUnavailableError
from tests.api.in_process import PATIENT, STRANGER
from tests.portal.opened import ORIGIN, Portal
from tests.support.needs import PROJECT
from tests.support.stores import opened_sqlite

ROOM = page_router()


@ROOM.get("/room")
async def room(request: Request, caller: Reader) -> Response:
    return page(request, "problem.html", title="<b>title</b>", text=caller.actor.hex())


@ROOM.get("/broken")
async def broken(request: Request, kind: int) -> Response:
    if kind == 2:
        raise ValueError("Lind^Eva")
    raise StoreUnavailableError(str(kind))


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    database = opened_sqlite(tmp_path / "store.db")
    yield Portal(database, tmp_path, [ROOM])
    database.close()


async def test_a_page_asks_for_signing_in_and_leads_back(portal: Portal) -> None:
    answer = await portal.open("/room?a=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin?" + urlencode({"next": "/room?a=1"}))
    from_elsewhere = await portal.open("/room?a=1", sec_fetch_site="cross-site")
    assert from_elsewhere.status_code == 200
    assert "url=/room?a=1" in from_elsewhere.text


async def test_who_is_signed_in_is_told_so_and_names_stay_text(portal: Portal) -> None:
    answer = await portal.open("/room", PATIENT)
    assert answer.status_code == 200
    assert "<b>" not in answer.text
    assert "&lt;b&gt;title" in answer.text
    assert PATIENT.hex() in answer.text
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["vary"] == "Cookie, Accept-Language"
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_an_unknown_chain_is_a_page_with_its_status(portal: Portal) -> None:
    portal.api.wiring.standing = lambda: None  # type: ignore[misc]
    answer = await portal.open("/room", PATIENT)
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")
    assert "The chain cannot be read just now" in answer.text
    assert 'href="/room"' in answer.text, "and leads back"
    assert (await portal.open("/about", PATIENT)).status_code == 200, "what needs no chain is there all the same"


async def test_what_goes_wrong_is_a_page_in_words(portal: Portal, caplog: pytest.LogCaptureFixture) -> None:
    store = await portal.open("/broken?kind=1", PATIENT, accept_language="de")
    assert store.status_code == 503
    assert "Der eigene Speicher des Gateways" in store.text
    unforeseen = await portal.open("/broken?kind=2", PATIENT)
    assert unforeseen.status_code == 500
    assert "Something went wrong here" in unforeseen.text
    assert "ValueError in broken" in caplog.text
    assert "Lind" not in caplog.text + unforeseen.text
    unread = await portal.open("/broken?kind=x", PATIENT)
    assert unread.status_code == 400
    assert "This address cannot be understood" in unread.text


async def test_the_api_keeps_its_problems(portal: Portal) -> None:
    answer = await portal.open("/api/consents/x", PATIENT)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/", "/about", "/signin"])
async def test_pages_speak_the_readers_language(portal: Portal, path: str) -> None:
    german = await portal.open(path, accept_language="de-DE")
    assert '<html lang="de">' in german.text
    assert "Zum Inhalt springen" in german.text
    assert '<html lang="en">' in (await portal.open(path, accept_language="fr")).text
    chosen = await portal.open(path, cookie="consentry-language=en", accept_language="de")
    assert '<html lang="en">' in chosen.text


async def test_a_language_is_chosen_by_our_own_form_only(portal: Portal) -> None:
    form = urlencode({"language": "de", "next": "/about"})
    answer = await portal.open("/language", method="POST", form=form, origin=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/about")
    assert answer.headers["set-cookie"].startswith("consentry-language=de; HttpOnly; Max-Age=")
    assert (await portal.open("/language", method="POST", form=form, origin="https://x.test")).status_code == 403
    away = urlencode({"language": "de", "next": "//x.test"})
    led = await portal.open("/language", method="POST", form=away, origin=ORIGIN)
    assert led.headers["location"] == "/"
    unknown = await portal.open("/language", method="POST", form="language=xx", origin=ORIGIN)
    assert unknown.status_code == 400
    assert unknown.headers["content-type"].startswith("text/html")
    long = await portal.open("/language", method="POST", form="language=de&next=/" + "a" * 9000, origin=ORIGIN)
    assert long.status_code == 413


async def test_parts_are_kept_under_the_builds_address_alone(portal: Portal) -> None:
    text = (await portal.open("/")).text
    (style,) = re.findall(r'href="(/static/\w+/consentry.css)"', text)
    kept = await portal.open(style)
    assert "immutable" in kept.headers["cache-control"]
    for address in ("/static/consentry.css", "/static/0123456789ab/consentry.css"):
        other = await portal.open(address)
        assert (other.status_code, other.headers["cache-control"]) == (200, "no-cache")
        assert other.body == kept.body
        again = await portal.open(address, if_none_match=other.headers["etag"])
        assert (again.status_code, again.body) == (304, b"")
    assert (await portal.open(style.replace(".css", ".txt"))).status_code == 404


async def test_whoever_has_a_section_begins_there(portal: Portal) -> None:
    answer = await portal.open("/", PATIENT)
    assert (answer.status_code, answer.headers["location"]) == (303, "/patient")
    assert (await portal.open("/about", PATIENT)).status_code == 200


# What they are and what they signed in for → where they begin.
@pytest.mark.parametrize(
    ("roles", "purpose", "begins"),
    [
        ((Role.PHYSICIAN,), Purpose.TREAT, "/physician"),
        ((Role.PHYSICIAN,), Purpose.ETREAT, "/physician"),
        ((Role.PHYSICIAN,), Purpose.PATRQT, "/patient"),
        ((Role.PHYSICIAN, Role.AUDITOR), Purpose.HRESCH, "/patient"),
        ((Role.AUDITOR,), Purpose.TREAT, "/patient"),
        ((), Purpose.TREAT, "/patient"),
    ],
)
async def test_of_several_sections_the_one_they_came_for_comes_first(
    portal: Portal, roles: tuple[Role, ...], purpose: Purpose, begins: str
) -> None:
    always = Window(UnixTime(0), UnixTime(1 << 40))
    portal.api.state = fold_all(portal.api.state, [RoleSet(role_id(role), PATIENT, always) for role in roles])
    token, _ = await portal.api.wiring.sessions.create(Signer(PATIENT), purpose, UnixTime(portal.api.now + 600))
    assert (await portal.open("/", cookie=f"{SESSION_COOKIE}={token}")).headers["location"] == begins


async def test_whoever_is_signed_in_signs_in_anew_only_where_they_ask_for_it(portal: Portal) -> None:
    offered = 'id="signin"'
    plain = await portal.open("/signin?next=/about", PATIENT)
    assert offered not in plain.text
    assert 'class="button" href="/about"' in plain.text
    again = await portal.open("/signin?next=/about&again=1", PATIENT)
    assert offered in again.text
    assert "You are signed in as" in again.text
    assert offered in (await portal.open("/signin")).text


async def test_nobodys_account_has_no_section(portal: Portal) -> None:
    answer = await portal.open("/", STRANGER)
    assert answer.status_code == 200
    assert 'class="entries"' not in answer.text


def test_what_is_typed_into_a_form_is_in_no_address() -> None:
    """Also where it is sent before a script takes it: a form that names no method would put it into the address."""
    forms = [
        (path.name, form)
        for path in (PROJECT / "app" / "portal").rglob("*.html")
        for form in re.findall(r"<form[^>]*>", path.read_text())
    ]
    assert len(forms) > 10
    assert {name for name, form in forms if 'method="post"' not in form} <= {"accesses.html", "device.html", "log.html"}
    # What only a script takes, a press before it listens must not send
    assert [name for name, form in forms if ("action=" in form) == (" inert" in form)] == []
