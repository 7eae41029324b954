"""Confirming an address by the link in a message: nothing happens before somebody presses the button."""

from collections.abc import Callable

import pytest

from tests.browser.chromium import Window
from tests.browser.conftest import Stage

pytestmark = pytest.mark.browser

TOKEN = "a" * 43


@pytest.fixture
def opened(stage: Stage, windows: list[Window]) -> Callable[[str], Window]:
    def open_window(path: str) -> Window:
        window = stage.window(None)
        windows.append(window)
        window.go(path)
        return window

    return open_window


def test_the_button_confirms_and_the_token_leaves_the_address(opened: Callable[[str], Window]) -> None:
    window = opened("/contact")  # so that the route below is there before the page
    asked: list[str | None] = []

    def answer(route: object) -> None:
        asked.append(route.request.post_data)  # type: ignore[attr-defined]
        route.fulfill(status=204)  # type: ignore[attr-defined]

    window.page.route("**/api/contact/confirmation", answer)
    window.page.evaluate(f"location.hash = '{TOKEN}'")
    window.page.reload()
    window.page.get_by_role("button", name="Confirm").wait_for()
    assert window.page.evaluate("location.href").endswith("/contact")
    assert asked == [], "whoever only opens a link confirms nothing"
    window.page.get_by_role("button", name="Confirm").click()
    window.page.get_by_text("You will be told there from now on.").wait_for()
    assert asked == [f'{{"token":"{TOKEN}"}}']
    assert window.page.get_by_role("button", name="Confirm").is_disabled()
    assert (window.errors, window.foreign) == ([], [])


def test_a_link_that_opens_nothing_says_what_to_do(opened: Callable[[str], Window]) -> None:
    window = opened(f"/contact#{TOKEN}")
    window.page.get_by_role("button", name="Confirm").click()
    window.page.get_by_text("This link is used up or too old.").wait_for()
    half = opened(f"/contact#{TOKEN[:-1]}")
    half.page.get_by_text("This is not the whole link.").wait_for()
    assert half.page.get_by_role("button", name="Confirm").is_disabled()
