"""The patient's pages in a real browser, on a phone and on a desk."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from eth_account.signers.local import LocalAccount
from playwright.sync_api import Page, Route, expect
from web3 import Web3

from app.commands.client import sign_in
from tests.browser.chromium import Window
from tests.browser.clinic import MARKUP, Clinic, running_clinic, uid, until
from tests.support.needs import PROJECT

pytestmark = pytest.mark.browser

PAGES = {
    "overview": "/patient",
    "consents": "/patient/consents",
    "grant": "/patient/consents/new",
    "requests": "/patient/requests",
    "accesses": "/patient/accesses",
    "record": "/patient/record",
}
_NAME_OF_FOCUS = (
    "((node) => (node.labels?.[0] ?? node).textContent.trim().replace(/\\s+/g, ' '))(document.activeElement)"
)


@pytest.fixture(scope="module")
def whole_clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with running_clinic(tmp_path_factory.mktemp("clinic")) as clinic:
        clinic.named("physician2", f"Dr. {MARKUP} Brandt", "Harbour Clinic")
        yield clinic


@pytest.fixture(scope="module", autouse=True)
def story(whole_clinic: Clinic) -> None:
    """What happened before: somebody was let in and looked, somebody was kept out, somebody asks."""
    whole_clinic.live.granted("patient1", "physician1", actions=["search", "view", "retrieve", "share"], share_depth=1)
    assert whole_clinic.looked_at("physician1", uid(0)).status_code == 200
    whole_clinic.live.granted("patient1", "physician2", effect="deny", scope={"studies": [uid(1)]})
    over = whole_clinic.live.granted("patient1", "physician2", scope={"from_date": "2026-01-01"})
    whole_clinic.revoked(over)
    whole_clinic.asked_by("physician1", reason=f"For your knee {MARKUP}\nand the other one.")


@pytest.mark.parametrize("size", ["phone", "desk"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_whole_and_open_to_everybody(clinic: Clinic, size: str, name: str) -> None:
    window = clinic.window(size=size)
    window.go(PAGES[name])
    window.must_be_whole(f"page-{name}-{size}")


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
    shown = words.text_content()
    page.get_by_role("button", name="Sign", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("they may look now").wait_for()
    expect(dialog.get_by_text("they may look now")).to_be_in_viewport()
    assert window.violations() == []
    window.keep("grant-signed-phone")
    assert dialog.locator("blockquote").text_content() == shown
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
        clinic.revoked(one["consent_id"])


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
    assert dialog.locator("blockquote").text_content() == document["message"]["words"]
    assert document["primaryType"] == "Revocation"
    dialog.get_by_role("button", name="Close").click()
    page.get_by_text("It is taken back.", exact=True).wait_for()
    assert page.locator(f".over #c{consent[2:]}").count() == 1, "folded away"
    assert not page.locator(f".over #c{consent[2:]}").is_visible()
    assert next(one for one in clinic.consents() if one["consent_id"] == consent)["status"] == "revoked"


def excused(window: Window, *statuses: int) -> None:
    """Chromium writes each refused request to the console; those that the test is about are no errors of the page."""
    said = "|".join(map(str, statuses))
    pattern = rf"console: Failed to load resource: (the server responded with a status of ({said}) .*|net::ERR_FAILED)"
    window.errors[:] = [one for one in window.errors if not re.match(rf"{pattern}|failed: net::ERR_FAILED", one)]


def filled_in(page: Page, name: str = "Dr. Ines Castellan") -> None:
    """The form, as far as it must be filled in; returns when it can be signed."""
    page.get_by_label("Search for a name or a hospital").fill(name[4:])
    page.get_by_role("button", name=name).click()
    expect(page.get_by_role("button", name="Sign", exact=True)).to_be_enabled()


def sign(page: Page) -> None:
    page.get_by_role("button", name="Sign", exact=True).click()


def test_a_request_is_read_narrowed_and_answered_with_a_consent(clinic: Clinic) -> None:
    asked = clinic.asked_by("physician2", reason="Second opinion.", days=10, purposes=["TREAT", "COC"])
    window = clinic.window(size="phone")
    page = window.page
    window.go("/patient")
    page.get_by_role("link", name="See who and why").click()
    card = page.locator(f"[data-request='{asked}']")
    for text in (f"Dr. {MARKUP} Brandt", "Harbour Clinic", "verified by", "Second opinion.", "10 days", "coordination"):
        assert text in card.inner_text(), text
    card.get_by_role("link", name="Let them look").click()
    words = page.locator("#words")
    expect(words).to_contain_text("find, view and download all my images")
    expect(words).to_contain_text("treatment or coordination of care")
    assert page.get_by_label("10 days").is_checked()
    page.get_by_label("View only").check()
    page.get_by_label("By date").check()
    page.get_by_label("From", exact=True).fill("2026-01-01")
    expect(words).to_contain_text("find and view all my images of studies dated 1 January 2026 or later")
    expect(page.locator("#sign")).to_be_enabled()
    sign(page)
    page.get_by_role("dialog").get_by_text("they may look now").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.wait_for_url("**/patient/consents")
    answered = clinic.live.signed_in("physician2").get(f"/api/access-requests/{asked}")
    assert answered["status"] == "granted"
    consent = next(one for one in clinic.consents() if one["consent_id"] == answered["consent_id"])
    assert (consent["actions"], consent["scope"]["from_date"]) == (["search", "view"], "2026-01-01")
    window.go(f"/patient/consents/new?request={asked}")
    assert page.get_by_role("heading", level=1).inner_text() == "This was decided already"
    excused(window, 409)
    clinic.revoked(consent["consent_id"])


def test_declining_is_asked_twice_and_stays(clinic: Clinic) -> None:
    asked = clinic.asked_by("physician2", reason="Curiosity.")
    window = clinic.window()
    page = window.page
    window.go("/patient/requests")
    decline = page.locator(f"[data-request='{asked}']").get_by_role("button", name="Decline")
    decline.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert clinic.live.signed_in("physician2").get(f"/api/access-requests/{asked}")["status"] == "open"
    decline.click()
    assert window.violations() == []
    page.get_by_role("dialog").get_by_role("button", name="Decline").click()
    page.get_by_text("You declined.").wait_for()
    assert clinic.live.signed_in("physician2").get(f"/api/access-requests/{asked}")["status"] == "declined"


def test_keeping_somebody_out_wins_and_says_so_before(clinic: Clinic) -> None:
    window = clinic.window()
    page = window.page
    window.go("/patient/consents/new")
    filled_in(page)
    expect(page.locator("#what-if")).to_contain_text("may do this already")
    page.get_by_label("They may not look").check()
    expect(page.locator("#words")).to_contain_text("I forbid")
    expect(page.locator("#what-if")).to_contain_text("may look now, and may not any more")
    expect(page.locator("#sign")).to_be_enabled()
    sign(page)
    page.get_by_role("dialog").get_by_text("they may not look").wait_for()
    assert clinic.looked_at("physician1", uid(0)).status_code == 404
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.wait_for_url("**/patient/consents")
    denying = page.locator(".consent.deny", has_text="Castellan")
    denying.get_by_role("button", name="Take back").click()
    page.get_by_role("dialog").get_by_text("for good").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_text("It is taken back.", exact=True).wait_for()
    until(lambda: clinic.looked_at("physician1", uid(0)).status_code == 200, "the consent counts again")


def test_the_keyboard_alone_lets_somebody_in(clinic: Clinic) -> None:
    window = clinic.window()
    page, keys = window.page, window.page.keyboard
    window.go("/patient/consents/new")

    def tab_to(what: str) -> None:
        for _ in range(60):
            keys.press("Tab")
            here = page.evaluate(_NAME_OF_FOCUS)
            if here.startswith(what):
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", (
                    "it is seen where"
                )
                return
        pytest.fail(f"the keyboard does not reach {what!r}")

    tab_to("Skip to the content")
    keys.press("Enter")
    tab_to("Search for a name")
    keys.type("castellan")
    page.get_by_role("button", name="Dr. Ines Castellan").wait_for()
    tab_to("Dr. Ines Castellan")
    keys.press("Enter")
    tab_to("They may look")
    tab_to("All images")
    keys.press("ArrowDown")  # only these studies
    tab_to("MR")
    keys.press("Space")
    tab_to("View only")
    keys.press("ArrowDown")
    tab_to("coordination")
    keys.press("Space")
    tab_to("90 days")
    keys.press("ArrowRight")
    expect(page.locator("#words")).to_contain_text("find, view and download my images of this one study only")
    expect(page.locator("#words")).to_contain_text("treatment or coordination of care")
    expect(page.locator("#sign")).to_be_enabled()
    tab_to("Sign")
    keys.press("Enter")
    page.get_by_role("dialog").get_by_text("they may look now").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Close", "the focus is where it goes on"
    keys.press("Escape")
    page.wait_for_url("**/patient/consents")


def test_every_access_is_checked_on_the_chain_by_the_browser(clinic: Clinic) -> None:
    window = clinic.window(size="phone")
    page = window.page
    assert clinic.looked_at("physician1", uid(2)).status_code == 200
    window.go("/patient/accesses?who=others")
    entries = page.locator(".entry")
    assert entries.count() >= 2
    page.get_by_role("button", name="Check all").click()
    for entry in entries.all():
        entry.get_by_text("checked on the chain").wait_for()
    assert f"{entries.count()} entries checked by your browser." in page.locator("#checked").inner_text()
    window.keep("accesses-checked-phone")
    page.locator("summary", has_text="Filter").evaluate("(node) => (node.parentElement.open = true)")
    page.get_by_label("What was done").select_option("search")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_text("Nothing fits this filter.").wait_for()
    page.get_by_label("Which study").select_option(uid(2))
    page.get_by_label("What was done").select_option("")
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**study=*")
    assert entries.count() == 1
    assert "CT chest" not in entries.first.inner_text()


def test_an_entry_on_its_way_is_checked_when_the_chain_has_it(clinic: Clinic) -> None:
    window = clinic.window()
    page = window.page

    # As the server writes it while the record waits; the page is read before its scripts run
    page.add_init_script(
        "document.addEventListener('readystatechange', () => { for (const entry of document.querySelectorAll('.entry'))"
        " if (document.readyState === 'interactive') entry.dataset.onChain = ''; })"
    )
    page.clock.install()
    window.go("/patient/accesses?who=others")
    entry = page.locator(".entry").first
    entry.locator(".check").get_by_text("on its way to the chain").wait_for()
    page.clock.run_for(4000)
    entry.get_by_text("checked on the chain").wait_for()


def tampered(change: dict[str, object], route: Route) -> None:
    route.fulfill(json={**route.fetch().json(), **change})


def test_a_proof_that_does_not_fit_is_seen(clinic: Clinic) -> None:
    window = clinic.window()
    page = window.page
    changes: list[tuple[dict[str, object], str]] = [
        ({"salt": "0x" + "11" * 32}, "another fingerprint"),
        ({"seq": 999_999}, "does not hold this entry"),
        ({"tx_hash": "0x" + "00" * 32}, "does not hold this entry"),
        ({"record": "0x01"}, "not well formed"),
    ]
    for change, said in changes:
        page.unroute_all()
        page.route("**/proof", functools.partial(tampered, change))
        window.go("/patient/accesses?who=others")
        entry = page.locator(".entry").first
        entry.get_by_text("does not match the chain").wait_for()
        assert said in entry.inner_text()
        assert "not match the chain!" in page.locator("#checked").inner_text()


def test_a_page_that_says_something_else_than_the_record_is_seen(clinic: Clinic) -> None:
    window = clinic.window()
    page = window.page

    def lie(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('data-action="retrieve"', 'data-action="view"'))

    page.route("**/patient/accesses*", lie)
    window.go("/patient/accesses?who=others&action=retrieve")
    page.locator(".entry").first.get_by_text("The record says something else than this page.").wait_for()


def test_a_node_that_is_away_checks_nothing_and_says_so(clinic: Clinic) -> None:
    window = clinic.window()
    page = window.page
    page.route(f"{clinic.live.rpc_url}/**", lambda route: route.abort())
    window.go("/patient/accesses?who=others")
    page.locator(".entry").first.get_by_text("could not be checked").wait_for()
    excused(window)


def test_what_the_wallet_refuses_changes_nothing_and_can_be_tried_again(clinic: Clinic) -> None:
    window = clinic.window()
    page, wallet = window.page, window.wallet
    assert wallet is not None
    right = wallet.account
    before = len(clinic.consents())
    window.go("/patient/consents/new")
    filled_in(page)
    refusals: list[tuple[dict[str, object], str]] = [
        ({"code": 4001}, "You declined in your wallet"),
        ({"code": -32002}, "already waiting for your answer"),
        ({"code": -32603}, "see that it is unlocked"),
        ({"account": clinic.live.account("physician2")}, "offers another account"),
        ({"chain_id": 1, "knows_chain": False}, "is on another chain"),
    ]
    for how, words in refusals:
        wallet.account, wallet.code, wallet.chain_id = right, None, 31337
        for name, value in how.items():
            setattr(wallet, name, value)
        sign(page)
        page.get_by_role("dialog").get_by_role("alert").get_by_text(words).wait_for()
        page.get_by_role("dialog").get_by_role("button", name="Close").click()
        expect(page.locator("#sign")).to_be_enabled()
    assert len(clinic.consents()) == before
    wallet.chain_id = 31337
    sign(page)
    page.get_by_role("dialog").get_by_text("they may look now").wait_for()


def test_a_wallet_on_another_chain_is_asked_to_change(clinic: Clinic) -> None:
    window = clinic.window()
    assert window.wallet is not None
    window.wallet.chain_id = 1
    window.go("/patient/consents/new")
    filled_in(window.page)
    sign(window.page)
    window.page.get_by_role("dialog").get_by_text("they may look now").wait_for()
    assert "wallet_switchEthereumChain" in window.wallet.asked


def test_a_closed_wallet_is_waited_for_and_can_be_left(clinic: Clinic) -> None:
    window = clinic.window()
    page = window.page
    page.clock.install()
    window.go("/patient/consents/new")
    filled_in(page)
    page.evaluate("window.walletIsSilent = true")
    before = len(clinic.consents())
    sign(page)
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("sign it in your wallet").wait_for()
    page.clock.fast_forward(13_000)
    dialog.get_by_text("Still waiting for your wallet").wait_for()
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("#sign")).to_be_enabled()
    assert len(clinic.consents()) == before


def test_a_double_click_signs_once(clinic: Clinic) -> None:
    window = clinic.window()
    page = window.page
    window.go("/patient/consents/new")
    filled_in(page)
    before = len(clinic.consents())
    page.locator("#sign").dblclick()
    page.locator("#sign").evaluate("(node) => { node.disabled = false; node.click(); node.form.requestSubmit(); }")
    page.get_by_role("dialog").get_by_text("they may look now").wait_for()
    assert window.wallet is not None
    assert window.wallet.asked.count("eth_signTypedData_v4") == 1
    assert len(clinic.consents()) == before + 1


def test_what_another_tab_did_already_is_said_in_words(clinic: Clinic) -> None:
    consent = clinic.live.granted("patient1", "physician1", purposes=["HPAYMT"])
    window = clinic.window()
    first, second = window.page, window.context.new_page()
    for page in (first, second):
        page.goto(clinic.origin + "/patient/consents")
    card = f"#c{consent[2:]}"
    first.locator(card).get_by_role("button", name="Take back").click()
    first.get_by_role("dialog").get_by_text("for good").wait_for()
    second.locator(card).get_by_role("button", name="Take back").click()
    second.get_by_role("dialog").get_by_role("alert").get_by_text("done already, perhaps in another tab").wait_for()
    excused(window, 409)


def test_a_session_that_ended_leads_to_signing_in_and_back_to_what_was_filled_in(clinic: Clinic) -> None:
    window = clinic.window()
    page = window.page
    window.go("/patient/consents/new")
    filled_in(page)
    page.get_by_label("one year").check()
    expect(page.locator("#sign")).to_be_enabled()
    window.context.clear_cookies(name="__Host-consentry")
    sign(page)
    page.get_by_role("dialog").get_by_text("Your session has ended").wait_for()
    page.get_by_role("dialog").get_by_role("link", name="Sign in again").click()
    page.get_by_role("button", name="Sign in with Test Wallet").click()
    page.wait_for_url("**/patient/consents/new")
    assert page.get_by_label("one year").is_checked()
    page.locator("#chosen").get_by_text("Dr. Ines Castellan", exact=True).wait_for()
    excused(window, 401)


def test_a_slow_chain_needs_nobody_to_wait(clinic: Clinic) -> None:
    window = clinic.window()
    page = window.page
    window.go("/patient/consents/new")
    filled_in(page)
    page.clock.install()
    page.route(re.compile(r"/api/consents/0x"), lambda route: route.fulfill(json={"status": "submitted"}))
    sign(page)
    page.get_by_role("dialog").get_by_text("on its way to the chain").wait_for()
    page.clock.run_for(17_000)
    page.get_by_role("dialog").get_by_text("You may close this page").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.wait_for_url("**/patient/consents")


def test_a_gateway_that_is_away_is_said_in_words(clinic: Clinic) -> None:
    window = clinic.window()
    page = window.page
    window.go("/patient/consents/new")
    filled_in(page)
    page.route("**/api/**", lambda route: route.abort())
    sign(page)
    page.get_by_role("dialog").get_by_role("alert").get_by_text("The gateway cannot be reached").wait_for()
    excused(window)


def test_german_is_chosen_at_the_foot_and_says_what_the_signed_words_mean(clinic: Clinic) -> None:
    window = clinic.window(size="phone")
    page = window.page
    window.go("/patient/consents/new")
    page.get_by_label("Language").select_option("de")
    page.get_by_role("heading", name="Jemanden einlassen").wait_for()
    assert page.locator("html").get_attribute("lang") == "de"
    page.get_by_label("Suchen Sie nach einem Namen").fill("castellan")
    page.get_by_role("button", name="Dr. Ines Castellan").click()
    expect(page.locator("#meaning")).to_contain_text(
        "darf alle Bilder, auch die künftigen, ansehen. Zweck: Behandlung."
    )
    expect(page.locator("#words")).to_contain_text("I allow")
    assert page.locator("#words").get_attribute("lang") == "en"
    assert window.violations() == []
    page.screenshot(path=window.keep("grant-german-phone"), full_page=True)
    for path in PAGES.values():
        window.go(path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


def test_a_guardian_is_named_and_removed_by_one_signature_each(clinic: Clinic) -> None:
    window = clinic.window(size="phone")
    page, wallet, guardian = window.page, window.wallet, clinic.address("admin")
    assert wallet is not None
    window.go("/patient/record")
    page.locator("summary", has_text="Name a guardian").click()
    assert window.violations() == []
    page.get_by_label("Their account").fill(guardian)
    page.get_by_label("What you call them").fill(f"Ida {MARKUP}")
    page.get_by_label("Until").fill("2027-03-01")
    sign(page)
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("They may act for this record now.").wait_for()
    (document,) = wallet.documents
    assert dialog.locator("blockquote").text_content() == document["message"]["words"]
    assert document["message"]["validUntil"] in {1_803_945_599, "1803945599"}
    dialog.get_by_role("button", name="Close").click()
    page.locator("#guardian").get_by_text(f"Ida {MARKUP}").wait_for()
    theirs = clinic.window("admin", size="phone")
    theirs.go(f"/patient?of={clinic.key('patient1')}")
    theirs.page.get_by_text("You act for Eva Lind, as guardian").wait_for()
    until(lambda: theirs.page.locator(".picture.there").count() > 0, "a guardian sees the images")
    theirs.keep("guardian-phone")
    assert theirs.violations() == []
    page.get_by_role("button", name="End it").click()
    dialog.get_by_text("Nobody is guardian of this record now.").wait_for()
    assert dialog.locator("blockquote").text_content() == wallet.documents[1]["message"]["words"]
    dialog.get_by_role("button", name="Close").click()
    page.get_by_text("There is no guardian.").wait_for()


def test_a_move_that_nobody_asked_for_is_stopped_by_one_signature(clinic: Clinic) -> None:
    """The move is begun with the stolen key's own transaction, so no desk knows of it."""
    account, key = clinic.live.account("patient2"), clinic.key("patient2")
    started_by_transaction(clinic, account, key, clinic.address("physician2"))
    window = clinic.window("patient2", size="phone")
    page = window.page
    until(lambda: "another key" in page.request.get(clinic.origin + "/patient").text(), "the move is seen")
    window.go("/patient")
    page.get_by_role("heading", name="Somebody asks to move this record to another key").wait_for()
    assert "<img src" in page.locator(".whose").inner_text()
    assert window.violations() == []
    window.keep("move-pending-phone")
    page.get_by_role("link", name="See it and stop it").click()
    page.get_by_role("button", name="Stop the move").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Your key decides as before").wait_for()
    assert window.wallet is not None
    (document,) = window.wallet.documents
    assert dialog.locator("blockquote").text_content() == document["message"]["words"]
    dialog.get_by_role("button", name="Close").click()
    page.get_by_text("The move is stopped.").wait_for()
    assert page.get_by_role("button", name="Stop the move").count() == 0
    window.go("/patient")
    assert page.get_by_text("another key").count() == 0


