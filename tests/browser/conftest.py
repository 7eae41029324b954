"""One stack, one browser, and who sits in front of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.archive import Kept, build
from tests.browser.chromium import Wallet, Window, chromium
from tests.browser.clinic import Clinic
from tests.browser.desk import Desk
from tests.support.live import Live, live_stack
from tests.support.needs import PROJECT, corpus_folder

HIDDEN = {"unnamed", "stranger"}


@dataclass(frozen=True, slots=True)
class Stage:
    """The stack and what its archive holds. physician1 may see the studies that are not in HIDDEN."""

    live: Live
    studies: dict[str, Kept]
    browser: Browser

    @property
    def origin(self) -> str:
        return str(self.live.document["gateway_url"])

    @property
    def permitted(self) -> dict[str, Kept]:
        return {name: study for name, study in self.studies.items() if name not in HIDDEN}

    def window(self, who: str | None, *, code: int | None = None, **context: Any) -> Window:
        """A new window with the wallet of that development account (None: with no wallet)."""
        wallet = None if who is None else Wallet(self.live.account(who), code)
        return Window(self.browser, self.origin, wallet, **context)


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, dict[str, Kept]]]:
    """The stack, and what its archive holds: for every file whose tests make their own people, or look at none."""
    folder = tmp_path_factory.mktemp("browser")
    studies = build(folder / "archive", corpus_folder())
    settings = {
        "CONSENTRY_PACS_URL": (folder / "archive").as_uri(),
        "CONSENTRY_VIEWER_DIR": str(PROJECT / "viewer"),
    }
    with live_stack(folder / "data", **settings) as live:
        yield live, studies


# Closed when a file is done: while Playwright's loop exists in this thread, no other can run in it.
@pytest.fixture(scope="module")
def stage(shared_stack: tuple[Live, dict[str, Kept]]) -> Iterator[Stage]:
    with chromium(webgl=True) as browser:
        yield Stage(*shared_stack, browser)


@pytest.fixture
def windows(request: pytest.FixtureRequest) -> Iterator[list[Window]]:
    """Windows to be closed after the test, with a picture of how each was left."""
    opened: list[Window] = []
    yield opened
    for number, window in enumerate(opened):
        window.keep(f"{request.node.name}-{number}")
        window.close()


@pytest.fixture
def clinic(whole_clinic: Clinic, request: pytest.FixtureRequest) -> Iterator[Clinic]:
    """The clinic that the file has, for one test: its windows are looked at and put away."""
    yield whole_clinic
    windows, whole_clinic.windows = whole_clinic.windows, []
    _put_away(windows, request)


@pytest.fixture
def desk(whole_desk: Desk, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """The desk that the file has, for one test."""
    yield whole_desk
    windows, whole_desk.windows = whole_desk.windows, []
    _put_away(windows, request)


def _put_away(windows: list[Window], request: pytest.FixtureRequest) -> None:
    """Each leaves a picture. Nothing may have gone wrong in any of them."""
    for number, window in enumerate(windows):
        window.keep(f"{request.node.name}-{number}")
        window.close()
    for window in windows:
        assert (window.errors, window.foreign) == ([], [])
