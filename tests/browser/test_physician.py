"""The physician's pages in a real browser: what they may see, asking, sharing on, and breaking the glass."""

from collections.abc import Iterator

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from eth_account import Account

from tests.browser.chromium import Window
from tests.browser.clinic import MARKUP, Clinic, running_clinic, uid, until

pytestmark = pytest.mark.browser

PAGES = {
    "images": "/physician",
    "patients": "/physician/patients",
    "requests": "/physician/requests",
    "emergency": "/physician/emergency",
    "programs": "/physician/programs",
}


@pytest.fixture(scope="module")
def whole_clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with running_clinic(tmp_path_factory.mktemp("clinic")) as clinic:
        clinic.live.granted("patient1", "physician1", actions=["search", "view", "retrieve", "share"], share_depth=1)
        clinic.live.granted("patient2", "physician1", actions=["search", "view"], purposes=["TREAT", "HRESCH"])
        clinic.asked_by("physician1", "patient2", reason=f"For your knee {MARKUP}\nand the other one.")
        yield clinic


@pytest.mark.parametrize("size", ["phone", "desk"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_whole_and_open_to_everybody(clinic: Clinic, size: str, name: str) -> None:
    window = clinic.window("physician1", size)
    window.go(PAGES[name])
    window.must_be_whole(f"page-physician-{name}-{size}")


def test_nobody_else_has_the_pages(clinic: Clinic) -> None:
    window = clinic.window("patient1")
    for path in PAGES.values():
        answer = window.page.goto(clinic.origin + path)
        assert answer is not None
        assert answer.status == 403
    window.errors.clear()  # the browser's own notes of those answers


def studies_on(window: Window) -> list[str]:
    return window.page.locator("#studies h2").all_inner_texts()


def test_the_images_are_those_that_patients_let_be_seen_and_names_stay_text(clinic: Clinic) -> None:
    window = clinic.window("physician1", "phone")
    page = window.page
    window.go("/physician")
    page.get_by_text("4 studies").wait_for()
    assert sorted(studies_on(window)) == sorted(["Lind, Eva"] * 3 + ["<img src"])
    until(lambda: page.locator(".picture.there").count() >= 3, "thumbnails come")
    page.get_by_label("MRN").fill("CLINIC-2")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("1 study").wait_for()
    assert studies_on(window) == ["<img src"]
    page.get_by_label("MRN").fill("")
    page.get_by_label("Name").fill("lind")
    page.get_by_label("From").fill("2026-06-01")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("1 study").wait_for()
    assert f"MR {MARKUP}" in page.locator("#studies").inner_text()
    page.get_by_label("Name").fill("nobody of that name")
    page.get_by_role("button", name="Search").click()
    page.get_by_text("Nothing that you may see fits.").wait_for()
    link = clinic.window("physician1")
    link.go("/physician")
    href = link.page.get_by_role("link", name="Open in the viewer").first.get_attribute("href")
    assert href is not None
    assert href.startswith("/viewer/viewer?StudyInstanceUIDs=2.25.7720")


def test_asking_reaches_the_patient_and_can_be_withdrawn(clinic: Clinic) -> None:
    window = clinic.window("physician2", "phone")
    page = window.page
    window.go("/physician/requests")
    page.get_by_role("button", name="Ask", exact=True).click()
    assert page.evaluate("document.activeElement.id") == "reason", "the browser asks for what is missing"
    page.get_by_label("Why do you ask?").fill(f"Before surgery {MARKUP}")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("one of the two").wait_for()
    page.get_by_label("or the MRN").fill("CLINIC-1")
    page.get_by_label("issued by").fill("CLINIC")
    assert window.violations() == []
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("You asked.").wait_for()
    page.get_by_text("waiting for an answer").wait_for()
    asked = clinic.live.signed_in("patient1").get("/api/access-requests")["requests"]
    assert [one["reason"] for one in asked if one["requester"] == clinic.address("physician2")] == [
        f"Before surgery {MARKUP}"
    ]
    page.screenshot(path=window.keep("physician-asked-phone"), full_page=True)
    page.get_by_role("button", name="Withdraw").click()
    page.get_by_text("You withdrew it.").wait_for()
    page.get_by_text("withdrawn", exact=True).wait_for()


def test_what_may_be_shared_on_is_shared_by_one_signature(clinic: Clinic) -> None:
    window = clinic.window("physician1")
    page, wallet = window.page, window.wallet
    assert wallet is not None
    window.go("/physician/patients")
    page.get_by_role("link", name="Share on").click()
    page.get_by_label("Search for a name or a hospital").fill("brandt")
    page.get_by_role("button", name="Dr. Tomas Brandt").click()
    page.get_by_label("download").uncheck()
    assert window.violations() == []
    page.screenshot(path=window.keep("physician-share"), full_page=True)
    page.get_by_role("button", name="Sign", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("they may look now").wait_for()
    (document,) = wallet.documents
    assert dialog.locator("blockquote").inner_text() == document["message"]["words"]
    dialog.get_by_role("button", name="Close").click()
    page.get_by_text("You shared it on.").wait_for()
    assert clinic.looked_at("physician2", uid(0)).status_code == 404, "viewing only"
    found = clinic.live.signed_in("physician2").get("/dicom-web/studies")
    assert {row["0020000D"]["Value"][0] for row in found} == {uid(0), uid(1), uid(2)}


def test_breaking_the_glass_is_one_signature_and_shows_on_every_page(clinic: Clinic) -> None:
    window = clinic.window("emergency", "phone")
    page, wallet = window.page, window.wallet
    assert wallet is not None
    window.go("/physician")
    page.get_by_text("Nothing that you may see fits.").wait_for()
    page.get_by_role("link", name="Emergency").click()
    page.get_by_label("MRN").fill("CLINIC-1")
    page.get_by_label("issued by").fill("CLINIC")
    page.get_by_label("Why?").fill(f"Unconscious {MARKUP} after a fall")
    assert window.violations() == []
    page.screenshot(path=window.keep("physician-break-phone"), full_page=True)
    page.get_by_role("button", name="Break the glass").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("You may see this patient's images now.").wait_for()
    (document,) = wallet.documents
    assert dialog.locator("blockquote").inner_text() == document["message"]["words"]
    assert "This is an emergency." in document["message"]["words"]
    dialog.get_by_role("button", name="Close").click()
    page.get_by_text("You are signed in for an emergency.").wait_for()
    page.get_by_text("3 studies").wait_for()
    window.go("/physician/patients")
    page.get_by_text("You are signed in for an emergency.").wait_for()
    window.go("/physician/emergency")
    page.get_by_text(f"Unconscious {MARKUP} after a fall").wait_for()


def test_whoever_holds_no_emergency_role_is_told_so(clinic: Clinic) -> None:
    window = clinic.window("physician1", "phone")
    window.go("/physician/emergency")
    window.page.get_by_text("This needs the emergency role").wait_for()
    assert window.page.get_by_role("button", name="Break the glass").count() == 0


def test_a_declined_signature_breaks_nothing(clinic: Clinic) -> None:
    window = clinic.window("emergency", "phone")
    assert window.wallet is not None
    window.wallet.code = 4001
    window.go("/physician/emergency")
    window.page.get_by_label("MRN").fill("CLINIC-2")
    window.page.get_by_label("issued by").fill("CLINIC")
    window.page.get_by_label("Why?").fill("A reason long enough")
    window.page.get_by_role("button", name="Break the glass").click()
    window.page.get_by_text("You declined in your wallet").wait_for()
    listed = clinic.live.signed_in("patient2").get("/api/emergency-access")["emergencies"]
    assert listed == []


def test_a_token_is_made_copied_used_and_ended(clinic: Clinic) -> None:
    window = clinic.window("physician1", "phone")
    page = window.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=clinic.origin)
    window.go("/physician/programs")
    page.get_by_label("on which machine").fill(f"Slicer {MARKUP}")
    page.get_by_role("button", name="Make a token").click()
    page.get_by_text("it is not shown again").wait_for()
    token = page.locator("#token").inner_text()
    assert window.violations() == []
    page.locator("[data-of=token]").click()
    page.get_by_text("Copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == token
    page.locator("[data-of=python]").click()
    until(lambda: f"Bearer {token}" in page.evaluate("navigator.clipboard.readText()"), "the setting is copied")
    assert f'DICOMwebClient("{clinic.origin}/dicom-web"' in page.evaluate("navigator.clipboard.readText()")
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(f"{clinic.origin}/dicom-web", session=session)
    assert len(client.search_for_studies()) == 4
    window.go("/physician/programs")
    assert token not in page.content()
    page.locator("[data-program]").get_by_text(f"Slicer {MARKUP}").wait_for()
    page.get_by_role("button", name="End at once").click()
    page.get_by_text("It is ended.").wait_for()
    assert page.locator("[data-program]").count() == 0
    assert session.get(f"{clinic.origin}/dicom-web/studies").status_code == 401


def made_for(window: Window, name: str) -> str:
    """The token that is shown once the page has taken the form."""
    window.page.get_by_label("on which machine").fill(name)
    window.page.get_by_role("button", name="Make a token").click()
    window.page.get_by_text("it is not shown again").wait_for()
    return window.page.locator("#token").inner_text()


def test_the_list_is_the_newest_and_keeps_the_token_on_the_page(clinic: Clinic) -> None:
    window = clinic.window("physician2")
    page = window.page
    window.go("/physician/programs")
    page.get_by_text("No program acts for you now.").wait_for()
    one = made_for(window, "Room 1")
    assert page.locator("[data-program] h3").all_inner_texts() == ["Room 1"]
    assert "UTC" not in page.locator("[data-program] time").first.inner_text(), "in the reader's own time"
    other = made_for(window, "Room 2")
    assert sorted(page.locator("[data-program] h3").all_inner_texts()) == ["Room 1", "Room 2"]
    assert other != one
    page.locator("[data-program]", has_text="Room 1").get_by_role("button", name="End at once").click()
    page.get_by_text("It is ended.").wait_for()
    assert page.locator("[data-program] h3").all_inner_texts() == ["Room 2"]
    assert page.locator("#token").inner_text() == other, "of another program: it is shown only once, and stays"
    page.locator("[data-program]", has_text="Room 2").get_by_role("button", name="End at once").click()
    page.get_by_text("No program acts for you now.").wait_for()
    page.locator("#made").wait_for(state="hidden")
    assert other not in page.content(), "nobody copies what is worth nothing"
    assert "Bearer TOKEN" in page.locator("#python").inner_text()


def test_an_uploader_makes_a_token_that_stores(clinic: Clinic) -> None:
    key = Account.create().key.hex()
    clinic.live.document["accounts"]["uploader"] = key
    clinic.administer("role", "grant", "uploader", clinic.address("uploader"))
    waiting = {"Authorization": f"Bearer {clinic.live.signed_in('uploader').token}"}
    address = f"{clinic.origin}/physician/programs"
    until(lambda: requests.get(address, headers=waiting, timeout=30).status_code == 200, "the role is final")
    window = clinic.window("uploader", "phone")
    page = window.page
    window.go("/")
    page.wait_for_url(clinic.origin + "/physician/programs")
    entries = page.locator("nav.entries a").all_inner_texts()
    assert entries == ["Programs"]
    assert page.get_by_label("It may store images too").is_checked()
    assert window.violations() == []
    token = made_for(window, "CT scanner 2")
    page.locator("[data-program]").get_by_text("store images, as you may").wait_for()
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(f"{clinic.origin}/dicom-web", session=session)
    client.store_instances([clinic.new_image(7, "CLINIC-2")])
    assert client.search_for_studies() == [], "who stores an image does not look at what is there"
    page.get_by_label("It may store images too").uncheck()
    session.headers["Authorization"] = f"Bearer {made_for(window, 'Without storing')}"
    with pytest.raises(requests.HTTPError, match="403"):
        client.store_instances([clinic.new_image(8, "CLINIC-2")])
    for path in ("/physician", "/physician/patients", "/physician/requests", "/physician/emergency"):
        answer = page.goto(clinic.origin + path)
        assert answer is not None
        assert answer.status == 403
    window.errors.clear()  # the browser's own notes of those answers