def started_by_transaction(clinic: Clinic, account: LocalAccount, key: str, controller: str) -> None:
    contract = clinic.live.document["contracts"]["PatientRegistry"]
    web3 = Web3(Web3.HTTPProvider(clinic.live.rpc_url))
    abi = json.loads((PROJECT / contract["abi"]).read_text())["abi"]
    registry = web3.eth.contract(address=contract["address"], abi=abi)
    call = registry.functions.startMove(key, controller)
    sender = {"from": account.address, "nonce": web3.eth.get_transaction_count(account.address)}
    raw = account.sign_transaction(call.build_transaction(sender)).raw_transaction
    assert web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(raw))["status"] == 1


def test_breaking_the_glass_is_told_until_it_was_seen(clinic: Clinic) -> None:
    clinic.live.granted("patient1", "physician1", purposes=["ETREAT"], scope={"studies": [uid(2)]})
    headers = {"Authorization": f"Bearer {clinic.live.signed_in('physician1', 'ETREAT').token}"}
    address = f"{clinic.origin}/dicom-web/studies/{uid(2)}/metadata"
    assert requests.get(address, headers=headers, timeout=30).status_code == 200
    window = clinic.window(size="phone")
    page = window.page
    window.go("/patient")
    told = page.locator("#emergencies")
    assert "Dr. Ines Castellan" in told.inner_text()
    assert window.violations() == []
    window.keep("emergency-phone")
    page.get_by_role("button", name="I have seen this").click()
    expect(told).to_be_hidden()
    page.reload()
    expect(told).to_be_hidden()
    window.go("/patient/accesses")
    page.locator(".entry.emergency").first.get_by_text("in an emergency").wait_for()


