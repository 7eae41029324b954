"""How one is told: an address given on a page, confirmed by the link in a real letter, written to, and forgotten."""

import time
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
import requests
from playwright.sync_api import Page

from tests.browser.chromium import Window
from tests.browser.clinic import Clinic, running_clinic, uid, until
from tests.browser.letters import SENDER, link_in, to, words

pytestmark = pytest.mark.browser

HERS, THEIRS = "eva@example.org", "castellan@example.org"
# The gateway looks for what is to be delivered every second.
_SILENCE_S = 3.0


@pytest.fixture(scope="module")
def whole_clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with running_clinic(tmp_path_factory.mktemp("clinic")) as clinic:
        yield clinic


def gave(clinic: Clinic, address: str, language: str = "en") -> Page:
    """The record's page, on which the patient gave an address that is not confirmed yet."""
    window = clinic.window(size="phone")
    page = window.page
    window.go("/patient/record")
    page.get_by_label("E-mail address").fill(address)
    page.get_by_label("Language of the messages").select_option(language)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Not confirmed yet").wait_for()
    assert window.violations() == []
    return page


def opened(clinic: Clinic, link: str) -> Window:
    """The link on another device, where nobody is signed in."""
    window = clinic.window(None)
    window.page.goto(link)
    return window


def says_nothing_of_anybody(clinic: Clinic, letter: EmailMessage) -> None:
    """No name, number, study or account of anybody, in whichever case, but in the address that it goes to."""
    told = [str(value) for name, value in letter.items() if name != "To"]
    text = "\n".join([*told, words(letter).partition("/contact#")[0]]).lower()
    names = ["Eva", "Lind", "CLINIC", "Castellan", "chest", uid(0), uid(1), clinic.key("patient1")[2:]]
    names += [clinic.address(account)[2:] for account in ("patient1", "physician1")]
    assert [name for name in names if name.lower() in text] == []


def is_confirmed(clinic: Clinic, account: str = "patient1") -> bool:
    return bool(clinic.live.signed_in(account).get("/api/contact")["email"]["confirmed"])


def confirmed_for(clinic: Clinic, account: str, address: str) -> None:
    """The same by the API, for somebody beside."""
    headers = {"Authorization": f"Bearer {clinic.live.signed_in(account).token}"}
    asked = requests.put(f"{clinic.origin}/api/contact", json={"email": address}, headers=headers, timeout=30)
    assert asked.status_code == 200, asked.text
    until(lambda: len(to(clinic.mailbox, address)) == 1, "the link arrives")
    token = link_in(to(clinic.mailbox, address)[0]).partition("#")[2]
    clinic.live.signed_in(account).post("/api/contact/confirmation", {"token": token})


def test_an_address_is_confirmed_by_its_letter_written_to_and_forgotten(clinic: Clinic) -> None:
    confirmed_for(clinic, "physician1", THEIRS)
    page = gave(clinic, HERS)
    until(lambda: len(to(clinic.mailbox, HERS)) == 1, "the link arrives")
    first = to(clinic.mailbox, HERS)[0]
    assert (first["From"], first["Subject"]) == (SENDER, "Please confirm that you may be reached here")
    link = link_in(first)
    assert link.startswith(clinic.origin + "/contact#")
    says_nothing_of_anybody(clinic, first)

    # Before it is confirmed nothing is sent there, though the other one is told
    consent = clinic.live.granted("patient1", "physician1")
    until(lambda: len(to(clinic.mailbox, THEIRS)) == 2, "who is let in is told")
    time.sleep(_SILENCE_S)
    assert len(to(clinic.mailbox, HERS)) == 1

    window = opened(clinic, link)
    window.page.get_by_role("button", name="Confirm").wait_for()
    assert window.page.evaluate("location.href") == clinic.origin + "/contact", "the token leaves the address"
    assert window.violations() == []
    assert not is_confirmed(clinic), "whoever only opens a link confirms nothing"
    window.page.get_by_role("button", name="Confirm").click()
    window.page.get_by_text("You will be told there from now on.").wait_for()
    assert window.page.get_by_role("button", name="Confirm").is_disabled()
    assert is_confirmed(clinic)
    page.reload()
    page.get_by_text("Confirmed.").wait_for()
    assert page.get_by_label("E-mail address").input_value() == HERS

    clinic.live.revoked("patient1", consent)
    until(lambda: len(to(clinic.mailbox, HERS)) == 2, "what was taken back is told")
    again = clinic.live.granted("patient1", "physician1", scope={"studies": [uid(0)]})
    until(lambda: len(to(clinic.mailbox, HERS)) == 3, "a grant is told")
    notice = to(clinic.mailbox, HERS)[2]
    assert (notice["From"], notice["Subject"]) == (SENDER, "There is something for you to look at")
    assert "A consent or a denial that concerns you has come into force." in words(notice).replace("\n", " ")
    assert link_in(notice) == clinic.origin
    until(lambda: len(to(clinic.mailbox, THEIRS)) == 4, "who is let in is told of both too")
    for letter in clinic.mailbox.letters:
        says_nothing_of_anybody(clinic, letter)

    page.get_by_role("button", name="Forget it").click()
    page.get_by_text("Forgotten.").wait_for()
    assert page.get_by_label("E-mail address").input_value() == ""
    assert clinic.live.signed_in("patient1").get("/api/contact")["email"] is None
    clinic.live.revoked("patient1", again)
    until(lambda: len(to(clinic.mailbox, THEIRS)) == 5, "the other one is still told")
    time.sleep(_SILENCE_S)
    assert len(to(clinic.mailbox, HERS)) == 3, "nobody is told any more where they took it back"


def test_a_link_opens_once_and_only_whole(clinic: Clinic) -> None:
    page = gave(clinic, "bo@example.org", "de")
    until(lambda: len(to(clinic.mailbox, "bo@example.org")) == 1, "the link arrives")
    letter = to(clinic.mailbox, "bo@example.org")[0]
    assert letter["Subject"] == "Bitte bestätigen Sie, dass Sie hier zu erreichen sind", "in the language chosen"
    link = link_in(letter)
    half = opened(clinic, link[:-1])
    half.page.get_by_text("This is not the whole link.").wait_for()
    assert half.page.get_by_role("button", name="Confirm").is_disabled()
    one, other = opened(clinic, link), opened(clinic, link)
    for window in (one, other):
        window.page.get_by_role("button", name="Confirm").click()
    one.page.get_by_text("You will be told there from now on.").wait_for()
    other.page.get_by_text("This link is used up or too old.").wait_for()
    other.errors.clear()  # the browser's own note of that answer
    page.get_by_role("button", name="Forget it").click()
    page.get_by_text("Forgotten.").wait_for()
