"""OHIF at /viewer, opened by people: what they see is what they may see, and it paints."""

import io
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Error, Locator

from tests.browser.archive import CT_SLICES
from tests.browser.chromium import Window
from tests.browser.conftest import Stage

pytestmark = [pytest.mark.browser, pytest.mark.viewer]

Found = TypeVar("Found")
_PAINTED_LEVELS = 30
_WAIT_S = 90.0
_THUMBNAIL = '[data-cy="study-browser-thumbnail-no-image"]'
# Thumbnails are painted on canvases too, outside of the panel
_VIEWPORT = "#viewerLayoutResizableViewportGridPanel canvas.cornerstone-canvas"
# The first row holds the filters
_ROWS = "tbody tr:not(:has(input))"


def until(look: Callable[[], Found], good: Callable[[Found], bool], what: str) -> Found:
    """What is seen, once it is good."""
    deadline = time.monotonic() + _WAIT_S
    last = ""
    while time.monotonic() < deadline:
        try:
            found = look()
            if good(found):
                return found
            last = str(found)
        except Error as error:  # what was looked at was just replaced by something else
            last = str(error)
        time.sleep(0.2)
    pytest.fail(f"{what}: {last[:200]}")


@pytest.fixture(scope="module")
def physician(stage: Stage) -> Iterator[Window]:
    """physician1, who may see some studies, signed in and past what OHIF says to newcomers."""
    patient = stage.live.document["patients"][0]
    assert patient["patient_id"] == "VIEW-1"
    scope = {"studies": [study.uid for study in stage.permitted.values()]}
    stage.live.granted(patient["account"], "physician1", scope=scope)
    window = entered(stage, "physician1")
    yield window
    window.close()


@pytest.fixture
def window(physician: Window, request: pytest.FixtureRequest) -> Iterator[Window]:
    """The physician's window; nothing may have gone wrong in it when the test is done."""
    physician.errors.clear()
    physician.foreign.clear()
    physician.answers.clear()
    yield physician
    physician.keep(request.node.name)
    assert physician.errors == []
    assert physician.foreign == [], "nothing is loaded from elsewhere"
    assert [answer for answer in physician.answers if answer[0] >= 400] == []


def entered(stage: Stage, who: str) -> Window:
    window = stage.window(who)
    window.context.add_init_script("self.localStorage?.setItem('shownTours', JSON.stringify(['basicViewerTour']))")
    window.go("/viewer")
    window.page.get_by_role("button", name="Sign in with Test Wallet").click()
    window.page.wait_for_url(stage.origin + "/viewer")
    window.page.get_by_role("button", name="Confirm and hide").click()
    return window


def listed(window: Window) -> list[str]:
    """The descriptions on the worklist, once it has been filled or found empty."""
    window.go("/viewer")
    page = window.page
    page.get_by_text("Study List").wait_for()
    last: list[str] = []

    def stands_still(found: list[str]) -> bool:
        nonlocal last
        before, last = last, found
        return bool(found) and found == before and all(row.strip() for row in found)

    rows = until(
        lambda: [row.inner_text() for row in page.locator(_ROWS).all()], stands_still, "a list, or that there is none"
    )
    return [row for row in rows if "No studies available" not in row]


def opened(stage: Stage, window: Window, name: str, mode: str = "viewer") -> None:
    window.go(f"/viewer/{mode}?StudyInstanceUIDs={stage.studies[name].uid}")


def picture(place: Locator) -> Image.Image:
    return Image.open(io.BytesIO(place.screenshot())).convert("L")


def levels(image: Image.Image) -> int:
    """How many different grey levels there are."""
    return sum(count > 0 for count in image.histogram())


def red(place: Locator) -> int:
    """How many pixels are more red than green."""
    image = np.asarray(Image.open(io.BytesIO(place.screenshot())).convert("RGB")).astype(int)
    return int((image[..., 0] > image[..., 1] + 40).sum())


def painted(place: Locator) -> Image.Image:
    """What is painted there, once it is a picture and no longer changes."""
    place.wait_for()
    until(lambda: picture(place), lambda image: levels(image) >= _PAINTED_LEVELS, "a picture")
    steady = until(lambda: (picture(place), picture(place)), lambda two: two[0].tobytes() == two[1].tobytes(), "rest")
    return steady[0]


def changed(place: Locator, before: Image.Image) -> Image.Image:
    return until(lambda: picture(place), lambda image: image.tobytes() != before.tobytes(), "another picture")