def test_what_is_known_can_be_taken_along(clinic: Clinic) -> None:
    window = clinic.window()
    for page in ("accesses", "consents"):
        window.go(f"/patient/{page}")
        for name, begins in (("As PDF", b"%PDF-"), ("As FHIR", b'{"resourceType":"Bundle"')):
            with window.page.expect_download() as downloading:
                window.page.get_by_role("link", name=name).click()
            content = Path(downloading.value.path()).read_bytes()
            assert content.replace(b" ", b"").startswith(begins), content[:40]


def test_a_patient_who_is_a_physician_says_what_they_come_for(clinic: Clinic) -> None:
    """The last one: what it makes of patient2 stays."""
    clinic.administer("role", "grant", "physician", clinic.address("patient2"))
    account = clinic.live.account("patient2")
    until(lambda: "PHYSICIAN" in sign_in(clinic.live.url, account)[1]["roles"], "the role is final")
    window = clinic.unsigned("patient2", "phone")
    page, wallet = window.page, window.wallet
    assert wallet is not None
    window.go("/signin?next=/")
    page.get_by_role("button", name="Sign in with Test Wallet").click()
    page.get_by_role("heading", name="What do you come for?").wait_for()
    assert page.evaluate("document.activeElement.id") == "hats-title", "a screen reader hears the question"
    assert page.locator("#hats button").all_inner_texts() == ["To treat patients", "For my own images"]
    assert window.violations() == []
    window.keep("hats-phone")
    page.get_by_role("button", name="To treat patients").click()
    page.wait_for_url(clinic.origin + "/physician")
    assert wallet.asked.count("personal_sign") == 1

    # As staff nothing of their own record is opened: the policy knows the session's purpose alone
    thumbnail = f"{clinic.origin}/dicom-web/studies/{uid(3)}/thumbnail"
    window.go("/patient")
    page.get_by_text("You are signed in for another purpose").wait_for()
    assert page.locator(".study img").count() == 0
    assert page.evaluate("(address) => fetch(address).then((answer) => answer.status)", thumbnail) == 404
    window.errors.clear()  # the browser's own note of that answer
    assert window.violations() == []
    page.get_by_role("link", name="Sign in again for this record").click()
    page.get_by_role("button", name="Sign in with Test Wallet").click()
    page.get_by_role("button", name="For my own images").click()
    page.wait_for_url(clinic.origin + "/patient")
    until(lambda: page.locator(".picture.there").count() > 0, "they see their own previews")
    assert wallet.asked.count("personal_sign") == 2
    window.go("/")
    page.wait_for_url(clinic.origin + "/patient")
    assert page.get_by_text("You are signed in for another purpose").count() == 0
