"""The patient's pages in a real browser, on a phone and on a desk."""

from collections.abc import Iterator

import pytest

from tests.browser.chromium import Window
from tests.browser.clinic import MARKUP, Clinic, running_clinic, uid, until

pytestmark = pytest.mark.browser

PAGES = {
    "overview": "/patient",
    "consents": "/patient/consents",
    "grant": "/patient/consents/new",
    "requests": "/patient/requests",
    "accesses": "/patient/accesses",
    "record": "/patient/record",
}


@pytest.fixture(scope="module")
def whole_clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with running_clinic(tmp_path_factory.mktemp("clinic")) as clinic:
        clinic.named("physician2", f"Dr. {MARKUP} Brandt", "Harbour Clinic")
        yield clinic


@pytest.fixture
def clinic(whole_clinic: Clinic, request: pytest.FixtureRequest) -> Iterator[Clinic]:
    """Nothing may have gone wrong in any window when the test is done, and each leaves a picture."""
    yield whole_clinic
    windows, whole_clinic.windows = whole_clinic.windows, []
    for number, window in enumerate(windows):
        window.keep(f"{request.node.name}-{number}")
        window.close()
    for window in windows:
        assert (window.errors, window.foreign) == ([], [])


@pytest.fixture(scope="module", autouse=True)
def story(whole_clinic: Clinic) -> None:
    """What happened before: somebody was let in and looked, somebody was kept out, somebody asks."""
    whole_clinic.live.granted("patient1", "physician1", actions=["search", "view", "retrieve", "share"], share_depth=1)
    assert whole_clinic.looked_at("physician1", uid(0)).status_code == 200
    whole_clinic.live.granted("patient1", "physician2", effect="deny", scope={"studies": [uid(1)]})
    over = whole_clinic.live.granted("patient1", "physician2", scope={"from_date": "2026-01-01"})
    whole_clinic.live.revoked("patient1", over)
    whole_clinic.asked_by("physician1", reason=f"For your knee {MARKUP}\nand the other one.")


@pytest.mark.parametrize("size", ["phone", "desk"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_whole_and_open_to_everybody(clinic: Clinic, size: str, name: str) -> None:
    window = clinic.window(size=size)
    window.go(PAGES[name])
    page = window.page
    assert page.locator("h1").count() == 1
    assert page.locator("main img:not([alt])").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing hangs out at the side"
    assert page.locator("nav.entries [aria-current=page]").count() == 1
    for details in page.locator("main details").all():
        details.evaluate("(node) => (node.open = true)")
    assert window.violations() == []
    page.screenshot(path=window.keep(f"page-{name}-{size}"), full_page=True)


def test_a_grant_to_two_people_is_one_signature_over_the_text_that_was_shown(clinic: Clinic) -> None:
    window = clinic.window(size="phone")
    page, wallet = window.page, window.wallet
    assert wallet is not None
    window.go("/patient/consents")
    page.get_by_role("link", name="Let somebody in").click()
    assert page.get_by_role("button", name="Sign", exact=True).is_disabled(), "nothing is chosen yet"
    for typed, name in (("castellan", "Dr. Ines Castellan"), ("harbour", f"Dr. {MARKUP} Brandt")):
        page.get_by_label("Search for a name or a hospital").fill(typed)
        page.get_by_role("button", name=name).click()
        page.locator("#chosen").get_by_text(name, exact=True).wait_for()
    page.get_by_label("Only these studies").check()
    page.locator("#studies").get_by_label("CT chest").check()
    page.get_by_label("research").check()
    page.get_by_label("one week").check()
    words = page.locator("#words")
    page.get_by_text("these 2 things").wait_for()
    page.locator("#what-if li").nth(1).wait_for()
    assert window.violations() == []
    page.screenshot(path=window.keep("grant-filled-phone"), full_page=True)
    until(lambda: "research" in words.inner_text(), "the preview follows the form")
    shown = words.inner_text()
    page.get_by_role("button", name="Sign", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("they may look now").wait_for()
    assert window.violations() == []
    window.keep("grant-signed-phone")
    assert dialog.locator("blockquote").inner_text() == shown
    (document,) = wallet.documents
    assert document["message"]["words"] == shown, "what the page says is what the wallet was given"
    assert wallet.asked.count("eth_signTypedData_v4") == 1
    dialog.get_by_role("button", name="Close").click()
    page.wait_for_url("**/patient/consents")
    page.get_by_text("You let somebody in.").wait_for()
    made = [one for one in clinic.consents() if one["words"] == shown]
    assert {one["status"] for one in made} == {"active"}
    assert {one["grantee"] for one in made} == {clinic.address("physician1"), clinic.address("physician2")}
    assert all(one["scope"] == {"studies": [uid(0)]} for one in made)
    assert all(set(one["purposes"]) == {"TREAT", "HRESCH"} for one in made)
    for one in made:
        clinic.live.revoked("patient1", one["consent_id"])


def test_one_tap_takes_back_and_says_when_it_is_final(clinic: Clinic) -> None:
    consent = clinic.live.granted("patient1", "physician1", purposes=["HRESCH"])
    window = clinic.window(size="phone")
    page = window.page
    window.go("/patient/consents")
    card = page.locator(f"#c{consent[2:]}")
    assert "Dr. Ines Castellan" in card.inner_text()
    card.get_by_role("button", name="Take back").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("for good: the chain has it").wait_for()
    window.keep("revoked-phone")
    assert window.wallet is not None
    (document,) = window.wallet.documents
    assert dialog.locator("blockquote").inner_text() == document["message"]["words"]
    assert document["primaryType"] == "Revocation"
    dialog.get_by_role("button", name="Close").click()
    page.get_by_text("It is taken back.", exact=True).wait_for()
    assert page.locator(f".over #c{consent[2:]}").count() == 1, "folded away"
    assert not page.locator(f".over #c{consent[2:]}").is_visible()
    assert next(one for one in clinic.consents() if one["consent_id"] == consent)["status"] == "revoked"
