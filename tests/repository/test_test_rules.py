"""The rules of tests/conftest.py hold: seeds repeat and are printed, and in CI nothing is skipped."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.needs import PROJECT

INNER = """
import warnings

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.support.needs import NEEDS, Need

NEEDS["nginx"] = Need("nginx", lambda: None, "get it there")
seen = []

def test_skipping():
    pytest.skip("not today")

@pytest.mark.nginx
def test_needing():
    raise AssertionError("not reached")

@pytest.mark.xfail
def test_expected_failure():
    assert False

@pytest.mark.xfail
def test_expected_failure_that_passes():
    pass

def test_warning():
    warnings.warn("old")

@hypothesis.given(st.integers())
@hypothesis.settings(max_examples=20, database=None)
def test_generated(number):
    seen.append(number)

def test_chance(rng):
    print("SEEN", seen, rng.random())

def test_size(run_size):
    assert run_size(3, 1000) == 3
"""
SKIPPED_FILE = "import pytest\n\npytest.skip('not today', allow_module_level=True)\n"


class Run:
    """One run of a test file under the project's own configuration: its text, and what became of each test."""

    def __init__(self, folder: Path, source: str, *arguments: str, ci: bool = False) -> None:
        path = folder / "test_inner.py"
        path.write_text(source)
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("CI", "COVERAGE", "PYTEST"))
        }
        own = ["-c", "pyproject.toml", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rA", str(path)]
        self.text = subprocess.run(
            [sys.executable, "-m", "pytest", *own, *arguments],
            cwd=PROJECT,
            env=environ | ({"CI": "true"} if ci else {}),
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        found = re.findall(
            r"^(PASSED|FAILED|ERROR|XFAIL|SKIPPED) .*?(?:::(\w+)|test_inner.py:\d+: )", self.text, re.MULTILINE
        )
        self.outcomes = {name: outcome for outcome, name in found if name}

    @property
    def seen(self) -> str:
        (line,) = re.findall(r"^SEEN .*", self.text, re.MULTILINE)
        return str(line)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("elsewhere"), INNER, "--seed=7")


@pytest.fixture(scope="module")
def in_ci(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("in_ci"), INNER, "--seed=7", ci=True)


@pytest.fixture(scope="module")
def other_seed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("other_seed"), INNER, "--seed=8", "--profile=soak")


@pytest.mark.parametrize("name", ["test_skipping", "test_needing"])
def test_a_skip_is_a_failure_in_ci_only(elsewhere, in_ci, name):
    assert name not in elsewhere.outcomes
    assert "2 skipped" in elsewhere.text
    assert in_ci.outcomes[name] in {"FAILED", "ERROR"}
    assert "in CI nothing may be" in in_ci.text


def test_a_skipped_file_is_a_failure_in_ci(tmp_path):
    run = Run(tmp_path, SKIPPED_FILE, ci=True)
    assert "1 error" in run.text
    assert "in CI nothing may be" in run.text


def test_an_expected_failure_is_no_skip(in_ci):
    assert in_ci.outcomes["test_expected_failure"] == "XFAIL"


def test_an_expected_failure_that_passes_fails(elsewhere):
    assert elsewhere.outcomes["test_expected_failure_that_passes"] == "FAILED"


def test_a_missing_need_is_said_loudly(elsewhere):
    assert "NOT RUN: 1 tests need nginx" in elsewhere.text
    assert "get it there" in elsewhere.text


def test_a_failure_prints_what_repeats_it(elsewhere, other_seed):
    assert "profile dev, seed 7" in elsewhere.text
    assert re.search(r"test_warning' --seed=7 --profile=dev$", elsewhere.text, re.MULTILINE)
    assert re.search(r"test_warning' --seed=8 --profile=soak$", other_seed.text, re.MULTILINE)


def test_the_seed_decides_all_chance(elsewhere, in_ci, other_seed):
    assert elsewhere.seen == in_ci.seen
    assert elsewhere.seen != other_seed.seen


def test_run_size_follows_the_profile(elsewhere, other_seed):
    assert elsewhere.outcomes["test_size"] == "PASSED"
    assert other_seed.outcomes["test_size"] == "FAILED"


def test_a_warning_is_an_error(elsewhere):
    assert elsewhere.outcomes["test_warning"] == "FAILED"
