"""docs/PROBLEMS.md explains each kind of problem that app/core/http/problem.py can answer with, and no other."""

import re

from app.core.http.problem import KINDS
from tests.support.needs import PROJECT

# One row each: | `invalid-uid` | 400 | … |
ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (\d{3}) \| *(\S.*?) *\|", re.MULTILINE)


def rows() -> list[tuple[str, str, str]]:
    return ROW.findall((PROJECT / "docs" / "PROBLEMS.md").read_text())


def test_each_kind_is_explained_with_its_status():
    assert {(name, int(status)) for name, status, _ in rows()} == {(name, kind[0]) for name, kind in KINDS.items()}


def test_no_kind_is_explained_twice():
    assert len(rows()) == len(KINDS)
