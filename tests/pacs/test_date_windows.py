"""Windows of dates: together they hold every date exactly once, newest first, whatever they bring."""

from datetime import date, timedelta
from itertools import pairwise
from random import Random

import pytest

from app.core.dicom.dicomweb import Level, Matching, Search
from app.pacs.date_windows import Pace, Window, newest

TODAY = date(2026, 11, 22)
DATE, TIME = ("00080020",), ("00080030",)


def _windows(rng: Random, pace: Pace) -> list[Window]:
    """All of them, with as many rows in each as chance says; some are cut smaller."""
    windows: list[Window] = []
    following: Window | None = newest(TODAY)
    while following is not None:
        rows = rng.choice([0, 0, 1, 50, 400, 1_999, 5_000])
        smaller = following.narrower(rows, pace) if rows > pace.most_rows else None
        if smaller is not None:
            assert smaller.last == following.last
            assert smaller.days < following.days
            following = smaller
            continue
        windows.append(following)
        following = following.older(rows, pace)
    return windows


def test_every_date_lies_in_exactly_one_window(rng: Random) -> None:
    for _ in range(20):
        windows = _windows(rng, Pace())
        assert windows[0].last is None
        assert windows[-1].first is None
        for newer, older in pairwise(windows):
            assert newer.first is not None
            assert older.last == newer.first - timedelta(days=1)
        for text in ("18500101", "19991231", "20240229", "20240231", "20261122", "20270101", "99991231"):
            assert sum(window.holds(text) for window in windows) == 1
            assert windows[0].reaches(text)


def test_an_empty_archive_takes_few_questions() -> None:
    windows, following = 0, newest(TODAY)
    while (older := following.older(0, Pace())) is not None:
        windows, following = windows + 1, older
    assert windows < 10


@pytest.mark.parametrize(
    ("own", "asked"),
    [
        (None, "20261001-20261031"),
        ("20261010-20261020", "20261010-20261020"),
        ("20261010-", "20261010-20261031"),
        ("-20261010", "20261001-20261010"),
        ("20261010", "20261010"),
        ("20261101-", None),
        ("-20260930", None),
        ("", "20261001-20261031"),
    ],
)
def test_the_searchs_own_dates_hold_within_a_window(own: str | None, asked: str | None) -> None:
    keys = (Matching(TIME, "10-12"), *(() if own is None else (Matching(DATE, own),)))
    found = Window(date(2026, 10, 31), date(2026, 10, 1)).asked(Search(Level.STUDY, matching=keys))
    assert (None if found is None else found.matching) == (None if asked is None else (Matching(DATE, asked),))


def test_open_windows_ask_for_open_ranges() -> None:
    search = Search(Level.STUDY)
    first, last = newest(TODAY).asked(search), Window(date(1950, 1, 1), None).asked(search)
    assert [found and found.matching[0].value for found in (first, last)] == ["20261122-", "-19500101"]
