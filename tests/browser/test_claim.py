"""The claim on a phone, with a passkey or a wallet, and signing in again; what is said when it does not go."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from eth_account import Account
from playwright.sync_api import Page, expect

from tests.browser.chromium import Wallet, Window
from tests.browser.conftest import Stage
from tests.browser.device import Phone
from tests.support.contract_wallet import ContractWallet
from tests.support.needs import PROJECT

pytestmark = pytest.mark.browser

Open = Callable[..., Phone]
_FINAL_MS = 60_000
HERE = "This phone or computer"


@pytest.fixture(scope="session")
def typed_data() -> list[dict[str, Any]]:
    """A document of every kind, with its digest: the vectors that the core and the contracts are held to."""
    vectors = json.loads((PROJECT / "tests" / "vectors" / "typed_data.json").read_text())
    domain = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
    fields = {"EIP712Domain": [{"name": name, "type": kind} for name, kind in domain]}
    return [{**one, "types": {**fields, **one["types"]}} for one in vectors["messages"]]


@pytest.fixture
def opened(stage: Stage, windows: list[Window]) -> Open:
    def open_phone(path: str, wallet: Wallet | None = None, **phone: Any) -> Phone:
        window = Phone(stage.browser, stage.origin, wallet, **phone)
        windows.append(window)
        window.go(path)
        return window

    return open_phone


def _code(stage: Stage, patient_id: str) -> str:
    registrar = stage.live.signed_in("registrar")
    return str(registrar.post("/api/enrolments", {"patient_id": patient_id, "issuer": "B"})["code"])


def _press(window: Window, name: str) -> None:
    window.page.get_by_role("button", name=name, exact=True).click()


def _counts(page: Page) -> None:
    page.get_by_text("It counts. From now on you decide").wait_for(timeout=_FINAL_MS)


def _alert(window: Window, words: str) -> None:
    window.page.get_by_role("alert").get_by_text(words).wait_for()


def _claimed(stage: Stage, opened: Open, patient_id: str) -> Phone:
    phone = opened(f"/claim#{_code(stage, patient_id)}")
    _press(phone, HERE)
    _press(phone, "Sign")
    _counts(phone.page)
    return phone


def test_a_patient_takes_charge_on_a_phone_with_a_passkey(stage: Stage, opened: Open) -> None:
    code = _code(stage, "PHONE-1")
    window = opened(f"/claim#{code}")
    page = window.page
    issued: list[dict[str, Any]] = []
    page.on(
        "response",
        lambda answer: issued.append(answer.json()) if answer.url.endswith("/claim/typed-data") else None,
    )
    _press(window, HERE)
    words = page.locator("#sentence")
    expect(words).to_contain_text("I take control of this patient record with my key “passkey”")
    assert words.inner_text() == issued[0]["typed_data"]["message"]["words"], "what is shown is what is signed"
    window.keep("claim-words")
    assert not [path for _, path in window.answers if code in path], "the code is in no address that is asked for"
    _press(window, "Sign")
    _counts(page)
    window.keep("claim-done")
    assert page.url == stage.origin + "/claim", "the used code is out of the way"
    (credential,) = window.credentials
    assert credential["isResidentCredential"]
    assert credential["rpId"] == "localhost"
    page.get_by_role("link", name="Go to my images").click()
    page.wait_for_load_state()
    assert "/signin" not in page.url
    assert page.locator("body").get_attribute("data-signer") == "passkey"
    assert (window.errors, window.foreign) == ([], [])
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out of a phone"


def test_signing_in_again_in_a_new_window(stage: Stage, opened: Open) -> None:
    before = _claimed(stage, opened, "PHONE-2")
    window = opened("/signin?next=/about", credentials=before.credentials)
    _press(window, "Sign in with a passkey")
    window.page.wait_for_url(stage.origin + "/about")
    assert any(one["name"] == "__Host-consentry" for one in window.context.cookies())
    assert window.credentials[0]["signCount"] > before.credentials[0]["signCount"]
    assert (window.errors, window.foreign) == ([], [])


_CALL = """async ([grantee, until]) => {
  const build = document.querySelector('script[type="module"]').src.replace(/[^/]*$/, "");
  const { signWithPasskey } = await import(build + "passkey.js");
  const asked = async (method, path, body) => {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    return answer.json();
  };
  const signed = async (path, body) => {
    const { typed_data } = await asked("POST", path + "/typed-data", body);
    const signature = await signWithPasskey(typed_data);
    return asked("POST", path, { typed_data, signature });
  };
  const granted = await signed("/api/consents", {
    grantee, scope: "all", actions: ["search", "view"], purposes: ["TREAT"], valid_until: until,
  });
  let view;
  do {
    await new Promise((resolve) => setTimeout(resolve, 200));
    view = await asked("GET", `/api/consents/${granted.consent_id}`);
  } while (view.status === "submitted" || view.status === "mined");
  const revoked = await signed(`/api/consents/${granted.consent_id}/revocation`, {});
  return [view.status, revoked.status];
}"""


def test_granting_and_revoking_with_the_passkey_from_the_page(stage: Stage, opened: Open) -> None:
    window = _claimed(stage, opened, "PHONE-3")
    window.go("/signin")
    grantee = stage.live.account("physician2").address
    states = window.page.evaluate(_CALL, [grantee, int(time.time()) + 3600])
    assert states == ["active", "revoked"]


_SIGNED = """([grantee, until]) => {
  const build = document.querySelector('script[type="module"]').src.replace(/[^/]*$/, "");
  const body = { grantee, scope: "all", actions: ["view"], purposes: ["TREAT"], valid_until: until };
  Promise.all([import(build + "sign.js"), import(build + "api.js")]).then(([{ signed }, { post }]) =>
    signed({
      title: "Let somebody in",
      issue: () => post("/api/consents/typed-data", body),
      send: "/api/consents",
      done: "It is done.",
    }),
  );
}"""


def test_a_page_asks_the_passkey_only_after_the_sentence_was_read(stage: Stage, opened: Open) -> None:
    """The device shows no text: the page does, and waits to be told."""
    window = _claimed(stage, opened, "PHONE-13")
    window.go("/about")
    before = window.credentials[0]["signCount"]
    terms = [stage.live.account("physician1").address, int(time.time()) + 3600]
    window.page.evaluate(_SIGNED, terms)
    asking = window.page.get_by_role("dialog")
    expect(asking.get_by_text("I allow")).to_be_visible()
    sign = asking.get_by_role("button", name="Sign with your passkey")
    sign.wait_for()
    assert window.credentials[0]["signCount"] == before
    asking.get_by_role("button", name="Cancel").click()
    # Closed it is no dialog to a reader at once, but gone only with the browser's next turn
    expect(window.page.locator("dialog")).to_have_count(0)
    assert window.credentials[0]["signCount"] == before
    window.page.evaluate(_SIGNED, terms)
    sign.click()
    asking.get_by_text("It is done.").wait_for()
    assert window.credentials[0]["signCount"] > before
    assert sum(path == "/api/consents" for _, path in window.answers) == 1
    assert window.errors == []


def test_the_browser_hashes_as_the_core_does(stage: Stage, opened: Open, typed_data: list[dict[str, Any]]) -> None:
    window = opened("/signin")
    digests = window.page.evaluate(
        """async (documents) => {
          const build = document.querySelector('script[type="module"]').src.replace(/[^/]*$/, "");
          const { digestOf, toHex } = await import(build + "eip712.js");
          return documents.map((document) => toHex(digestOf(document)));
        }""",
        typed_data,
    )
    assert digests == [one["digest"] for one in typed_data]


def test_a_cancelled_prompt_can_be_tried_again_and_makes_no_second_passkey(stage: Stage, opened: Open) -> None:
    window = opened(f"/claim#{_code(stage, 'PHONE-4')}")
    window.refuse()
    _press(window, HERE)
    _alert(window, "Nothing was signed: it was cancelled")
    window.refuse(refuse=False)
    _press(window, HERE)
    window.page.locator("#sentence").wait_for()
    window.refuse()
    _press(window, "Sign")
    _alert(window, "Nothing was signed: it was cancelled")
    window.refuse(refuse=False)
    _press(window, "Back")
    _press(window, HERE)
    _press(window, "Sign")
    _counts(window.page)
    assert len(window.credentials) == 1
    assert window.errors == []


def test_a_browser_without_passkeys_says_so_and_offers_the_wallets(stage: Stage, opened: Open) -> None:
    wallet = Wallet(Account.create(), chain_id=31337)
    window = opened("/about", wallet)
    window.context.add_init_script("delete window.PublicKeyCredential")
    window.go(f"/claim#{_code(stage, 'PHONE-5')}")
    window.page.reload()
    window.page.get_by_text("This browser cannot use passkeys").wait_for()
    assert window.page.get_by_role("button", name=HERE).count() == 0
    _press(window, "The wallet Test Wallet")
    _press(window, "Sign")
    _counts(window.page)
    assert wallet.asked.count("eth_signTypedData_v4") == 1, "one signature"
    assert "personal_sign" not in wallet.asked
    assert window.errors == []
    window.go("/signin")
    window.page.get_by_role("link", name="Continue").wait_for()


def test_a_device_that_keeps_none_may_ask_another(stage: Stage, opened: Open) -> None:
    window = opened(f"/claim#{_code(stage, 'PHONE-6')}", keeps=False)
    window.page.get_by_role("button", name="A phone or security key beside this computer").wait_for()
    window.go("/signin")
    assert window.page.get_by_role("button", name="Sign in with a passkey").is_enabled()


def test_signing_in_without_a_passkey_or_with_one_that_is_not_known(stage: Stage, opened: Open) -> None:
    window = opened("/signin")
    _press(window, "Sign in with a passkey")
    _alert(window, "there is no passkey for this place on this device")
    (known,) = _claimed(stage, opened, "PHONE-7").credentials
    stranger = opened("/signin", credentials=[{**known, "credentialId": "AAAAAAAAAAAAAAAAAAAAAA=="}])
    _press(stranger, "Sign in with a passkey")
    _alert(stranger, "This passkey is not known here")


@pytest.mark.parametrize("code", ["00000-00000-00000-00000-00000-0", "nonsense"])
def test_a_code_that_opens_nothing(opened: Open, code: str) -> None:
    window = opened(f"/claim#{code}")
    _press(window, HERE)
    _alert(window, "This code opens nothing")
    window.page.get_by_role("alert").get_by_role("link", name="Sign in").wait_for()
    # Chromium itself notes every answer of 400 and above
    assert [error for error in window.errors if "404" not in error] == []


def test_a_code_that_was_used(stage: Stage, opened: Open) -> None:
    code = _code(stage, "PHONE-8")
    first = opened(f"/claim#{code}")
    _press(first, HERE)
    _press(first, "Sign")
    _counts(first.page)
    later = opened(f"/claim#{code}")
    _press(later, HERE)
    _alert(later, "This code opens nothing")


def test_two_tabs(stage: Stage, opened: Open) -> None:
    """Both have read the sentence; the code is used in one of them."""
    code = _code(stage, "PHONE-9")
    first, second = opened(f"/claim#{code}"), opened(f"/claim#{code}")
    for window in (first, second):
        _press(window, HERE)
        window.page.locator("#sentence").wait_for()
    _press(first, "Sign")
    _counts(first.page)
    _press(second, "Sign")
    _alert(second, "This code has just been used, perhaps in another tab")


def test_a_double_click_signs_once(stage: Stage, opened: Open) -> None:
    window = opened(f"/claim#{_code(stage, 'PHONE-10')}")
    window.page.get_by_role("button", name=HERE).dblclick()
    window.page.get_by_role("button", name="Sign", exact=True).dblclick()
    _counts(window.page)
    assert len(window.credentials) == 1
    assert sum(path == "/api/enrolments/claim" for _, path in window.answers) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("submitted", "It takes longer than usual. You may close this page"),
        ("mined", "It is registered; a few more moments"),
        ("failed", "The chain did not take it"),
    ],
)
def test_a_slow_chain_and_one_that_does_not_take_it(stage: Stage, opened: Open, status: str, words: str) -> None:
    window = opened(f"/claim#{_code(stage, f'SLOW-{status}')}")
    window.page.clock.install()
    window.page.route("**/api/enrolments/claim/0x*", lambda route: route.fulfill(json={"status": status}))
    _press(window, HERE)
    _press(window, "Sign")
    window.page.get_by_text("on its way to the chain").or_(window.page.get_by_text(words)).first.wait_for()
    window.page.clock.run_for(20_000)
    window.page.get_by_text(words).wait_for()
    assert not window.page.locator("#after").is_visible()


def test_without_a_code_it_is_asked_for(stage: Stage, opened: Open) -> None:
    code = _code(stage, "PHONE-11")
    window = opened("/claim")
    window.page.get_by_label("The code from the desk").fill(f" {code.lower().replace('-', ' ')} ")
    _press(window, "Continue")
    _press(window, HERE)
    _press(window, "Sign")
    _counts(window.page)


def test_another_name_of_this_machine_leads_to_the_right_one_with_the_code(stage: Stage, opened: Open) -> None:
    window = opened("/about")
    window.page.goto(stage.live.url + "/claim#A-CODE")
    window.page.wait_for_url(stage.origin + "/claim#A-CODE")
    window.page.get_by_role("heading", name="What do you want to decide with?").wait_for()


def test_a_declined_wallet_is_said_in_words(stage: Stage, opened: Open) -> None:
    window = opened(f"/claim#{_code(stage, 'PHONE-12')}", Wallet(Account.create(), 4001, chain_id=31337))
    _press(window, "The wallet Test Wallet")
    _press(window, "Sign")
    _alert(window, "You declined in your wallet, so nothing was sent")


def test_a_contract_wallet_claims_and_signs_in_through_the_pages(stage: Stage, opened: Open) -> None:
    contract = ContractWallet(stage.live.rpc_url, Account.create(), stage.live.account("physician2").address)
    wallet = Wallet(contract.owner, chain_id=31337, address=contract.address)
    window = opened(f"/claim#{_code(stage, 'CONTRACT-1')}", wallet)
    _press(window, "The wallet Test Wallet")
    expect(window.page.locator("#sentence")).to_contain_text(contract.address)
    _press(window, "Sign")
    _counts(window.page)
    later = opened("/signin?next=/about", wallet)
    _press(later, "Sign in with Test Wallet")
    later.page.wait_for_url(stage.origin + "/about")
    assert later.page.locator("body").get_attribute("data-actor") == contract.address.lower()
    assert (window.errors, later.errors) == ([], [])
