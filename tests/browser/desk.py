"""The front desk over a chain on which a move can be vetoed for a few seconds only, and who comes to it."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pydicom
import zxingcpp
from eth_account import Account
from eth_account.signers.local import LocalAccount
from PIL import Image
from playwright.sync_api import Browser
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from app.chain.anvil import DEVELOPMENT_KEYS
from app.commands.client import Client, sign_in
from tests.browser.chromium import Wallet, Window, chromium
from tests.browser.clinic import MARKUP, SIZES
from tests.browser.device import Device, Phone
from tests.support.chain import CAST, deployed_in, plan
from tests.support.differential import RunningGateway, Zygote, archive_settings, running_gateway
from tests.support.orthanc import free_port

DELAY_S = 4
ISSUER = "CLINIC"


@dataclass
class Desk:
    """The gateway, the browser, and the windows that a test opened."""

    gateway: RunningGateway
    browser: Browser
    origin: str
    windows: list[Window] = field(default_factory=list)

    def client(self, account: LocalAccount) -> Client:
        return sign_in(self.gateway.url, account, None)[0]

    def window(self, account: LocalAccount | None, size: str = "desk", wallet: LocalAccount | None = None) -> Window:
        """Signed in as ``account``; with the wallet of it, or of whoever is not signed in."""
        holder = account or wallet
        held = None if holder is None else Wallet(holder)
        window = Window(self.browser, self.origin, held, viewport=SIZES[size], locale="en-GB")
        if account is not None:
            self.sign_in(window, account)
        self.windows.append(window)
        return window

    def keeper(self, size: str, credentials: list[dict[str, Any]] | None = None) -> tuple[Window, Device]:
        """A window on a device of that size which keeps passkeys, and has these already. Nobody is signed in."""
        if size == "phone":
            window: Window = Phone(self.browser, self.origin, keeps=False)
        else:
            window = Window(self.browser, self.origin, viewport=SIZES[size], locale="en-GB")
        device = Device(window, credentials)
        self.windows.append(window)
        return window, device

    def left(self, window: Window) -> None:
        """Closed before the test ends; nothing may have gone wrong in it either."""
        self.windows.remove(window)
        window.close()
        assert (window.errors, window.foreign) == ([], [])

    def sign_in(self, window: Window, account: LocalAccount) -> None:
        cookie: Any = {
            "name": "__Host-consentry",
            "value": self.client(account).token,
            "domain": "localhost",
            "path": "/",
            "secure": True,
            "httpOnly": True,
            "sameSite": "Strict",
        }
        window.context.add_cookies([cookie])


def of_cast(name: str) -> LocalAccount:
    account: LocalAccount = Account.from_key(DEVELOPMENT_KEYS[CAST.index(name)])
    return account


def write_archive(folder: Path, studies: Sequence[tuple[str, str]]) -> None:
    """``studies``: StudyInstanceUID and PatientID of each."""
    folder.mkdir()
    path = get_testdata_file("CT_small.dcm", download=False)
    assert isinstance(path, str)
    for number, (study, patient_id) in enumerate(studies):
        dataset = pydicom.dcmread(path)
        dataset.PatientID, dataset.IssuerOfPatientID, dataset.StudyInstanceUID = patient_id, ISSUER, UID(study)
        dataset.PatientName, dataset.SeriesInstanceUID = f"{MARKUP}^Odd", UID(f"2.25.88200{number}")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.88300{number}")
        dataset.save_as(folder / f"{number}.dcm")


@contextmanager
def running_desk(zygote: Zygote, folder: Path, studies: Sequence[tuple[str, str]]) -> Iterator[Desk]:
    """A delay of a few seconds: no gateway believes a head from the future."""
    write_archive(folder / "files", studies)
    hasty = replace(plan(), move_delay_s=DELAY_S)
    with ThreadPoolExecutor(1) as beside:  # the browser's own loop runs in this thread
        deployed = beside.submit(lambda: asyncio.run(deployed_in(folder, hasty))).result()
    port = free_port()
    origin = f"http://localhost:{port}"
    settings: dict[str, Any] = {"CONSENTRY_PORT": str(port), "CONSENTRY_PUBLIC_URL": origin}
    pacs = archive_settings(folder / "files")
    with running_gateway(zygote, deployed, folder / "data", pacs, **settings) as gateway, chromium() as browser:
        yield Desk(gateway, browser, origin)


def press(window: Window, name: str) -> None:
    window.page.get_by_role("button", name=name, exact=True).click()


def read_letter(window: Window, picture: str) -> str:
    """The link that a phone's camera reads from the letter, which is the one it says in words."""
    page = window.page
    page.get_by_role("button", name="Print the letter").wait_for()
    assert window.violations() == []
    path = window.keep(picture)
    page.locator("#letter .qr").screenshot(path=path)
    (found,) = zxingcpp.read_barcodes(Image.open(path))
    address, _, code = found.text.partition("#")
    assert page.locator("#letter .address").inner_text() == address
    assert page.locator("#letter .code code").inner_text() == code
    return str(found.text)
