"""Programs that people sign in with, in a real browser: stock OHIF on another site, and a code from another machine."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests
from playwright.sync_api import Browser

from app.chain.anvil import free_port
from tests.browser.archive import Kept, build
from tests.browser.chromium import Wallet, Window, chromium
from tests.browser.ohif_elsewhere import served
from tests.browser.test_viewer import _ROWS, until
from tests.support.live import Live, live_stack
from tests.support.needs import PROJECT

pytestmark = [pytest.mark.browser, pytest.mark.viewer]


@dataclass(frozen=True, slots=True)
class Stage:
    """A gateway, and OHIF on another site that is registered there. physician1 may see the CT."""

    live: Live
    ohif: str
    studies: dict[str, Kept]
    browser: Browser

    @property
    def origin(self) -> str:
        return str(self.live.document["gateway_url"])

    def window(self, who: str) -> Window:
        return Window(self.browser, self.origin, Wallet(self.live.account(who)))

    def status(self, token: str, path: str = "/dicom-web/studies") -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(self.live.url + path, headers=headers, timeout=30).status_code


def consentry(live: Live, *arguments: str) -> str:
    """A command in the gateway's own environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    environment = clean | {"CONSENTRY_DATA_DIR": str(live.folder), "PYTHONPATH": str(PROJECT), **live.settings}
    command = [sys.executable, "-m", "app.cli", *arguments]
    done = subprocess.run(command, env=environment, cwd=live.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder, port = tmp_path_factory.mktemp("programs"), free_port()
    studies = build(folder / "archive", None)
    with served(f"http://localhost:{port}") as ohif:
        settings = {
            "CONSENTRY_PORT": str(port),
            "CONSENTRY_PACS_URL": (folder / "archive").as_uri(),
            "CONSENTRY_CORS_ORIGINS": ohif,
        }
        with live_stack(folder / "data", **settings) as live, chromium(webgl=True) as browser:
            addresses = ("--redirect", f"{ohif}/viewer/callback", "--post-logout", f"{ohif}/viewer/")
            consentry(live, "client", "add", "ohif", "--name", "OHIF of the radiology", *addresses)
            account = live.document["patients"][0]["account"]
            live.granted(account, "physician1", scope={"studies": [studies["ct"].uid]})
            yield Stage(live, ohif, studies, browser)


def sign_in(window: Window) -> None:
    window.page.get_by_role("button", name="Sign in with Test Wallet").click()


def listed(window: Window) -> list[str]:
    rows = until(
        lambda: [row.inner_text() for row in window.page.locator(_ROWS).all()],
        lambda found: bool(found) and all(row.strip() for row in found),
        "a list, or that there is none",
    )
    return [row for row in rows if "No studies available" not in row]


def stored_token(window: Window) -> str:
    """What OHIF's OIDC client keeps."""
    kept = window.page.evaluate("Object.entries(sessionStorage).find(([name]) => name.startsWith('oidc.user:'))?.[1]")
    return str(json.loads(kept)["access_token"])


def test_stock_ohif_signs_in_with_the_wallet_and_out_again(stage: Stage, windows: list[Window]) -> None:
    window = stage.window("physician1")
    windows.append(window)
    page = window.page
    page.goto(stage.ohif + "/viewer")
    page.wait_for_url(stage.origin + "/signin?next=*")
    sign_in(window)
    page.get_by_role("heading", name="May this program act for you?").wait_for()
    assert page.url.startswith(stage.origin + "/oauth/authorize?")
    said = page.locator("main").inner_text()
    assert "OHIF of the radiology" in said
    assert "treatment (TREAT)" in said
    assert stage.ohif in said
    window.keep("program-asks")
    page.get_by_role("button", name="Allow", exact=True).click()
    page.wait_for_url(stage.ohif + "/viewer/**")
    rows = listed(window)
    assert len(rows) == 1
    assert "browser ct" in rows[0]
    token = stored_token(window)
    assert stage.status(token) == 200
    assert stage.status(token, "/api/accesses") == 403
    # What is seen is recorded as this person's, for this purpose
    records = stage.live.signed_in("physician1").get("/api/accesses")["accesses"]
    assert records[0]["purpose"] == "TREAT"
    assert [text for text in window.errors if "policy" in text] == []
    page.goto(stage.ohif + "/viewer/logout")
    page.wait_for_url(stage.ohif + "/viewer/**")
    page.wait_for_url(stage.origin + "/signin?next=*")
    assert stage.status(token) == 401


def test_saying_no_lets_nobody_in(stage: Stage, windows: list[Window]) -> None:
    window = stage.window("physician1")
    windows.append(window)
    window.page.goto(stage.ohif + "/viewer")
    window.page.wait_for_url(stage.origin + "/signin?next=*")
    sign_in(window)
    window.page.get_by_role("button", name="Do not allow").click()
    window.page.wait_for_url(stage.ohif + "/viewer/callback?*error=access_denied*")


def test_a_program_is_let_in_from_another_device(stage: Stage, windows: list[Window]) -> None:
    form = {"client_id": "desktop", "scope": "openid dicomweb", "purpose": "TREAT"}
    waiting = requests.post(stage.live.url + "/oauth/device_authorization", form, timeout=30).json()
    window = Window(
        stage.browser, stage.origin, Wallet(stage.live.account("physician1")), viewport={"width": 390, "height": 844}
    )
    windows.append(window)
    window.go("/oauth/device")
    sign_in(window)
    field = window.page.get_by_label("The code that the program shows")
    field.fill("bbbb bbbb")
    window.page.get_by_role("button", name="Continue").click()
    window.page.get_by_role("alert").get_by_text("No program waits with this code").wait_for()
    window.page.get_by_label("The code that the program shows").fill(waiting["user_code"].lower())
    window.page.keyboard.press("Enter")
    window.page.get_by_text(waiting["user_code"], exact=True).wait_for()
    window.keep("program-waits")
    window.page.get_by_role("button", name="Allow", exact=True).click()
    window.page.get_by_role("heading", name="Done").wait_for()
    polled = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": "desktop",
        "device_code": waiting["device_code"],
    }
    token = requests.post(stage.live.url + "/oauth/token", polled, timeout=30).json()["access_token"]
    assert stage.status(token) == 200
    window.go("/signin")
    window.page.get_by_role("button", name="Sign out").click()
    window.page.wait_for_url(stage.origin + "/signin")
    assert stage.status(token) == 401, "signing out ends what was allowed with it, at once"
    assert [text for text in window.errors if "404" not in text] == []
    assert window.foreign == []
