"""docs/TUTORIAL.md and README.md as somebody new follows them: every block is run, everything is pressed."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page

from tests.browser.chromium import chromium
from tests.browser.tutorial import PAGE, PICTURES, Block, Reader, Terminal, blocks
from tests.support.live import Live, live_stack
from tests.support.needs import PROJECT

pytestmark = pytest.mark.browser

_README = (PROJECT / "README.md").read_text(encoding="utf-8")
_ALL_PICTURES_BYTES = 1_500_000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_stack(tmp_path_factory.mktemp("tutorial") / "data") as live:
        yield live


def _makes(command: str) -> str:
    """What that target would run, its environment being there."""
    return subprocess.run(
        ["make", "--no-print-directory", "-n", command], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout


def test_the_tutorial_leads_where_it_says(stack: Live) -> None:
    taken: list[str] = []

    def take(name: str, page: Page) -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        taken.append(name)

    with chromium(webgl=True) as browser:
        reader = Reader(stack, browser, take)
        try:
            reader.plays()
            reader.phone.keep("tutorial-end")
            assert (reader.phone.errors, reader.phone.foreign) == ([], [])
        finally:
            reader.close()
    assert tuple(taken) == PICTURES
    assert reader.typed == len(blocks(PAGE.read_text(encoding="utf-8"))), "no block is left out"


def test_what_the_tutorial_asks_to_press_is_what_was_pressed() -> None:
    """A name in bold that the player does not know was never tried."""
    played = (PROJECT / "tests" / "browser" / "tutorial.py").read_text(encoding="utf-8")
    bold = set(re.findall(r"\*\*([^*]+)\*\*", PAGE.read_text(encoding="utf-8"))) - {"claim link"}
    assert len(bold) >= 10
    assert {name for name in bold if f'"{name}"' not in played and name not in played} == set()


def test_the_pictures_are_those_of_the_page_and_small() -> None:
    shown = re.findall(r'src="pictures/(\w+)\.png"', PAGE.read_text(encoding="utf-8"))
    assert tuple(shown) == PICTURES
    kept = sorted((PROJECT / "docs" / "pictures").iterdir())
    assert [path.stem for path in kept] == sorted(PICTURES)
    assert sum(path.stat().st_size for path in kept) < _ALL_PICTURES_BYTES
    for path in kept:
        with Image.open(path) as picture:
            assert picture.size == (780, 1688), "a phone's"


def test_the_stack_is_started_as_the_tutorial_says() -> None:
    assert _makes("up").rstrip().endswith("consentry up")
    assert "tests.browser.tutorial docs/pictures" in _makes("tutorial-pictures")


def test_each_block_of_the_readme(stack: Live) -> None:
    """But the end of the story, which the story's own test holds to what is printed."""
    shell = re.findall(r"^```sh\n(.*?)^```$", _README, re.MULTILINE | re.DOTALL)
    assert re.findall(r"^```(\w+)$", _README, re.MULTILINE) == ["sh", "text", "mermaid", "sh"]
    two, token = shell
    for line in two.splitlines():
        (target,) = re.findall(r"^make (\w+)", line)
        assert _makes(target)
    assert "consentry demo" in _makes("demo")
    terminal = Terminal(stack)
    try:
        said = terminal.types(Block(0, token, None))
    finally:
        terminal.close()
    assert re.fullmatch(r"\S{20,}\n", said)


def test_a_block_that_says_otherwise_is_noticed(tmp_path: Path) -> None:
    """The terminal holds what is printed to what is shown, and a command that fails fails."""
    live = Live(tmp_path / "data", document={"gateway_url": "http://localhost:1", "rpc_url": "http://127.0.0.1:2"})
    terminal = Terminal(live)
    try:
        assert terminal.types(Block(0, "echo 3 of 4\n", "… of 4\n")) == "3 of 4\n"
        with pytest.raises(AssertionError):
            terminal.types(Block(0, "echo 3 of 5\n", "… of 4\n"))
        assert terminal.types(Block(0, "echo http://localhost:8080/a\n", "http://localhost:8080/a\n")).endswith(
            ":1/a\n"
        )
        with pytest.raises(AssertionError, match="the shell ended"):
            terminal.types(Block(0, "false\n", None))
    finally:
        terminal.close()
