"""docs/TUTORIAL.md, played: what is typed in its second terminal, and what is pressed in the browser, in its order.

``python -m tests.browser.tutorial FOLDER`` (``make tutorial-pictures``) writes the page's pictures.
"""

import io
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.chromium import chromium
from tests.browser.device import Phone
from tests.support.live import Live, live_stack
from tests.support.needs import PROJECT

PAGE = PROJECT / "docs" / "TUTORIAL.md"
PICTURES = ("claim", "request", "grant", "accesses", "revoked")
_GATEWAY, _NODE = "http://localhost:8080", "http://127.0.0.1:8545"
_FINAL_MS = 60_000
_COLOURS = 64
_END = "--- end of the block ---"


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. ``section``: the number of its heading. ``printed``: the text block that follows it, if any."""

    section: int
    command: str
    printed: str | None


def blocks(page: str) -> list[Block]:
    """Every ``sh`` block with the ``text`` block that shows what it prints; a block of another kind is refused."""
    found = []
    for number, section in enumerate(re.split(r"^## ", page, flags=re.MULTILINE)):
        fenced = re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        for place, (language, text) in enumerate(fenced):
            after = fenced[place + 1] if place + 1 < len(fenced) else ("", "")
            assert language == "sh" or (language == "text" and fenced[place - 1][0] == "sh"), text
            if language == "sh":
                found.append(Block(number, text, after[1] if after[0] == "text" else None))
    return found


class Terminal:
    """The second terminal: one shell for all blocks, on a stack at addresses of its own."""

    def __init__(self, live: Live) -> None:
        folder = live.folder.parent
        if not (folder / ".venv").exists():
            (folder / ".venv").symlink_to(PROJECT / ".venv")
        self._addresses = {_GATEWAY: str(live.document["gateway_url"]), _NODE: live.rpc_url}
        self._shell = subprocess.Popen(
            ["bash", "-eo", "pipefail"],
            cwd=folder,
            env={
                "HOME": str(folder),
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "PYTHONPATH": str(PROJECT),
                "CONSENTRY_GATEWAY_URL": self._addresses[_GATEWAY],
                "LC_ALL": "C.UTF-8",
            },
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def types(self, block: Block) -> str:
        """What the block prints, held to what the page shows (``…`` is anything). Fails when a command does."""
        command = block.command
        for shown, here in self._addresses.items():
            command = command.replace(shown, here)
        keyboard, screen = self._pipes
        keyboard.write(f"{command}\necho {shlex.quote(_END)}\n")
        keyboard.flush()
        lines = []
        for line in screen:
            if line.rstrip("\n") == _END:
                break
            lines.append(line)
        else:
            raise AssertionError(f"the shell ended in:\n{block.command}\nafter:\n{''.join(lines)}")
        said = "".join(lines)
        as_shown = said
        for shown, here in self._addresses.items():
            as_shown = as_shown.replace(here, shown)
        if block.printed is not None:
            expected = ".*".join(re.escape(part) for part in block.printed.split("…"))
            assert re.fullmatch(expected, as_shown), (block.printed, as_shown)
        return said

    def close(self) -> None:
        self._pipes[0].close()
        self._shell.wait(30)
        self._pipes[1].close()

    @property
    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        return self._shell.stdin, self._shell.stdout


Take = Callable[[str, Page], None]


class Reader:
    """Somebody with a phone and a terminal, who does what the page says. ``take``: called where it has a picture."""

    def __init__(self, live: Live, browser: Browser, take: Take) -> None:
        self._live = live
        self._take = take
        self._terminal = Terminal(live)
        self._sections: dict[int, list[Block]] = {}
        for block in blocks(PAGE.read_text(encoding="utf-8")):
            self._sections.setdefault(block.section, []).append(block)
        self.phone = Phone(browser, str(live.document["gateway_url"]), beside=live.rpc_url)
        self.typed = 0

    def plays(self) -> None:
        """Section by section; each block is typed once."""
        # The first block starts the stack, which was done already
        start, *rest = self._sections[1]
        assert start.command == "make up\n"
        self.typed += 1
        self._types(rest)
        (desk,) = self._section(2)
        (link,) = re.findall(r"^claim link +(\S+)$", desk, re.MULTILINE)
        self._takes_charge(link)
        self._section(4)
        self._lets_in()
        self._section(6)
        self._sees_who_looked()
        self._takes_back()
        self._section(8)
        self._section(9)

    def close(self) -> None:
        self._terminal.close()
        self.phone.close()

    def _types(self, some: list[Block]) -> list[str]:
        said = [self._terminal.types(block) for block in some]
        self.typed += len(some)
        return said

    def _section(self, number: int) -> list[str]:
        return self._types(self._sections[number])

    @property
    def _page(self) -> Page:
        return self.phone.page

    def _press(self, name: str, within: Page | Locator | None = None) -> None:
        (within or self._page).get_by_role("button", name=name, exact=True).click()

    def _follow(self, name: str) -> None:
        self._page.get_by_role("link", name=name).first.click()

    def _takes_charge(self, link: str) -> None:
        self._page.goto(link)
        self._press("This phone or computer")
        expect(self._page.locator("#sentence")).to_contain_text("I take control of this patient record")
        self._take("claim", self._page)
        self._press("Sign")
        self._page.get_by_text("It counts").wait_for(timeout=_FINAL_MS)
        self._follow("Go to my images")

    def _lets_in(self) -> None:
        self._follow("Overview")
        self._follow("See who and why")
        self._page.get_by_text("Your knee: I would like to compare").wait_for()
        self._take("request", self._page)
        self._follow("Let them look")
        expect(self._page.locator("#sign")).to_be_enabled()
        self._press("Sign")
        dialog = self._page.get_by_role("dialog")
        self._confirms(dialog, "grant")
        dialog.get_by_text("they may look now").wait_for()
        self._press("Close", dialog)
        self._page.wait_for_url("**/patient/consents")

    def _sees_who_looked(self) -> None:
        self._follow("Who looked")
        looked = self._page.locator(".entry", has_text="Dr. Ines Castellan")
        expect(looked).not_to_have_count(0)
        self._press("Check all")
        for entry in self._page.locator(".entry").all():
            entry.get_by_text("checked on the chain").wait_for(timeout=_FINAL_MS)
        self._page.locator(".heading").first.evaluate("(node) => scrollTo(0, node.offsetTop - 8)")
        self._take("accesses", self._page)

    def _takes_back(self) -> None:
        self._follow("Who may look")
        self._press_first("Take back")
        dialog = self._page.get_by_role("dialog")
        self._confirms(dialog)
        dialog.get_by_text("for good: the chain has it").wait_for(timeout=_FINAL_MS)
        self._take("revoked", self._page)
        self._press("Close", dialog)
        self._page.get_by_text("Nobody but you may look at your images.").wait_for()

    def _confirms(self, dialog: Locator, taken: str = "") -> None:
        dialog.get_by_role("button", name="Sign with your passkey").wait_for()
        if taken:
            self._take(taken, self._page)
        self._press("Sign with your passkey", dialog)

    def _press_first(self, start_of_name: str) -> None:
        buttons = self._page.get_by_role("button", name=re.compile(f"^{re.escape(start_of_name)}"))
        expect(buttons).to_have_count(1)
        buttons.click()


def picture(page: Page) -> bytes:
    """What the phone shows, as a PNG of few colours: text on plain ground needs no more."""
    with Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide"))) as whole:
        small = io.BytesIO()
        whole.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()


def main(folder: Path) -> None:
    """Play it on a stack of its own, and write the pictures."""
    folder.mkdir(parents=True, exist_ok=True)

    def take(name: str, page: Page) -> None:
        path = folder / f"{name}.png"
        path.write_bytes(picture(page))
        sys.stdout.write(f"{path}\n")

    with (
        tempfile.TemporaryDirectory() as made,
        live_stack(Path(made) / "data") as live,
        chromium(webgl=True) as browser,
    ):
        reader = Reader(live, browser, take)
        try:
            reader.plays()
        except BaseException:
            reader.phone.keep("tutorial-stopped-here")
            raise
        finally:
            reader.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
