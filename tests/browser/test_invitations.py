"""Somebody without a wallet comes to work here: invited at the desk, with a passkey on their phone, given a role by the
administrator's wallet, and signing with that passkey.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import Window
from tests.browser.clinic import MARKUP, Clinic, running_clinic, uid
from tests.browser.device import Phone
from tests.browser.test_admin import give

pytestmark = pytest.mark.browser

Open = Callable[..., Phone]
MAKE = "Make a passkey on this device"


@pytest.fixture(scope="module")
def whole_clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with running_clinic(tmp_path_factory.mktemp("clinic")) as clinic:
        yield clinic


@pytest.fixture
def phone(clinic: Clinic) -> Open:
    def opened(path: str, **how: Any) -> Phone:
        window = Phone(clinic.browser, clinic.origin, **how)
        clinic.windows.append(window)
        window.go(path)
        return window

    return opened


def invited(clinic: Clinic, name: str = "Dr. New") -> dict[str, Any]:
    found: dict[str, Any] = clinic.live.signed_in("registrar").post("/api/invitations", {"name": name})
    return found


def press(window: Window, name: str) -> None:
    window.page.get_by_role("button", name=name, exact=True).click()


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_the_desk_hands_out_a_letter_and_sees_what_became_of_it(clinic: Clinic, size: str) -> None:
    window = clinic.window("registrar", size)
    page = window.page
    window.go("/admin/roles")
    page.get_by_role("link", name="Invite a colleague").click()
    page.get_by_label("Whom you invite").fill(f"Nurse {size} {MARKUP}")
    press(window, "Make the letter")
    page.get_by_role("button", name="Print the letter").wait_for()
    code = page.locator("#letter .code code").inner_text()
    expect(page.locator("#letter .address")).to_have_text(f"{clinic.origin}/join")
    assert window.violations() == []
    window.keep(f"invitation-letter-{size}")
    press(window, "Done")
    card = page.locator(".invitation", has_text=f"Nurse {size}")
    expect(card).to_contain_text(f"Nurse {size} {MARKUP}")
    expect(card).to_contain_text("has a letter, has made no passkey yet")
    assert code not in page.content()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert window.violations() == []
    card.get_by_role("button", name="Withdraw").click()
    expect(card).to_have_count(0)
    assert page.locator("main img").count() == 0


def test_a_colleague_without_a_wallet_breaks_the_glass_with_a_passkey(clinic: Clinic, phone: Open) -> None:
    invitation = invited(clinic, "Dr. Passkey")
    theirs = phone(f"/join#{invitation['code']}")
    page = theirs.page
    expect(page.get_by_label("The code of your invitation")).to_have_value(invitation["code"])
    assert page.url == clinic.origin + "/join", "the code is not in the history"
    assert theirs.violations() == []
    theirs.keep("join-phone")
    press(theirs, MAKE)
    page.get_by_text("Your passkey is made, and you are signed in with it.").wait_for()
    assert theirs.violations() == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    theirs.keep("join-waits-phone")
    account = page.locator("main code").inner_text()
    (credential,) = theirs.credentials
    assert credential["rpId"] == "localhost"

    admin = clinic.window("admin")
    admin.go("/admin/roles/invitations")
    card = admin.page.locator(".invitation", has_text="Dr. Passkey")
    expect(card).to_contain_text("has a passkey and no role yet")
    card.get_by_role("link", name="Give a role").click()
    expect(admin.page.locator("#people option", has_text="Dr. Passkey")).to_have_count(1)
    given = admin.page.get_by_label("Account", exact=True)
    expect(given).not_to_have_value("")
    assert given.input_value().lower() == account.lower()
    for role in ("PHYSICIAN", "EMERGENCY"):
        give(admin, role, given.input_value() or account)
        admin.page.get_by_role("dialog").get_by_text("The chain has it").wait_for()
        with admin.page.expect_navigation():
            admin.page.get_by_role("dialog").get_by_role("button", name="Close").click()

    page.get_by_text("Your account has its role.").wait_for()  # by itself
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    press(theirs, "Sign in with a passkey")
    page.wait_for_url("**/physician")
    page.get_by_role("link", name="Emergency").click()
    page.get_by_label("MRN").fill("CLINIC-1")
    page.get_by_label("issued by").fill("CLINIC")
    page.get_by_label("Why?").fill("Unconscious after a fall")
    page.get_by_role("button", name="Break the glass").click()
    press(theirs, "Sign with your passkey")
    page.get_by_role("dialog").get_by_text("You may see this patient's images now.").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_text("3 studies").wait_for()
    (broken,) = clinic.live.signed_in("patient1").get("/api/emergency-access")["emergencies"]
    assert broken["actor"].lower() == account.lower()
    assert clinic.looked_at("physician2", uid(0)).status_code == 404, "for whoever broke it, and nobody else"

    admin.go("/admin/roles/invitations")
    expect(admin.page.locator(".invitation", has_text="Dr. Passkey")).to_contain_text("has a passkey and a role")


def test_a_code_works_once_and_who_used_it_is_told_to_sign_in(clinic: Clinic, phone: Open) -> None:
    code = invited(clinic)["code"]
    first = phone(f"/join#{code}")
    press(first, MAKE)
    first.page.get_by_text("Your passkey is made").wait_for()
    second = phone("/join")
    second.page.get_by_label("The code of your invitation").fill(code.lower())
    press(second, MAKE)
    second.page.get_by_text("This code opens nothing").wait_for()
    assert second.credentials == []
    assert second.violations() == []
    second.errors.clear()  # the browser's own note of that 404


def test_who_turns_back_before_signing_in_makes_no_second_passkey(clinic: Clinic, phone: Open) -> None:
    code = invited(clinic)["code"]
    window = phone(f"/join#{code}")
    page = window.page
    # The device keeps the passkey; that its holder then does not confirm is told the page as always
    page.evaluate(
        """() => {
            const get = navigator.credentials.get.bind(navigator.credentials);
            let refused = 0;
            navigator.credentials.get = (asked) =>
              refused++ === 0 ? Promise.reject(new DOMException("", "NotAllowedError")) : get(asked);
        }"""
    )
    press(window, MAKE)
    page.get_by_text("Nothing was signed").wait_for()
    press(window, MAKE)
    page.get_by_text("Your passkey is made").wait_for()
    assert len(window.credentials) == 1


def test_a_patients_own_passkey_on_the_phone_is_not_taken_for_it(clinic: Clinic, phone: Open) -> None:
    own = clinic.live.signed_in("registrar").post("/api/enrolments", {"patient_id": "OWN", "issuer": "CLINIC"})
    window = phone(f"/claim#{own['code']}")
    press(window, "This phone or computer")
    press(window, "Sign")
    window.page.get_by_text("It counts.").wait_for(timeout=60_000)
    patient = window.page.locator("body").get_attribute("data-actor")
    window.context.clear_cookies()
    window.go(f"/join#{invited(clinic)['code']}")
    press(window, MAKE)
    window.page.get_by_text("Your passkey is made").wait_for()
    assert len(window.credentials) == 2
    assert window.page.locator("main code").inner_text() != patient
