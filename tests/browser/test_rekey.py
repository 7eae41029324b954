"""A lost phone: somebody whose key is a passkey gets a new one by the letter alone, on a phone and on a desk; the old
passkey stops a move that nobody asked for; and a guardian decides with a passkey of theirs.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from playwright.sync_api import expect

from app.commands.client import sign_typed
from app.demo.seeding import claim_enrolment
from tests.browser.chromium import Window
from tests.browser.clinic import SIZES, until
from tests.browser.desk import DELAY_S, ISSUER, Desk, of_cast, press, read_letter, running_desk
from tests.browser.device import Device
from tests.support.differential import Zygote

pytestmark = pytest.mark.browser

PATIENTS = tuple(f"{who}-{size}" for who in ("REKEY", "WARD", "NAMED") for size in SIZES)
STUDIES = tuple((f"2.25.8840{number}", patient_id) for number, patient_id in enumerate(PATIENTS))
HERE = "This phone or computer"
MAKE = "Make a passkey on this device"
KNOWN = "Sign in with a passkey that you have"
_FINAL_MS = 60_000


@pytest.fixture(scope="module")
def whole_desk(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with running_desk(zygote, tmp_path_factory.mktemp("rekey"), STUDIES) as desk:
        yield desk


def study_of(patient_id: str) -> str:
    return next(study for study, whose in STUDIES if whose == patient_id)


def enrolled(desk: Desk, patient_id: str, **more: object) -> dict[str, Any]:
    body = {"patient_id": patient_id, "issuer": ISSUER, **more}
    made: dict[str, Any] = desk.client(of_cast("registrar")).post("/api/enrolments", body)
    return made


def in_charge(desk: Desk, patient_id: str, size: str, **more: object) -> tuple[Window, Device]:
    """Somebody who has taken charge of that record with a passkey, signed in."""
    window, device = desk.keeper(size)
    window.go(f"/claim#{enrolled(desk, patient_id, **more)['code']}")
    press(window, HERE)
    if more:
        expect(window.page.locator("#sentence")).to_contain_text("as the guardian")
    press(window, "Sign")
    window.page.get_by_text("It counts. From now on you decide").wait_for(timeout=_FINAL_MS)
    return window, device


def letter(desk: Desk, patient_id: str, picture: str) -> str:
    """The link in the letter that the desk prints."""
    window = desk.window(of_cast("registrar"))
    window.go("/admin/recoveries")
    window.page.get_by_label("PatientID").fill(patient_id)
    window.page.get_by_label("issued by").fill(ISSUER)
    press(window, "Begin and make the letter")
    link = read_letter(window, picture)
    desk.left(window)
    return link


def whole(window: Window, picture: str) -> None:
    """The page is open to everybody, and nothing hangs out at its side."""
    window.page.mouse.move(0, 0)
    assert window.violations() == []
    assert window.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    window.page.screenshot(path=window.keep(picture), full_page=True)


def signed(window: Window, done: str) -> str:
    """Reads what is to be signed and signs it with the passkey; the text. The dialog is closed."""
    dialog = window.page.get_by_role("dialog")
    sign = dialog.get_by_role("button", name="Sign with your passkey")
    sign.wait_for()
    words = dialog.locator("blockquote").inner_text()
    sign.click()
    dialog.get_by_text(done).first.wait_for(timeout=_FINAL_MS)
    dialog.get_by_role("button", name="Close").click()
    return words


def asked(window: Window, path: str, body: object = None) -> tuple[int, Any]:
    """What the page's own session is answered."""
    told = window.page.evaluate(
        """async ([path, body]) => {
          const headers = { "Content-Type": "application/json" };
          const sent = body === null ? {} : { method: "POST", headers, body: JSON.stringify(body) };
          const answer = await fetch(path, sent);
          return [answer.status, await answer.json().catch(() => null)];
        }""",
        [path, body],
    )
    return int(told[0]), told[1]


def answers_a_request(desk: Desk, window: Window, patient_id: str, whose: str, of: str = "") -> dict[str, Any]:
    """Somebody asks, and is let in from the page with the passkey; the consent as the API shows it. ``of``: the patient
    key where somebody acts for several.
    """
    doctor = desk.client(of_cast("physician1"))
    body = {"patient_id": patient_id, "issuer": ISSUER, "reason": "Before the operation.", "days": 10}
    request = doctor.post("/api/access-requests", body)["id"]
    window.go(f"/patient/requests?of={of}" if of else "/patient/requests")
    page = window.page
    page.locator(f"[data-request='{request}']").get_by_role("link", name="Let them look").click()
    expect(page.locator("#words")).to_contain_text(whose)
    expect(page.locator("#sign")).to_be_enabled()
    press(window, "Sign")
    words = signed(window, "they may look now")
    page.wait_for_url("**/patient/consents*")
    answered = doctor.get(f"/api/access-requests/{request}")
    assert answered["status"] == "granted"
    consent_path = f"/api/consents/{answered['consent_id']}"
    until(lambda: asked(window, consent_path)[1]["status"] == "active", "it is on the chain for good")
    _, told = asked(window, consent_path)
    assert (told["words"], told["grantee"]) == (words, of_cast("physician1").address)
    until(lambda: study_of(patient_id) in _studies(desk, of_cast("physician1")), "whoever was let in sees it")
    return dict(told)


