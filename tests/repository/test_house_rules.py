"""Rules of the house that no tool holds by itself, and proof that the tools hold theirs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import PROJECT

# In two parts, so that this file does not name them itself.
REGISTRIES = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("golang", "org"),
    ]
]
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "service", "misc"}
LONGEST_FILE_LINES = 400


def tracked(*suffixes: str) -> list[Path]:
    """The files of the project as git knows them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    return [PROJECT / name for name in listed.split("\0") if name.endswith(suffixes) and (PROJECT / name).is_file()]


def test_no_file_names_a_package_registry():
    pattern = re.compile("|".join(map(re.escape, REGISTRIES)).encode())
    assert [str(path) for path in tracked("") if pattern.search(path.read_bytes())] == []


def test_no_source_file_has_a_name_that_says_nothing():
    ours = [path for path in tracked(".py", ".sol", ".js") if "vendor" not in path.parts]
    assert [str(path) for path in ours if path.stem.lower() in VAGUE_NAMES] == []


def test_no_python_file_outside_the_tests_is_a_hall():
    long = {
        str(path.relative_to(PROJECT)): lines
        for path in tracked(".py")
        if PROJECT / "tests" not in path.parents and (lines := path.read_text().count("\n")) > LONGEST_FILE_LINES
    }
    assert long == {}


def test_nothing_unfinished_is_committed():
    # The mark itself, in two parts
    mark = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
    assert [str(path) for path in tracked(".py", ".sol", ".js", ".md", ".toml") if mark.search(path.read_text())] == []


@pytest.mark.parametrize(
    "line",
    ["import time", "from time import monotonic", "import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)"],
)
def test_ruff_keeps_the_clock_out_of_the_core(line):
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise"]

    def complaints(filename: str) -> str:
        probe = subprocess.run(
            [*command, f"--stdin-filename={filename}", "-"],
            input=f"{line}\n",
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        return probe.stdout

    assert "TID251" in complaints("app/core/probe.py")
    assert "TID251" not in complaints("app/loops/probe.py")


def test_make_alone_lists_every_target_of_the_outer_surface():
    listing = subprocess.run(
        ["make", "--no-print-directory"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    listed = set(re.findall(r"^  ([a-z]+) ", listing, re.MULTILINE))
    assert {"demo", "test", "up", "check", "bench", "soak"} <= listed
