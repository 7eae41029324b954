"""Where a person can go: sections by what they are on the chain, and the pages of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter

from app.api.caller import Caller
from app.core.consent.terms import Purpose


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for it
    """Marks a text that is said elsewhere, in whatever language the page then has."""
    return text


@dataclass(frozen=True, slots=True)
class Entry:
    """One page in the navigation. ``icon`` names a picture of static/icons.svg. ``is_for``: who of the section has it;
    None: everybody.
    """

    path: str
    title: str
    icon: str
    is_for: Callable[[Caller], bool] | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A room of the portal. ``folder`` holds its ``templates``, ``static`` and ``languages``; ``is_for`` says whether a
    signed-in person has it. The first entry of theirs is where the section begins. ``begins_for``: who signed in for
    one of these purposes begins in this section, if it is theirs.
    """

    name: str
    title: str
    entries: Sequence[Entry]
    is_for: Callable[[Caller], bool]
    router: APIRouter
    folder: Path
    begins_for: frozenset[Purpose] = frozenset()

    def entries_of(self, caller: Caller) -> list[Entry]:
        return [one for one in self.entries if one.is_for is None or one.is_for(caller)]

    def home_of(self, caller: Caller) -> str:
        """Where the section begins for somebody who has it."""
        return self.entries_of(caller)[0].path

    def holds(self, path: str) -> bool:
        """Whether a page belongs to the section."""
        return path == f"/{self.name}" or path.startswith(f"/{self.name}/")


def current(section: Section, path: str) -> Entry | None:
    """The entry that a page belongs to: the one with the longest path that leads to it."""
    leading = [one for one in section.entries if path == one.path or path.startswith(one.path + "/")]
    return max(leading, key=lambda one: len(one.path), default=None)
