"""What every test gets: one seed, printed when a test fails; a run size; and no silent skip.

A test that needs a program or the sample files says so with a marker (`tests/support/needs.py`). Where that is missing
the test is skipped and the summary says how to get it. In CI (``CI=true``) nothing is skipped: what would be, fails.
"""

import functools
import os
import random
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support.needs import NEEDS, corpus_folder
from tests.support.orthanc import ended_orthancs

# Fixtures that several areas use.
pytest_plugins = ("tests.support.chain", "tests.support.live")

DEFAULT_SEED = 20_261_122
PROFILES = ("dev", "ci", "soak")

hypothesis.settings.register_profile(
    "dev",
    max_examples=100,
    deadline=None,  # machines differ; slowness is the benchmark's business
    derandomize=False,  # the seed decides; in CI too, where Hypothesis would rather take none
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("ci", hypothesis.settings.get_profile("dev"), database=None)
hypothesis.settings.register_profile("soak", hypothesis.settings.get_profile("dev"), max_examples=20_000)

_seed = pytest.StashKey[int]()
_profile = pytest.StashKey[str]()
_not_run = pytest.StashKey[Counter[str]]()


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


@functools.cache
def is_missing(marker: str) -> bool:
    return NEEDS[marker].find() is None


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("consentry")
    group.addoption("--seed", type=int, default=None, help="repeat a run; --profile=soak takes a new one unless told")
    group.addoption("--profile", choices=PROFILES, default=None, help="how much work each test does")
    group.addoption("--first-case", type=int, default=0, help="where numbered cases begin: to go on, or to share them")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    profile = config.getoption("--profile") or ("ci" if in_ci() else "dev")
    seed = config.getoption("--seed")
    if seed is None:
        seed = random.SystemRandom().randrange(2**32) if profile == "soak" else DEFAULT_SEED
    config.stash[_seed], config.stash[_profile], config.stash[_not_run] = seed, profile, Counter()
    # Hypothesis's own plugin takes both from its options.
    config.option.hypothesis_profile = config.option.hypothesis_profile or profile
    config.option.hypothesis_seed = config.option.hypothesis_seed or str(seed)


def pytest_report_header(config: pytest.Config) -> str:
    return f"profile {config.stash[_profile]}, seed {config.stash[_seed]}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in NEEDS:
        if item.get_closest_marker(marker) and is_missing(marker):
            item.config.stash[_not_run][marker] += 1
            pytest.skip(f"{NEEDS[marker].what} is missing: {NEEDS[marker].remedy}")


def fail_instead_of_skipping(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI a skip is a hole in what the run shows; an expected failure is not."""
    if in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and in CI nothing may be: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_instead_of_skipping(report)
    if report.failed:
        command = f"pytest '{item.nodeid}' --seed={item.config.stash[_seed]} --profile={item.config.stash[_profile]}"
        report.sections.append(("Repeat it with", command))
        report.sections.extend(("A server that the tests use is gone", said) for said in ended_orthancs())
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_instead_of_skipping(report)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for marker, count in config.stash[_not_run].items():
        need = NEEDS[marker]
        terminalreporter.section(f"NOT RUN: {count} tests need {need.what}", sep="!", yellow=True, bold=True)
        terminalreporter.line(need.remedy)


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """The seed of this run, printed in the header and with every failure."""
    return pytestconfig.stash[_seed]


@pytest.fixture
def rng(request: pytest.FixtureRequest, seed: int) -> random.Random:
    """Chance that a repeated run repeats, different in each test."""
    return random.Random(f"{seed} {request.node.nodeid}")


@pytest.fixture(scope="session")
def run_size(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """``run_size(small, release)``: how many times a test does its work, in `make test` and in `make soak`."""
    index = 1 if pytestconfig.stash[_profile] == "soak" else 0
    return lambda small, release: (small, release)[index]


@pytest.fixture(scope="session")
def first_case(pytestconfig: pytest.Config) -> int:
    """The number of the first case of a run over numbered cases."""
    number: int = pytestconfig.getoption("--first-case")
    return number


@pytest.fixture
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Tell, while a long test runs, how far it came."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    reporter = pytestconfig.pluginmanager.getplugin("terminalreporter")

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.write_line(text)

    return line


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of sample DICOM files; the test also carries the marker `corpus`."""
    found = corpus_folder()
    assert found is not None, "mark this test with `corpus`"
    return found
