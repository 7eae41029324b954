"""Signing in with a wallet, in a real browser: what goes well, and what a person reads when it does not."""

from collections.abc import Callable

import pytest
import requests

from tests.browser.chromium import Window
from tests.browser.conftest import Stage

pytestmark = pytest.mark.browser

Open = Callable[..., Window]


@pytest.fixture
def opened(stage: Stage, windows: list[Window]) -> Open:
    def open_window(who: str | None, path: str = "/signin", **more: object) -> Window:
        window = stage.window(who, **more)  # type: ignore[arg-type]
        windows.append(window)
        window.go(path)
        return window

    return open_window


def _sign_in(window: Window) -> None:
    window.page.get_by_role("button", name="Sign in with Test Wallet").click()


def _cookie(window: Window) -> str | None:
    return next((one["value"] for one in window.context.cookies() if one["name"] == "__Host-consentry"), None)


def test_signing_in_and_out(stage: Stage, opened: Open) -> None:
    window = opened("physician1", "/signin?next=/")
    _sign_in(window)
    window.page.wait_for_url(stage.origin + "/physician")
    cookie = _cookie(window)
    assert cookie
    address = stage.live.account("physician1").address.lower()
    assert window.page.get_by_text(f"Signed in as {address[:8]}…{address[-4:]}").is_visible()
    assert window.page.evaluate("document.cookie") == "", "no script can read it"

    def studies() -> int:
        headers = {"Cookie": f"__Host-consentry={cookie}", "Sec-Fetch-Site": "same-origin"}
        return requests.get(stage.origin + "/dicom-web/studies", headers=headers, timeout=30).status_code

    assert studies() == 200
    window.page.get_by_role("button", name="Sign out").click()
    window.page.wait_for_url(stage.origin + "/signin")
    assert _cookie(window) is None
    assert studies() == 401, "the session is over, not only forgotten by the browser"
    assert (window.errors, window.foreign) == ([], [])


def test_the_keyboard_alone_is_enough(stage: Stage, opened: Open) -> None:
    window = opened("physician1", "/signin?next=/")
    button = window.page.get_by_role("button", name="Sign in with Test Wallet")
    button.wait_for()
    for _ in range(5):  # past the way to the content, the start and the header's own link
        window.page.keyboard.press("Tab")
        if button.evaluate("(node) => node === document.activeElement"):
            break
    assert button.evaluate("(node) => node === document.activeElement")
    window.page.keyboard.press("Enter")
    window.page.wait_for_url(stage.origin + "/physician")


def test_what_was_asked_for_comes_after_signing_in(stage: Stage, opened: Open) -> None:
    window = opened("physician1", "/viewer/viewer?StudyInstanceUIDs=1.2.3&x=%2F")
    assert window.page.url.startswith(stage.origin + "/signin?next=")
    assert window.page.locator("#signin").get_attribute("data-after") == "/viewer/viewer?StudyInstanceUIDs=1.2.3&x=%2F"


@pytest.mark.parametrize(
    "leading_away", ["//example.test/", "https://example.test/", "/\\example.test", "javascript:1"]
)
def test_nobody_is_sent_to_another_place(stage: Stage, opened: Open, leading_away: str) -> None:
    window = opened("physician1")
    window.page.goto(f"{stage.origin}/signin?next={leading_away}")
    _sign_in(window)
    window.page.wait_for_url(stage.origin + "/physician")
    assert window.foreign == []


def test_another_name_of_this_machine_leads_to_the_one_that_is_signed(stage: Stage, opened: Open) -> None:
    window = opened(None)
    window.page.goto(stage.live.url + "/signin?next=/viewer")
    window.page.wait_for_url(stage.origin + "/signin?next=/viewer")
    window.page.get_by_text("No wallet was found in this browser").wait_for()


def test_no_wallet(opened: Open) -> None:
    window = opened(None)
    window.page.get_by_text("No wallet was found in this browser").wait_for()
    assert window.errors == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (4001, "You declined in your wallet"),
        (4100, "does not let this page use that account"),
        (-32002, "already waiting for your answer"),
        (-32603, "could not sign"),
    ],
)
def test_what_the_wallet_refuses_is_said_in_words(opened: Open, code: int, words: str) -> None:
    window = opened("physician1", code=code)
    _sign_in(window)
    window.page.get_by_role("alert").get_by_text(words).wait_for()
    assert window.page.get_by_role("button", name="Sign in with Test Wallet").is_enabled()
    assert _cookie(window) is None


def test_an_account_that_nobody_knows_is_told_so(opened: Open) -> None:
    window = opened("admin")
    _sign_in(window)
    window.page.get_by_role("alert").get_by_text("no role here and is nobody's patient").wait_for()
    assert window.errors == []


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("503 urn:consentry:problem:chain-unavailable", "cannot read the chain just now"),
        ("401 urn:consentry:problem:bad-signature", "not that of the account"),
        ("401 urn:consentry:problem:siwe-expired", "took too long"),
        ("500 urn:consentry:problem:internal", "answered 500"),
    ],
)
def test_what_the_gateway_refuses_is_said_in_words(opened: Open, problem: str, words: str) -> None:
    status, kind = problem.split()
    window = opened("physician1")
    window.page.route(
        "**/auth/siwe/verify",
        lambda route: route.fulfill(status=int(status), json={"type": kind}, content_type="application/problem+json"),
    )
    _sign_in(window)
    window.page.get_by_role("alert").get_by_text(words).wait_for()


def test_a_gateway_that_is_away_is_said_in_words(opened: Open) -> None:
    window = opened("physician1")
    window.page.route("**/auth/siwe/nonce", lambda route: route.abort())
    _sign_in(window)
    window.page.get_by_role("alert").get_by_text("cannot be reached").wait_for()


def test_a_link_from_another_site_finds_the_session(stage: Stage, opened: Open) -> None:
    """The cookie is SameSite=Strict, and a physician follows links from other systems all the same."""
    window = opened("physician1", "/signin?next=/")
    _sign_in(window)
    window.page.wait_for_url(stage.origin + "/physician")
    window.page.route(
        "http://elsewhere.test/",
        lambda route: route.fulfill(body=f'<a href="{stage.origin}/signin?next=/x">look</a>', content_type="text/html"),
    )
    window.page.goto("http://elsewhere.test/")
    window.page.get_by_role("link", name="look").click()
    window.page.get_by_text("You are signed in as").wait_for()
