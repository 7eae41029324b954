"""A small clinic for the portal's tests: two patients, with names that are markup, and who asks for them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import requests
from playwright.sync_api import Browser
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from tests.browser.chromium import Wallet, Window, chromium
from tests.browser.letters import post_office
from tests.browser.letters import settings as mail_settings
from tests.loops_notices.sinks import Mailbox
from tests.support.live import Live, live_stack
from tests.support.needs import PROJECT

MARKUP = "<img src=x onerror=alert(1)>"
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}
SIZES = {"phone": PHONE, "desk": DESK}
_STUDIES = (
    ("CLINIC-1", "Lind^Eva", "CT chest", "20260105", "CT_small.dcm"),
    ("CLINIC-1", "Lind^Eva", f"MR {MARKUP}", "20260618", "MR_small.dcm"),
    ("CLINIC-1", "Lind^Eva", "", "", "examples_ybr_color.dcm"),
    ("CLINIC-2", f"{MARKUP}^Bo", "US abdomen", "20260301", "examples_overlay.dcm"),
)
_UNTIL_S = 60.0


def uid(number: int) -> str:
    """The StudyInstanceUID of that study."""
    return f"2.25.77200{number}"


@dataclass
class Clinic:
    """The stack, the browser, the letters that were sent, and what happened so far."""

    live: Live
    browser: Browser
    mailbox: Mailbox
    windows: list[Window] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return str(self.live.document["gateway_url"])

    def key(self, account: str) -> str:
        return next(str(one["patient_key"]) for one in self.live.document["patients"] if one["account"] == account)

    def address(self, account: str) -> str:
        return self.live.account(account).address

    def unsigned(self, who: str, size: str = "desk") -> Window:
        """A window with their wallet, in which nobody is signed in."""
        wallet = Wallet(self.live.account(who), rpc_url=self.live.rpc_url)
        window = Window(self.browser, self.origin, wallet, self.live.rpc_url, viewport=SIZES[size], locale="en-GB")
        self.windows.append(window)
        return window

    def window(self, who: str | None = "patient1", size: str = "desk", **context: Any) -> Window:
        """A window of that size, signed in by a session that a wallet's signature made."""
        wallet = None if who is None else Wallet(self.live.account(who), rpc_url=self.live.rpc_url)
        window = Window(
            self.browser, self.origin, wallet, self.live.rpc_url, viewport=SIZES[size], locale="en-GB", **context
        )
        if who is not None:
            client = self.live.signed_in(who)
            cookie = {
                "name": "__Host-consentry",
                "value": client.token,
                "domain": "localhost",
                "path": "/",
                "secure": True,
                "httpOnly": True,
                "sameSite": "Strict",
            }
            window.context.add_cookies([cookie])  # type: ignore[list-item]
        self.windows.append(window)
        return window

    def asked_by(self, account: str, patient: str = "patient1", **more: object) -> str:
        """A request for access; its id."""
        body = {"patient_key": self.key(patient), "reason": "To prepare your operation.", **more}
        return str(self.live.signed_in(account).post("/api/access-requests", body)["id"])

    def looked_at(self, account: str, study: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.live.signed_in(account).token}"}
        return requests.get(f"{self.origin}/dicom-web/studies/{study}/metadata", headers=headers, timeout=30)

    def consents(self, account: str = "patient1") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.live.signed_in(account).get("/api/consents")["consents"]
        return found

    def revoked(self, consent: str, account: str = "patient1") -> None:
        """Taken back for good: what is signed before the chain has it would be void."""
        self.live.revoked(account, consent)
        self.live.signed_in(account).until(f"/api/consents/{consent}", lambda view: view["final"], _UNTIL_S)

    def named(self, account: str, name: str, organisation: str) -> None:
        """An entry in the directory, by the command that an administrator uses."""
        self.administer("directory", "set", self.address(account), "--name", name, "--organisation", organisation)

    def administer(self, *arguments: str) -> None:
        """A command that the administrator gives, with their key."""
        settings = {
            "CONSENTRY_DATA_DIR": str(self.live.folder),
            "CONSENTRY_WALLET_KEY": self.live.document["accounts"]["admin"],
            **self.live.settings,
        }
        subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            env={**os.environ, "PYTHONPATH": str(PROJECT), **settings},
            cwd=self.live.folder, check=True, capture_output=True,
        )  # fmt: skip

    def new_image(self, number: int, patient: str) -> pydicom.Dataset:
        """An image that the archive does not have, of a study of its own."""
        return _image(number, patient, f"{MARKUP}^Bo", "US later", "20260901", "examples_overlay.dcm")


def until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _UNTIL_S
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@contextmanager
def running_clinic(folder: Path) -> Iterator[Clinic]:
    archive = folder / "archive"
    archive.mkdir(parents=True)
    for number, (patient, name, description, date, file) in enumerate(_STUDIES):
        _image(number, patient, name, description, date, file).save_as(archive / f"{number}.dcm")
    with (
        post_office() as mailbox,
        live_stack(folder / "data", CONSENTRY_PACS_URL=archive.as_uri(), **mail_settings(mailbox)) as live,
        chromium() as browser,
    ):
        yield Clinic(live, browser, mailbox)


def _image(number: int, patient: str, name: str, description: str, date: str, file: str) -> pydicom.FileDataset:
    path = get_testdata_file(file, download=False)
    assert isinstance(path, str)
    dataset = pydicom.dcmread(path)
    dataset.PatientID, dataset.IssuerOfPatientID, dataset.PatientName = patient, "CLINIC", name
    dataset.StudyDescription, dataset.StudyDate, dataset.StudyInstanceUID = description, date, UID(uid(number))
    dataset.SeriesInstanceUID = UID(f"2.25.77300{number}")
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.77400{number}")
    return dataset
