"""docs/ARCHITECTURE.md draws the house as it is: every module is named, and nothing that is not there."""

import re
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]
_DRAWING = (_PROJECT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")


def _modules() -> set[str]:
    return {path.name for path in (_PROJECT / "app").rglob("*.py") if path.name != "__init__.py"}


def test_every_module_is_drawn() -> None:
    drawn = set(re.findall(r"`(?:[a-z0-9_/]*/)?([a-z0-9_]+\.py)`", _DRAWING))
    assert _modules() - drawn == set()
    assert drawn - _modules() == set()
