"""`.env.example` and the settings say the same."""

import dataclasses
import re

from app.settings import CLIENT_KEYS, PREFIX, Settings, load
from tests.support.needs import PROJECT

EXAMPLE = PROJECT / ".env.example"


def documented() -> list[str]:
    """The keys of `.env.example`, set or commented out, in order."""
    return re.findall(rf"^#?\s?({PREFIX}[A-Z0-9_]+)=", EXAMPLE.read_text(), re.MULTILINE)


def known() -> set[str]:
    return {f"{PREFIX}{field.name.upper()}" for field in dataclasses.fields(Settings)} | CLIENT_KEYS


def test_every_setting_is_in_the_example():
    assert known() - set(documented()) == set()


def test_the_example_names_no_setting_that_does_not_exist():
    assert set(documented()) - known() == set()


def test_no_setting_is_documented_twice():
    assert len(documented()) == len(set(documented()))


def test_the_example_unchanged_gives_the_defaults():
    assert load(environ={}, dotenv=EXAMPLE) == Settings()


def test_each_run_of_settings_follows_a_line_that_says_what_it_does():
    before = ""
    for line in EXAMPLE.read_text().splitlines():
        if line.startswith(PREFIX):
            assert re.match(rf"{PREFIX}|# [^-]", before), f"nothing says what {line.split('=')[0]} does"
        before = line