def test_the_worklist_shows_exactly_what_is_permitted(stage: Stage, window: Window) -> None:
    rows = listed(window)
    assert len(rows) == len(stage.permitted)
    for name in stage.permitted:
        assert sum(f"browser {name}" in row for row in rows) == 1, name
    shown = window.page.locator("body").inner_text()
    assert "Lind, Eva" in shown
    assert "Hidden" not in shown
    assert "unnamed" not in shown


def test_a_filter_of_the_worklist_is_answered(window: Window) -> None:
    listed(window)
    window.page.locator("tbody input").last.fill("browser us")
    until(lambda: window.page.locator(_ROWS).count(), lambda count: count == 1, "one study")
    assert "browser us" in window.page.locator(_ROWS).inner_text()


def test_a_ct_paints_and_scrolls(stage: Stage, window: Window) -> None:
    opened(stage, window, "ct")
    viewport = window.page.locator(_VIEWPORT)
    first = painted(viewport)
    viewport.hover()
    seen = {first.tobytes()}
    for number in range(2, CT_SLICES + 1):
        window.page.mouse.wheel(0, 100)
        window.page.get_by_text(f"({number}/{CT_SLICES})").wait_for()
        image = painted(viewport)
        assert levels(image) >= _PAINTED_LEVELS
        seen.add(image.tobytes())
    assert len(seen) == CT_SLICES, "each slice is another picture"


def test_an_mr_in_jpeg_2000_paints(stage: Stage, window: Window) -> None:
    opened(stage, window, "mr")
    painted(window.page.locator(_VIEWPORT))


def test_an_ultrasound_runs_as_cine(stage: Stage, window: Window) -> None:
    opened(stage, window, "us")
    viewport = window.page.locator(_VIEWPORT)
    before = painted(viewport)
    window.page.locator('[data-cy="MoreTools-split-button-secondary"]').click()
    window.page.locator('[data-cy="Cine"]').click()
    changed(viewport, before)


@pytest.mark.corpus
def test_a_whole_slide_image_paints(stage: Stage, window: Window) -> None:
    opened(stage, window, "sm", "microscopy")
    slide = window.page.locator("canvas").first
    slide.wait_for()
    until(lambda: picture(slide), lambda image: levels(image) >= 3, "tiles")


@pytest.mark.corpus
def test_a_segmentation_is_drawn_over_its_images(stage: Stage, window: Window) -> None:
    opened(stage, window, "seg")
    painted(window.page.locator(_VIEWPORT))
    window.page.locator(_THUMBNAIL, has_text="SEG").dblclick()
    window.page.get_by_text("Do you want to open this Segmentation?").wait_for()
    window.page.get_by_role("button", name="Yes").click()
    until(lambda: red(window.page.locator(_VIEWPORT)), lambda count: count > 5000, "a segment in its colour")


@pytest.mark.corpus
def test_a_structured_report_is_drawn_on_its_image(stage: Stage, window: Window) -> None:
    opened(stage, window, "sr")
    painted(window.page.locator(_VIEWPORT))
    window.page.locator(_THUMBNAIL, has_text="SR").dblclick()
    window.page.get_by_text("Area of defined region").wait_for()


@pytest.mark.corpus
def test_a_pdf_is_shown(stage: Stage, window: Window) -> None:
    opened(stage, window, "pdf")
    report = window.page.locator('object[type="application/pdf"]')
    report.wait_for()
    until(lambda: report.get_attribute("data") or "", lambda data: data.startswith("blob:"), "the report's bytes")
    until(lambda: picture(report), lambda image: levels(image) >= _PAINTED_LEVELS, "a page")


def test_after_a_revocation_the_next_load_finds_nothing(stage: Stage, windows: list[Window]) -> None:
    study = stage.studies["ct"]
    consent = stage.live.granted("patient1", "physician2", scope={"studies": [study.uid]})
    window = entered(stage, "physician2")
    windows.append(window)
    rows = listed(window)
    assert len(rows) == 1
    assert "browser ct" in rows[0]
    opened(stage, window, "ct")
    painted(window.page.locator(_VIEWPORT))
    stage.live.revoked("patient1", consent)
    assert listed(window) == []
    window.answers.clear()
    opened(stage, window, "ct")
    window.page.get_by_text("not available").wait_for()
    assert not any(status == 200 and f"/studies/{study.uid}" in path for status, path in window.answers)
    assert window.page.locator(_VIEWPORT).count() == 0


def test_a_session_that_ended_leads_back_to_the_signing_in(stage: Stage, windows: list[Window]) -> None:
    window = entered(stage, "physician1")
    windows.append(window)
    window.page.get_by_text("Study List").wait_for()
    window.page.evaluate("fetch('/auth/logout', {method: 'POST'})")
    window.page.locator("tbody input").first.fill("Lind")
    window.page.wait_for_url("**/signin?next=%2Fviewer*")
