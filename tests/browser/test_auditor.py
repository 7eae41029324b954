"""The auditor's pages in a real browser: the log searched and checked, a review closed, a verification run."""

from collections.abc import Iterator

import pytest

from app.commands.client import Client, sign_typed
from tests.browser.chromium import Window
from tests.browser.clinic import MARKUP, Clinic, running_clinic, uid, until

pytestmark = pytest.mark.browser

PAGES = {"log": "/auditor", "emergencies": "/auditor/emergencies", "verification": "/auditor/verification"}
REASON = f"Unconscious {MARKUP}, nobody to ask"


@pytest.fixture(scope="module")
def whole_clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with running_clinic(tmp_path_factory.mktemp("audit")) as clinic:
        clinic.live.granted("patient1", "physician1")
        assert clinic.looked_at("physician1", uid(0)).status_code == 200
        yield clinic


def broken_by(clinic: Clinic, account: str) -> str:
    """An emergency of that account for the first patient, under which something was looked at; its id."""
    live = clinic.live
    patient = next(one for one in live.document["patients"] if one["account"] == "patient1")
    asked = {"patient_id": patient["patient_id"], "issuer": patient["issuer"], "reason": REASON}
    client = live.signed_in(account, "ETREAT")
    issued = client.post("/api/emergency-access/typed-data", asked)
    signature = sign_typed(live.account(account), issued["typed_data"])
    signed = {"reason_salt": issued["reason_salt"], "typed_data": issued["typed_data"], "signature": signature}
    answer = client.post("/api/emergency-access", asked | signed)
    assert Client(live.url, answer["access_token"]).get("/dicom-web/studies")
    path = f"/api/emergency-access/{answer['emergency_id']}"
    live.signed_in("auditor").until(path, lambda one: one["status"] == "final", 60)
    return str(answer["emergency_id"])


@pytest.fixture(scope="module")
def emergency(whole_clinic: Clinic) -> str:
    return broken_by(whole_clinic, "emergency")


@pytest.mark.parametrize("size", ["phone", "desk"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_whole_and_open_to_everybody(clinic: Clinic, emergency: str, size: str, name: str) -> None:
    window = clinic.window("auditor", size)
    window.go(PAGES[name])
    window.must_be_whole(f"page-auditor-{name}-{size}")


def test_nobody_else_has_the_pages(clinic: Clinic) -> None:
    window = clinic.window("physician1")
    for path in PAGES.values():
        answer = window.page.goto(clinic.origin + path)
        assert answer is not None
        assert answer.status == 403
    window.errors.clear()  # the browser's own notes of those answers


def test_the_log_is_searched_and_checked_by_the_browser(clinic: Clinic, emergency: str) -> None:
    window = clinic.window("auditor")
    page = window.page
    window.go("/auditor")
    entries = page.locator(".entry")
    everything = entries.count()
    assert everything >= 2
    page.get_by_text("checked on the chain").first.wait_for()
    until(lambda: page.get_by_text("checked on the chain").count() == everything, "every entry is checked")
    page.locator("summary", has_text="Search").click()
    page.get_by_label("For what").select_option("ETREAT")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_text("in an emergency").first.wait_for()
    assert 0 < entries.count() < everything
    assert page.locator(".entry:not(.emergency)").count() == 0
    record = entries.first.get_attribute("data-id")
    window.go(f"/auditor?record={record}")
    assert entries.count() == 1
    window.go("/auditor?record=" + "0" * 32)
    page.get_by_text("Nothing fits this search.").wait_for()


def test_a_review_is_one_signature_over_what_was_read(clinic: Clinic, emergency: str) -> None:
    window = clinic.window("auditor", "phone")
    page, wallet = window.page, window.wallet
    assert wallet is not None
    window.go("/auditor/emergencies")
    page.get_by_text(REASON).wait_for()
    page.get_by_role("link", name="Review it").click()
    page.get_by_text(REASON).wait_for()
    assert window.violations() == []
    page.get_by_label("Justified", exact=True).check()
    page.get_by_label("A note for the patient").fill("Seen with the ward.")
    page.screenshot(path=window.keep("auditor-review-phone"), full_page=True)
    page.get_by_role("button", name="Sign the review").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("the chain has it").wait_for()
    (document,) = wallet.documents
    assert dialog.locator("blockquote").inner_text() == document["message"]["words"]
    assert "Seen with the ward." in document["message"]["words"]
    dialog.get_by_role("button", name="Close").click()
    page.get_by_text("You closed the review.").wait_for()
    page.get_by_text("Closed by Ruth Adeyemi").wait_for()
    told = clinic.live.signed_in("patient1").get(f"/api/emergency-access/{emergency}")
    assert (told["review"]["finding"], told["review"]["note"]) == ("justified", "Seen with the ward.")
    window.go("/auditor/emergencies")
    page.get_by_text("No emergency waits for a review.").wait_for()


def finished(window: Window, number: int) -> None:
    until(lambda: window.page.locator('.run:not([data-status="running"])').count() == number, "the run ends")


def test_a_verification_shows_how_far_it_is_and_what_it_found(clinic: Clinic, emergency: str) -> None:
    window = clinic.window("auditor")
    window.go("/auditor/verification")
    window.page.get_by_role("button", name="Verify now").click()
    finished(window, 1)
    run = window.page.locator(".run").first
    text = run.inner_text()
    assert "complete and authorised" in text
    assert "under break-glass" in text
    assert "of them opened" in text
    assert window.violations() == []
    window.page.screenshot(path=window.keep("auditor-verified"), full_page=True)
    listed = clinic.live.signed_in("auditor").get("/api/verifications")["runs"]
    assert [(one["status"], one["with_records"]) for one in listed] == [("good", True)]
    assert listed[0]["report"]["records"] == listed[0]["report"]["opened"]


def test_a_record_that_was_changed_here_is_found_by_its_number(clinic: Clinic, emergency: str) -> None:
    """The gateway's own database is not believed: one byte changed in it shows."""
    import sqlite3  # noqa: PLC0415

    path = next(clinic.live.folder.glob("*.db")) if list(clinic.live.folder.glob("*.db")) else None
    database = path or next(clinic.live.folder.glob("*.sqlite*"))
    with sqlite3.connect(database, timeout=30) as connection:
        (record_id,) = connection.execute("SELECT record_id FROM access_record WHERE seq = 1").fetchone()
        connection.execute("UPDATE access_record SET salt = zeroblob(32) WHERE record_id = ?", (record_id,))
    window = clinic.window("auditor")
    window.go("/auditor/verification")
    before = window.page.locator(".run").count()
    window.page.get_by_role("button", name="Verify now").click()
    finished(window, before + 1)
    text = window.page.locator(".run").first.inner_text()
    assert "not in order" in text
    assert "record 1" in text
    window.go(f"/auditor?record={record_id.hex()}")
    window.page.get_by_text("does not match the chain").first.wait_for()
    window.page.screenshot(path=window.keep("auditor-changed"), full_page=True)
