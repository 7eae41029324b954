"""docs/CONFORMANCE.md: each line names a test that exists, and each resource of the grammar has its line."""

import ast
import re
from functools import cache

from app.core.dicom.dicomweb_grammar import ROUTES
from tests.story.orthanc_requests import REQUESTS
from tests.support.needs import PROJECT

DOCUMENT = PROJECT / "docs" / "CONFORMANCE.md"
# | section | what | served | `tests/…/test_….py::test_…`, … |
ROW = re.compile(r"^\| ([^|]+?) \| (.+?) \| ([a-z ]+) \| (`tests/[^|]+`) \|$", re.MULTILINE)
VERDICTS = {"served", "negotiated", "refused", "not served"}
# The chapters that the standard has, and what of each must be said here.
CHAPTERS = {"§8", "§9", "§10.4", "§10.5", "§10.6", "§11", "§12", "§13", "§14"}


def rows(chapter: str = "") -> list[tuple[str, str, str, str]]:
    """(section, what, verdict, tests) of every line, or of those below one heading."""
    text = DOCUMENT.read_text()
    if chapter:
        text = text.partition(f"## {chapter}\n")[2].partition("\n## ")[0]
    return ROW.findall(text)


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((PROJECT / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_each_line_of_the_tables_is_one():
    tables = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ") and "`tests/" in line]
    assert len(tables) == len(rows()) > 100


def test_each_line_names_a_test_that_exists():
    named = [(what, test) for _, what, _, tests in rows() for test in re.findall(r"`([^`]+)`", tests)]
    for what, test in named:
        path, _, name = test.partition("::")
        assert path.startswith("tests/"), test
        assert (PROJECT / path).is_file(), test
        assert name.startswith("test_"), test
        assert name in names_in(path), (what, test)


def test_each_verdict_is_one_of_four():
    assert {verdict for _, _, verdict, _ in rows()} == VERDICTS


def test_no_line_is_there_twice():
    said = [(section, what) for section, what, _, _ in rows()]
    assert len(said) == len(set(said))


def test_each_chapter_is_spoken_of():
    sections = [section for section, _, _, _ in rows()]
    assert [chapter for chapter in CHAPTERS if not any(section.startswith(chapter) for section in sections)] == []


def test_each_resource_of_the_grammar_has_its_line_and_its_methods():
    listed = {
        template: what
        for _, what, verdict, _ in rows("Resources")
        for template in re.findall(r"^`(/[^`]*)`", what)
        if verdict == "served"
    }
    for route in ROUTES:
        assert route.template in listed
        assert all(method in listed[route.template] for method in route.methods), route.template
    assert set(listed) == {route.template for route in ROUTES} | {"/wado"}


def test_each_difference_from_orthanc_is_explained():
    text = DOCUMENT.read_text()
    differing = [asked for asked in REQUESTS if asked.here is not None]
    assert all(f"| {asked.test} | `{asked.target}`" in text and asked.why in text for asked in differing)
    assert len(re.findall(r"^\| \w+ \| `[/{].*\| \d{3} \|", text, re.MULTILINE)) == len(differing)
