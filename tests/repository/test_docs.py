"""The documents say what is there: links lead somewhere, make targets and commands exist, each command is explained."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from app.commands.root import command_line
from tests.support.needs import PROJECT
from tools.command_page import PAGE, commands, page

DOCUMENTS = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
MAKE = re.compile(r"`make ([a-z-]+)")
CONSENTRY = re.compile(r"`consentry((?: [a-z-]+)+)")


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))


def relative(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(document):
    broken = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_a_make_target_that_is_named_exists(document):
    assert set(MAKE.findall(document.read_text())) - targets() == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_a_command_that_is_named_exists(document):
    known = {name for name, _ in commands(get_command(command_line()))}
    groups = {name.split()[0] for name in known}
    for mention in CONSENTRY.findall(document.read_text()):
        words = mention.split()
        assert words[0] in groups, f"consentry {words[0]}"
        exact = " ".join(words[:2])
        assert words[0] in known or len(words) == 1 or exact in known, f"consentry {exact}"


def test_the_page_of_commands_is_the_one_that_make_docs_writes():
    assert PAGE.read_text() == page()


def test_the_page_of_commands_explains_each():
    silent = [
        name for name, command in commands(get_command(command_line())) if len(command.help or "") < len("Do it well.")
    ]
    assert silent == []