def _studies(desk: Desk, account: LocalAccount) -> set[str]:
    found = desk.client(account).get("/dicom-web/studies") or []
    return {one["0020000D"]["Value"][0] for one in found}


def excused(window: Window, *statuses: int) -> None:
    """Chromium writes each refused request to the console; those that the test is about are no errors of the page."""
    said = tuple(f"console: Failed to load resource: the server responded with a status of {one}" for one in statuses)
    window.errors[:] = [one for one in window.errors if not one.startswith(said)]


def uses_the_code(desk: Desk, size: str, link: str) -> dict[str, Any]:
    """On a new device, with nothing but the letter; the passkey that was made."""
    code = link.partition("#")[2]
    window, device = desk.keeper(size)
    page = window.page
    page.goto(link)
    page.get_by_role("button", name=MAKE).wait_for()
    assert page.url == f"{desk.origin}/recover", "the code is in no history"
    whole(window, f"rekey-begin-{size}")
    press(window, MAKE)
    expect(page.get_by_label("The code from the desk")).to_have_value(code)
    assert page.locator("body").get_attribute("data-signer") == "passkey"
    assert page.url == f"{desk.origin}/recover"
    whole(window, f"rekey-made-{size}")
    press(window, "Use the code")
    page.get_by_text("Everybody concerned is told.").wait_for()
    page.get_by_text("The old key can object until").or_(page.get_by_role("button", name="Take over")).wait_for()
    whole(window, f"rekey-used-{size}")
    assert not page.get_by_label("The code from the desk").is_visible(), "it is used, and out of the way"
    assert not [path for _, path in window.answers if code in path], "the code is in no address that is asked for"
    (credential,) = device.credentials
    assert credential["isResidentCredential"]
    desk.left(window)
    return credential


def takes_over(desk: Desk, size: str, link: str, credential: dict[str, Any]) -> Window:
    """After the delay, by the letter once more and with the passkey that was made."""
    window, device = desk.keeper(size, [credential])
    page = window.page
    page.goto(link)
    press(window, KNOWN)
    page.locator("#moves .card").wait_for()

    def ready() -> bool:
        window.go("/recover")
        page.locator("#moves .card").wait_for()
        return page.get_by_role("button", name="Take over").count() == 1

    until(ready, "the delay is over")
    assert not page.get_by_role("button", name="Use the code").is_visible(), "one thing is to be done"
    press(window, "Use another code")
    expect(page.get_by_label("The code from the desk")).to_be_focused()
    window.go("/recover")
    page.get_by_role("button", name="Take over").wait_for()
    whole(window, f"rekey-ready-{size}")
    count = device.credentials[0]["signCount"]
    press(window, "Take over")
    assert "I take over this patient record with my new key “passkey" in signed(window, "This key decides now.")
    assert device.credentials[0]["signCount"] > count, "the passkey signed"
    page.get_by_text("This key decides now.").wait_for()
    return window


@pytest.mark.parametrize("size", SIZES)
def test_a_lost_phone_is_replaced_by_the_letter_alone(desk: Desk, size: str) -> None:
    patient_id = f"REKEY-{size}"
    old, lost = in_charge(desk, patient_id, size)
    link = letter(desk, patient_id, f"rekey-letter-{size}")
    credential = uses_the_code(desk, size, link)
    assert credential["credentialId"] != lost.credentials[0]["credentialId"]
    (still,) = asked(old, "/api/patients")[1]["patients"]
    assert still["capacity"] == "self", "until it is taken over, the old passkey decides"
    time.sleep(DELAY_S + 1)
    new = takes_over(desk, size, link, credential)

    until(lambda: asked(old, "/api/patients")[1]["patients"] == [], "the old passkey decides nothing")
    terms = {"grantee": of_cast("physician2").address, "scope": "all", "actions": ["view"], "purposes": ["TREAT"]}
    status, _ = asked(old, "/api/consents/typed-data", {**terms, "valid_until": int(time.time()) + 3600})
    assert status in {403, 404}
    anew, _ = desk.keeper(size, lost.credentials)
    anew.go("/signin")
    press(anew, "Sign in with a passkey")
    anew.page.get_by_text("this account has no role here and is nobody's patient").wait_for()
    excused(old, 403, 404)
    assert answers_a_request(desk, new, patient_id, "all my images")["granted_as"] == "self"


