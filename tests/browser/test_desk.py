"""The desk's pages in a real browser: a letter whose QR code is read back, a lost key replaced by it, an odd identity
resolved and taken back, and how the gateway is.
"""

import time
from collections.abc import Iterator

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from playwright.sync_api import expect

from app.demo.seeding import claim_enrolment
from tests.browser.clinic import MARKUP, SIZES, until
from tests.browser.desk import DELAY_S, ISSUER, Desk, of_cast, press, read_letter, running_desk
from tests.support.differential import Zygote

pytestmark = pytest.mark.browser

PAGES = {
    "enrol": "/admin",
    "recoveries": "/admin/recoveries",
    "identities": "/admin/identities",
    "health": "/admin/health",
}
OWN, BLANK = "DESK-1", ""
# Enrolled and odd differ by case alone
STUDIES = (("2.25.88100", OWN), ("2.25.88101", "desk-1"), ("2.25.88102", BLANK))


@pytest.fixture(scope="module")
def whole_desk(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with running_desk(zygote, tmp_path_factory.mktemp("desk"), STUDIES) as desk:
        yield desk


@pytest.fixture(scope="module")
def patient(whole_desk: Desk) -> LocalAccount:
    """Enrolled at the desk, and in charge with a wallet."""
    body = {"patient_id": OWN, "issuer": ISSUER}
    made = whole_desk.client(of_cast("registrar")).post("/api/enrolments", body)
    account: LocalAccount = Account.create()
    claim_enrolment(whole_desk.gateway.url, account, made["code"])
    return account


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_whole_and_open_to_everybody(desk: Desk, patient: LocalAccount, size: str, name: str) -> None:
    window = desk.window(of_cast("registrar"), size)
    window.go(PAGES[name])
    window.must_be_whole(f"page-admin-{name}-{size}")


def test_nobody_else_has_the_pages(desk: Desk, patient: LocalAccount) -> None:
    for account in (patient, of_cast("physician1")):
        window = desk.window(account)
        for path in PAGES.values():
            answer = window.page.goto(desk.origin + path)
            assert answer is not None
            assert answer.status == 403
        window.errors.clear()  # the browser's own notes of those answers


def test_a_letter_takes_a_patient_from_the_desk_to_their_record(desk: Desk) -> None:
    window = desk.window(of_cast("registrar"), "desk")
    window.go("/admin")
    window.page.get_by_label("PatientID", exact=True).fill(f"DESK-2 {MARKUP}")
    window.page.get_by_label("issued by").fill(ISSUER)
    press(window, "Enrol and make the letter")
    link = read_letter(window, "desk-letter")
    assert link.startswith(f"{desk.origin}/claim#")
    window.page.emulate_media(media="print")
    window.page.screenshot(path=window.keep("desk-letter-printed"), full_page=True)
    assert not window.page.get_by_role("search").is_visible()
    assert window.page.locator("#letter .code").is_visible()
    window.page.emulate_media(media="screen")
    account: LocalAccount = Account.create()
    claim_enrolment(desk.gateway.url, account, link.partition("#")[2])
    press(window, "Done")
    window.page.get_by_label("PatientID contains").fill("desk-2")
    press(window, "Search")
    enrolled = window.page.locator(".enrolled li")
    until(lambda: enrolled.count() == 1, "the search ends")
    assert MARKUP in enrolled.inner_text()
    assert "in charge" in enrolled.inner_text()


def test_who_is_in_charge_already_gets_no_second_letter(desk: Desk, patient: LocalAccount) -> None:
    window = desk.window(of_cast("registrar"), "phone")
    window.go("/admin")
    window.page.get_by_label("PatientID", exact=True).fill(OWN)
    window.page.get_by_label("issued by").fill(ISSUER)
    press(window, "Enrol and make the letter")
    window.page.get_by_text("has taken charge already").wait_for()
    assert not window.page.locator("#letter").is_visible()
    window.errors.clear()  # the browser's own note of the 409


def test_an_odd_identity_is_resolved_and_taken_back(desk: Desk, patient: LocalAccount) -> None:
    window = desk.window(of_cast("registrar"), "phone")
    page = window.page
    window.go("/admin/identities")
    press(window, "Look through the archive")
    page.get_by_text("Looked through:").wait_for()
    cards = page.locator(".odd")
    until(lambda: cards.count() == 2, "both odd studies are listed")
    spelling = page.locator(".odd", has_text="but for case or spaces")
    spelling.locator("summary").click()
    spelling.get_by_label("The same person as").check()
    spelling.get_by_label("How do you know?").fill(f"Birth date compared {MARKUP}")
    assert window.violations() == []
    page.screenshot(path=window.keep("desk-odd"), full_page=True)
    spelling.get_by_role("button", name="Resolve").click()
    page.get_by_text("It is written down").wait_for()
    until(lambda: cards.count() == 1, "one is left")
    client = desk.client(of_cast("registrar"))
    (said,) = client.get("/api/identities/resolutions?in_force=true")["resolutions"]
    assert (said["kind"], said["patient_id"], said["reason"]) == ("alias", "desk-1", f"Birth date compared {MARKUP}")
    seen = desk.client(patient).get("/dicom-web/studies")
    assert {one["0020000D"]["Value"][0] for one in seen} == {"2.25.88100", "2.25.88101"}

    cards.locator("summary").click()
    cards.get_by_label("This study alone").check()
    cards.get_by_label("PatientID").fill("nobody")
    cards.get_by_label("How do you know?").fill("A guess")
    cards.get_by_role("button", name="Resolve").click()
    page.get_by_text("Nobody is enrolled by that PatientID").wait_for()
    cards.get_by_label("PatientID").fill(OWN)
    cards.get_by_label("issued by").fill(ISSUER)
    cards.get_by_role("button", name="Resolve").click()
    page.get_by_text("No study known here is in doubt.").wait_for()
    assert len(desk.client(patient).get("/dicom-web/studies")) == 3

    said_of = page.locator(".said-of")
    page.get_by_role("button", name="Take it back").first.click()
    until(lambda: said_of.count() == 1, "one is taken back")
    page.get_by_role("button", name="Take it back").click()
    until(lambda: said_of.count() == 0, "the other too")
    assert len(desk.client(patient).get("/dicom-web/studies")) == 1


def test_health_says_what_readyz_says(desk: Desk) -> None:
    window = desk.window(of_cast("registrar"))
    window.go("/admin/health")
    window.page.get_by_text("The gateway serves.").wait_for()
    # Where somebody looked at images in the hours before, there is a second table
    text = window.page.locator("table").first.inner_text()
    assert "Behind the node" in text
    assert text.count("answers") == 2


def test_a_lost_key_is_replaced_by_the_letter_and_one_signature(desk: Desk, patient: LocalAccount) -> None:
    window = desk.window(of_cast("registrar"), "phone")
    window.go("/admin/recoveries")
    window.page.get_by_label("PatientID").fill(OWN)
    window.page.get_by_label("issued by").fill(ISSUER)
    press(window, "Begin and make the letter")
    link = read_letter(window, "desk-recovery-letter")
    new: LocalAccount = Account.create()
    phone = desk.window(None, "phone")
    phone.page.goto(link)
    phone.page.get_by_role("link", name="Sign in with a wallet").wait_for()
    assert "#" not in phone.page.url
    assert phone.violations() == []
    phone.close()
    desk.windows.remove(phone)

    phone = desk.window(new, "phone")
    page = phone.page
    page.goto(link)
    expect(page.get_by_label("The code from the desk")).to_have_value(link.partition("#")[2])
    page.get_by_text(new.address.lower()).wait_for()
    press(phone, "Use the code")
    page.get_by_text("Everybody concerned is told.").wait_for()
    window.go("/admin/recoveries")
    assert OWN in window.page.locator(".recovery").first.inner_text()
    time.sleep(DELAY_S + 1)

    def ready() -> bool:
        phone.go("/recover")
        page.locator("#moves .card").wait_for()
        return page.get_by_role("button", name="Take over").count() == 1

    until(ready, "the delay is over")
    assert phone.violations() == []
    press(phone, "Take over")
    page.get_by_role("dialog").get_by_text("This key decides now.").first.wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_text("This key decides now.").wait_for()
    assert [one["0020000D"]["Value"][0] for one in desk.client(new).get("/dicom-web/studies")] == ["2.25.88100"]
    until(lambda: desk.client(patient).get("/dicom-web/studies") in ([], None), "the old key decides nothing")
    window.go("/admin/recoveries")
    window.page.get_by_text("taken over").wait_for()
