"""The administrator's pages in a real browser: roles and names by the administrator's own wallet, teams by signatures,
and how the gateway is; a wallet that declines, is another one, cannot pay or is slow, each answered in words.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import expect

from tests.browser.chromium import Window
from tests.browser.clinic import MARKUP, Clinic, running_clinic, uid, until

pytestmark = pytest.mark.browser

PAGES = {
    "roles": "/admin/roles",
    "directory": "/admin/directory",
    "teams": "/admin/teams",
    "health": "/admin/health",
}


def in_days(number: int) -> str:
    """That day, as a field takes it."""
    return time.strftime("%Y-%m-%d", time.localtime(time.time() + number * 86_400))


LAST_DAY = in_days(30)
STRANGER = "0x00000000000000000000000000000000DeaDBeef"


@pytest.fixture(scope="module")
def whole_clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with running_clinic(tmp_path_factory.mktemp("clinic")) as clinic:
        clinic.named("emergency", f"Dr. Night {MARKUP}", "Night shift")
        yield clinic


def node(clinic: Clinic, method: str, *params: object) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer = requests.post(clinic.live.rpc_url, json=body, timeout=30).json()
    assert "error" not in answer, answer
    return answer["result"]


def roles(clinic: Clinic) -> dict[tuple[str, str], dict[str, Any]]:
    found = clinic.live.signed_in("registrar").get("/api/roles")["roles"]
    return {(one["role"], one["account"].lower()): one for one in found}


def give(window: Window, role: str, account: str) -> None:
    """Fills in the form, and sends it."""
    page = window.page
    page.get_by_label("Role", exact=True).select_option(role)
    page.get_by_label("Account", exact=True).fill(account)
    page.get_by_label("Last day", exact=True).fill(LAST_DAY)
    page.get_by_role("button", name="Give the role").click()


def close(window: Window) -> None:
    """Closes the dialog, and waits until it is gone: until then the page takes no second press."""
    window.page.get_by_role("dialog").get_by_role("button", name="Close").click()
    expect(window.page.locator("dialog")).to_have_count(0)


@pytest.mark.parametrize("size", ["phone", "desk"])
@pytest.mark.parametrize("who", ["admin", "registrar"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_whole_and_open_to_everybody(clinic: Clinic, who: str, size: str, name: str) -> None:
    window = clinic.window(who, size)
    window.go(PAGES[name])
    window.must_be_whole(f"page-admin-{name}-{who}-{size}")


def test_each_has_what_is_theirs(clinic: Clinic) -> None:
    for who in ("patient1", "physician1"):
        window = clinic.window(who)
        for path in PAGES.values():
            answer = window.page.goto(clinic.origin + path)
            assert answer is not None
            assert answer.status == 403
        window.errors.clear()  # the browser's own notes of those answers
    window = clinic.window("admin")
    window.go("/")
    assert window.page.url == clinic.origin + "/admin/roles"
    assert window.page.locator("nav.entries a").all_inner_texts() == ["Roles", "Directory", "Teams", "Health"]
    for path in ("/admin", "/admin/recoveries", "/admin/identities"):
        answer = window.page.goto(clinic.origin + path)
        assert answer is not None
        assert answer.status == 403
    window.errors.clear()
    window = clinic.window("registrar")
    window.go("/admin/roles")
    assert window.page.locator(".held").count() > 0
    assert window.page.locator("form#role, .withdraw").count() == 0


def test_a_role_is_given_replaced_and_withdrawn_by_the_admins_wallet(clinic: Clinic) -> None:
    window = clinic.window("admin", "phone")
    page, wallet = window.page, window.wallet
    assert wallet is not None
    window.go("/admin/roles")
    give(window, "PHYSICIAN", STRANGER)
    dialog = page.get_by_role("dialog")
    dialog.get_by_text(f"I give {STRANGER} the role PHYSICIAN").wait_for()
    dialog.get_by_text("The chain has it").wait_for()
    assert window.violations() == []
    close(window)
    card = page.locator(f".held[data-account='{STRANGER}']")
    expect(card).to_contain_text("holds it now")
    held = roles(clinic)["PHYSICIAN", STRANGER.lower()]
    assert held["now"]
    assert wallet.asked.count("eth_sendTransaction") == 1

    card.get_by_role("button", name="Other days").click()
    expect(page.get_by_label("Account", exact=True)).to_have_value(STRANGER)
    page.get_by_label("Last day", exact=True).fill(in_days(60))
    page.get_by_role("button", name="Give the role").click()
    page.get_by_role("dialog").get_by_text("The chain has it").wait_for()
    close(window)
    until(lambda: bool(roles(clinic)["PHYSICIAN", STRANGER.lower()]["valid_until"] > held["valid_until"]), "replaced")

    card.get_by_role("button", name="Take away").click()
    page.get_by_role("dialog").get_by_text("wherever they are signed in").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Take away").click()
    page.get_by_role("dialog").get_by_text("The role is withdrawn.").wait_for()
    close(window)
    page.get_by_text("The role is withdrawn.").wait_for()
    expect(card).to_have_count(0)
    assert ("PHYSICIAN", STRANGER.lower()) not in roles(clinic)


def test_a_wallet_that_will_not_or_cannot_is_answered_in_words(clinic: Clinic) -> None:
    window = clinic.window("admin", "desk")
    page, wallet = window.page, window.wallet
    assert wallet is not None
    window.go("/admin/roles")
    before, own = roles(clinic), wallet.account

    def refused(words: str) -> None:
        give(window, "AUDITOR", STRANGER)
        page.get_by_role("dialog").get_by_role("alert").get_by_text(words).wait_for()
        assert window.violations() == []
        close(window)

    wallet.code = 4001
    refused("You declined in your wallet, so nothing was sent.")
    wallet.code = -32603
    refused("Your wallet could not send it")
    wallet.code = None
    wallet.account = clinic.live.account("physician1")
    refused("Your wallet offers another account")
    wallet.account = own
    wallet.chain_id, wallet.knows_chain = 1, False
    refused("Your wallet is on another chain.")
    wallet.chain_id, wallet.knows_chain = 31337, True
    kept = node(clinic, "eth_getBalance", own.address, "latest")
    node(clinic, "anvil_setBalance", own.address, "0x0")
    try:
        refused("The account cannot pay for the transaction.")
    finally:
        node(clinic, "anvil_setBalance", own.address, kept)
    assert roles(clinic) == before
    # The admin may never keep the log (docs/CHAIN.md), so no wallet is asked
    sent = wallet.asked.count("eth_sendTransaction")
    give(window, "RECORDER", own.address)
    page.get_by_role("dialog").get_by_role("alert").get_by_text("The chain would refuse this now.").wait_for()
    close(window)
    assert wallet.asked.count("eth_sendTransaction") == sent
    window.errors.clear()  # the browser's own note of that 422


def test_a_wallet_that_answers_after_its_reader_left_is_spoken_of(clinic: Clinic) -> None:
    window = clinic.window("admin", "desk")
    page = window.page
    window.go("/admin/roles")
    page.evaluate("window.walletIsSilent = true")
    give(window, "AUDITOR", STRANGER)
    page.get_by_role("dialog").get_by_text("then send it in your wallet").wait_for()
    page.wait_for_function("document.querySelector('dialog .said').textContent.includes('AUDITOR')")
    page.get_by_role("dialog").get_by_text("Still waiting for your wallet.").wait_for()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_text("Your wallet may still ask you.").wait_for()
    assert ("AUDITOR", STRANGER.lower()) not in roles(clinic)


def test_two_clicks_are_one_transaction_and_a_slow_chain_is_waited_for(clinic: Clinic) -> None:
    window = clinic.window("admin", "desk")
    page, wallet = window.page, window.wallet
    assert wallet is not None
    window.go("/admin/roles")
    node(clinic, "evm_setAutomine", False)
    try:
        page.get_by_label("Role", exact=True).select_option("UPLOADER")
        page.get_by_label("Account", exact=True).fill(STRANGER)
        page.get_by_label("Last day", exact=True).fill(LAST_DAY)
        page.evaluate("() => { const b = document.querySelector('#role button'); b.click(); b.click(); }")
        page.get_by_role("dialog").get_by_text("It is still on its way to the chain.").wait_for()
        assert page.get_by_role("dialog").count() == 1
        assert ("UPLOADER", STRANGER.lower()) not in roles(clinic)
    finally:
        node(clinic, "evm_setAutomine", True)
        node(clinic, "evm_mine")
    page.get_by_role("dialog").get_by_text("The chain has it").wait_for()
    close(window)
    assert wallet.asked.count("eth_sendTransaction") == 1
    assert roles(clinic)["UPLOADER", STRANGER.lower()]["now"]


def test_a_name_counts_once_the_chain_vouches_for_it_and_the_old_one_until_then(clinic: Clinic) -> None:
    window = clinic.window("admin", "desk")
    page, wallet = window.page, window.wallet
    assert wallet is not None
    account = clinic.address("emergency")
    window.go("/admin/directory")
    card = page.locator(f".known[data-account='{account}']")
    expect(card).to_contain_text(f"Dr. Night {MARKUP}")

    def change(name: str) -> None:
        card.get_by_role("button", name="Change").click()
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("button", name="Vouch for this name").click()

    def called() -> str:
        entry = clinic.live.signed_in("registrar").get(f"/api/directory/entries/{account}")
        return str(entry["name"])

    wallet.code = 4001
    change("Dr. Nobody")
    page.get_by_role("dialog").get_by_text("You declined in your wallet").wait_for()
    close(window)
    assert called() == f"Dr. Night {MARKUP}"  # the new text is kept, and nobody reads it
    wallet.code = None
    change(f"Dr. Day {MARKUP}")
    page.get_by_role("dialog").get_by_text(f"“Dr. Day {MARKUP}”, organisation “Night shift”").wait_for()
    page.get_by_role("dialog").get_by_text("The chain vouches for this name now.").wait_for()
    close(window)
    expect(card).to_contain_text(f"Dr. Day {MARKUP}")
    assert called() == f"Dr. Day {MARKUP}"
    assert page.locator("main img").count() == 0


def test_a_team_is_founded_named_led_and_filled(clinic: Clinic) -> None:
    window = clinic.window("registrar", "desk")
    page = window.page
    window.go("/admin/teams")
    lead = clinic.address("physician1")
    page.get_by_label("Who leads it first").fill(lead)
    page.get_by_label("Last day").first.fill(LAST_DAY)
    page.get_by_role("button", name="Found the team").click()
    page.get_by_text("The team is founded.").wait_for()
    (team,) = clinic.live.signed_in("registrar").get("/api/care-teams")["teams"]
    expect(page.locator(".team")).to_contain_text(lead)
    expect(page.locator(".team")).to_contain_text("Members are set by the team's leads alone.")

    admin = clinic.window("admin", "desk")
    admin.go("/admin/directory")
    admin.page.get_by_label("Account", exact=True).fill(team["team"][:42])
    admin.page.get_by_label("Name", exact=True).fill(f"Hips {MARKUP}")
    admin.page.get_by_role("button", name="Vouch for this name").click()
    admin.page.get_by_role("dialog").get_by_text("The chain vouches for this name now.").wait_for()
    close(admin)

    # The registrar sets leads, and no members
    page.reload()
    page.get_by_role("heading", name=f"Hips {MARKUP}").wait_for()
    page.locator(".team summary").click()
    form = page.locator(".team form")
    form.get_by_label("Account").fill(clinic.address("physician2"))
    form.get_by_label("Last day").fill(LAST_DAY)
    form.get_by_role("button", name="Sign the change").click()
    page.get_by_role("dialog").get_by_text("a lead of the care team").wait_for()
    page.get_by_role("dialog").get_by_text("The team is changed.").wait_for()
    assert window.violations() == []
    close(window)
    expect(page.locator(".team [data-part=lead]")).to_have_count(2)


def test_a_lead_fills_the_team_and_has_this_page_alone_of_the_desks(clinic: Clinic) -> None:
    registrar = clinic.live.signed_in("registrar")
    if not registrar.get("/api/care-teams")["teams"]:
        asked = {"lead": clinic.address("physician1"), "valid_until": int(time.time()) + 86_400}
        registrar.post("/api/care-teams", asked)
        registrar.until("/api/care-teams", lambda view: bool(view["teams"] and view["teams"][0]["leads"]), 30)
    leading = clinic.window("physician1", "phone")
    page, wallet = leading.page, leading.wallet
    assert wallet is not None
    leading.go("/admin/teams")
    assert page.locator("nav.entries a").all_inner_texts() == ["Teams"]
    assert page.locator("#found").count() == 0
    page.locator(".team summary").click()
    form = page.locator(".team form")

    def add() -> None:
        form.get_by_label("Account").fill(clinic.address("emergency"))
        form.get_by_label("As", exact=True).select_option("member")
        form.get_by_label("Last day").fill(LAST_DAY)
        form.get_by_role("button", name="Sign the change").click()

    wallet.code = 4001
    add()
    page.get_by_role("dialog").get_by_text("You declined in your wallet").wait_for()
    close(leading)
    wallet.code = None
    add()
    page.get_by_role("dialog").get_by_text("The team is changed.").wait_for()
    close(leading)
    member = page.locator(".team [data-part=member]")
    expect(member).to_have_count(1)
    member.get_by_role("button", name="End").click()
    page.get_by_role("dialog").get_by_text("The part is ended.").wait_for()
    close(leading)
    expect(member).to_have_count(0)
    assert leading.violations() == []


def test_health_is_looked_at_again_by_itself(clinic: Clinic) -> None:
    window = clinic.window("admin", "desk")
    page = window.page
    window.go("/admin/health")
    page.get_by_text("The gateway serves.", exact=True).wait_for()
    page.get_by_text("In the last 24 hours there were 0 accesses.").wait_for()
    clinic.live.granted("patient1", "physician1", actions=["search", "view", "retrieve"])
    until(lambda: clinic.looked_at("physician1", uid(0)).status_code == 200, "the consent is final")
    page.get_by_text("In the last 24 hours there was 1 access. The most in one hour: 1.").wait_for()
    assert page.locator("#health svg rect").count() == 1
    assert window.violations() == []
    page.screenshot(path=window.keep("admin-health"), full_page=True)


def test_a_letter_is_made_again_until_somebody_takes_charge(clinic: Clinic) -> None:
    window = clinic.window("registrar", "desk")
    page = window.page
    codes = [
        clinic.live.signed_in("registrar").post("/api/enrolments", {"patient_id": "AGAIN", "issuer": "CLINIC"})["code"]
    ]
    window.go("/admin")
    page.locator(".again[data-id=AGAIN]").click()
    page.get_by_role("button", name="Print the letter").wait_for()
    codes.append(page.locator("#letter .code code").inner_text())
    assert codes[0] != codes[1]
    taken = clinic.live.signed_in("patient2")
    for code, status in zip(codes, (404, 200), strict=True):
        answer = requests.post(
            f"{clinic.origin}/api/enrolments/claim/typed-data",
            json={"code": code},
            headers={"Authorization": f"Bearer {taken.token}"},
            timeout=30,
        )
        assert answer.status_code == status