def test_a_page_that_was_left_is_found_as_it_was(desk: Desk) -> None:
    """Cancelled, tried again, loaded again: one passkey. The device does not say whose it is, as it need not."""
    in_charge(desk, "SMALL-1", "phone")
    link = letter(desk, "SMALL-1", "rekey-letter")
    window, device = desk.keeper("phone")
    page = window.page
    window.go("/recover")
    page.get_by_label("The code from the desk").wait_for()
    assert page.get_by_role("button", name=MAKE).count() == 0, "there is no code yet"
    whole(window, "rekey-no-code")
    page.get_by_label("The code from the desk").fill("00000-00000-00000-00000-00000-0")
    press(window, "Continue")
    press(window, MAKE)
    page.get_by_role("alert").get_by_text("This code opens nothing").wait_for()
    whole(window, "rekey-mistyped")
    page.get_by_label("The code from the desk").fill(link.partition("#")[2].lower().replace("-", " "))
    press(window, "Continue")
    window.errors.clear()  # the browser's own note of the 404
    device.refuse()
    press(window, MAKE)
    page.get_by_role("alert").get_by_text("Nothing was signed: it was cancelled").wait_for()
    assert device.credentials == []
    device.refuse(refuse=False)
    page.route("**/auth/passkey/signin/options", lambda route: route.abort())
    press(window, MAKE)
    page.get_by_role("alert").get_by_text("The gateway cannot be reached").wait_for()
    page.unroute_all()
    window.errors.clear()  # and of what it was kept from
    assert len(device.credentials) == 1
    page.add_init_script(
        "Object.defineProperty(AuthenticatorAssertionResponse.prototype, 'userHandle', { get: () => null })"
    )
    page.reload()
    page.get_by_role("button", name=MAKE).dblclick()
    page.get_by_role("button", name="Use the code").wait_for()
    assert len(device.credentials) == 1
    assert page.get_by_label("The code from the desk").input_value(), "what was typed is not to be typed again"


def test_a_code_that_was_used_leads_to_the_passkey_made_then(desk: Desk) -> None:
    link = letter(desk, "SMALL-1", "rekey-letter")
    first, _ = desk.keeper("phone")
    first.page.goto(link)
    press(first, MAKE)
    press(first, "Use the code")
    first.page.get_by_text("Everybody concerned is told.").wait_for()
    desk.left(first)
    again, other = desk.keeper("phone")
    again.page.goto(link)
    press(again, MAKE)
    again.page.get_by_role("alert").get_by_text("sign in with the passkey that you made then").wait_for()
    assert other.credentials == [], "nothing was made"
    again.errors.clear()  # the browser's own note of the 404


def test_a_code_that_made_as_many_as_it_may_says_so(desk: Desk) -> None:
    window, _ = desk.keeper("phone")
    problem = {"type": "urn:consentry:problem:conflict", "status": 409}
    window.page.route("**/auth/passkey/registration/options", lambda route: route.fulfill(status=409, json=problem))
    window.page.goto(f"{desk.origin}/recover#00000-00000-00000-00000-00000-0")
    press(window, MAKE)
    window.page.get_by_role("alert").get_by_text("As many passkeys were made with this code as it allows").wait_for()
    window.errors.clear()


def test_it_is_said_in_german_on_a_phone(desk: Desk) -> None:
    window, _ = desk.keeper("phone")
    window.page.set_extra_http_headers({"Accept-Language": "de"})
    window.page.goto(f"{desk.origin}/recover#00000-00000-00000-00000-00000-0")
    window.page.get_by_role("button", name="Auf diesem Gerät einen Passkey einrichten").wait_for()
    whole(window, "rekey-german")


def test_without_passkeys_the_page_says_so_and_leads_to_a_wallet(desk: Desk) -> None:
    """Which no role keeps from going on to the page."""
    account: LocalAccount = Account.create()
    window = desk.window(None, "phone", wallet=account)
    window.context.add_init_script("delete window.PublicKeyCredential")
    window.page.goto(f"{desk.origin}/recover#00000-00000-00000-00000-00000-0")
    window.page.get_by_text("This browser cannot use passkeys").wait_for()
    assert window.page.get_by_role("button", name=MAKE).count() == 0
    window.page.get_by_role("link", name="Sign in with a wallet").click()
    press(window, "Sign in with Test Wallet")
    window.page.wait_for_url(f"{desk.origin}/recover")
    window.page.get_by_text(account.address.lower()).wait_for()


@pytest.mark.parametrize("size", SIZES)
def test_the_old_passkey_stops_a_move_that_nobody_asked_for(desk: Desk, size: str) -> None:
    patient_id = f"VETO-{size}"
    owner, device = in_charge(desk, patient_id, size)
    thief, _ = desk.keeper("phone")
    thief.page.goto(letter(desk, patient_id, "rekey-letter"))
    press(thief, MAKE)
    press(thief, "Use the code")
    thief.page.get_by_text("Everybody concerned is told.").wait_for()
    page = owner.page
    until(lambda: asked(owner, "/api/recoveries")[1]["recoveries"][0]["status"] in {"pending", "ready"}, "it is begun")
    owner.go("/patient")
    page.get_by_role("heading", name="Somebody asks to move this record to another key").wait_for()
    page.get_by_role("link", name="See it and stop it").click()
    whole(owner, f"rekey-veto-{size}")
    count = device.credentials[0]["signCount"]
    press(owner, "Stop the move")
    assert signed(owner, "Your key decides as before").startswith("I stop the move of my patient record to another key")
    assert device.credentials[0]["signCount"] > count, "the passkey signed"
    page.get_by_text("The move is stopped.").wait_for()
    time.sleep(DELAY_S)  # the time in which it could have been finished

    def told() -> bool:
        thief.go("/recover")
        thief.page.get_by_role("list").locator(".card").first.wait_for()
        return thief.page.get_by_text("The old key objected, so nothing was moved.").count() == 1

    until(told, "whoever began it reads that it was stopped")
    whole(thief, f"rekey-vetoed-{size}")
    assert thief.page.get_by_role("button", name="Take over").count() == 0
    (record,) = asked(owner, "/api/patients")[1]["patients"]
    assert (record["capacity"], record["move"]) == ("self", None)
    assert asked(thief, "/api/patients")[1]["patients"] == []
    (listed,) = [one for one in _recoveries(desk) if one["patient_id"] == patient_id]
    assert listed["status"] == "vetoed"


def _recoveries(desk: Desk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.client(of_cast("registrar")).get("/api/recoveries")["recoveries"]
    return found


def looks(desk: Desk, window: Window, patient_id: str) -> None:
    """A guardian looks at an image; the record says that it was a guardian, and for whom."""
    status, _ = asked(window, f"/dicom-web/studies/{study_of(patient_id)}/metadata")
    assert status == 200
    account = window.page.locator("body").get_attribute("data-actor")
    auditor = desk.client(of_cast("auditor"))

    def recorded() -> bool:
        made = [one for one in auditor.get("/api/accesses")["accesses"] if one["actor"].lower() == account]
        return bool(made) and {(one["purpose"], one["basis"]) for one in made} == {("FAMRQT", "guardian")}

    until(recorded, "every access of theirs is a guardian's")


@pytest.mark.parametrize("size", SIZES)
def test_a_mother_decides_for_a_ward_with_her_passkey(desk: Desk, size: str) -> None:
    patient_id = f"WARD-{size}"
    window, device = in_charge(desk, patient_id, size, ward_until=int(time.time()) + 3600)
    window.go("/patient")
    window.page.get_by_text(", as guardian").wait_for()
    whole(window, f"rekey-ward-{size}")
    count = device.credentials[0]["signCount"]
    told = answers_a_request(desk, window, patient_id, "all “the person I act for”'s images")
    assert device.credentials[0]["signCount"] > count, "the passkey signed"
    assert told["granted_as"] == "guardian"
    looks(desk, window, patient_id)
    window.go("/patient/accesses")
    window.page.get_by_text("as guardian").first.wait_for()
    assert window.violations() == []


@pytest.mark.parametrize("size", SIZES)
def test_a_guardian_who_was_named_decides_with_a_passkey(desk: Desk, size: str) -> None:
    """Who has a record of their own, and acts for another's, whose patient has a wallet."""
    patient_id = f"NAMED-{size}"
    aunt, device = in_charge(desk, f"AUNT-{size}", size)
    account: LocalAccount = Account.create()
    made = enrolled(desk, patient_id)
    client = claim_enrolment(desk.gateway.url, account, made["code"])
    path = f"/api/patients/{made['patient_key']}/guardian"
    signer = asked(aunt, "/auth/passkey")[1]["signer"]
    document = client.post(f"{path}/typed-data", {"guardian": signer, "valid_until": int(time.time()) + 3600})
    document = document["typed_data"]
    client.post(path, {"typed_data": document, "signature": sign_typed(account, document), "name": "Aunt May"})
    until(lambda: len(asked(aunt, "/api/patients")[1]["patients"]) == 2, "it is registered")
    count = device.credentials[0]["signCount"]
    told = answers_a_request(desk, aunt, patient_id, "all “the person I act for”'s images", made["patient_key"])
    assert device.credentials[0]["signCount"] > count, "the passkey signed"
    assert told["granted_as"] == "guardian"
    (consent,) = client.get("/api/consents")["consents"]
    assert (consent["consent_id"], consent["granted_as"]) == (told["consent_id"], "guardian")
