"""The order of search results, written as bytes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.dicom.dicomweb import Level
from app.core.dicom.search_order import rank


def _row(**elements: Any) -> dict[str, Any]:
    return {tag.removeprefix("t"): {"vr": "XX", "Value": [value]} for tag, value in elements.items()}


def _study(date: object, time: object, uid: str) -> dict[str, Any]:
    return _row(t00080020=date, t00080030=time, t0020000D=uid)


STUDIES = [
    _study("20991231", "", "1.2"),
    _study("20260101", "1015", "1.1"),
    _study("20260101", "1015", "1.10"),
    _study("20260101", "10", "1.0"),
    _study("20260101", "", "1.0"),
    _study("20251231", "235959", "1.0"),
    _study("00010101", "", "1.0"),
    # without a date that every archive would compare alike: last, by time
    _study("2026.01.01", "11", "1.0"),
    _study("20261301", "10", "1.0"),
    _study(20260101, "", "1.0"),
    {"00080020": {"vr": "DA"}, "0020000D": {"vr": "UI", "Value": ["1.1"]}},
]
SERIES = [
    _row(t0020000D="1.2", t00200011=-1, t0020000E="9"),
    _row(t0020000D="1.2", t00200011=1, t0020000E="9"),
    _row(t0020000D="1.2", t00200011="2", t0020000E="8"),
    _row(t0020000D="1.2", t00200011=10, t0020000E="7"),
    _row(t0020000D="1.2", t00200011=True, t0020000E="5"),
    _row(t0020000D="1.2", t00200011="x", t0020000E="6"),
    _row(t0020000D="1.2.1", t00200011=0, t0020000E="1"),
]
INSTANCES = [
    _row(t0020000D="1", t0020000E="1", t00200013=2, t00080018="1"),
    _row(t0020000D="1", t0020000E="1", t00200013=2, t00080018="1.1"),
    _row(t0020000D="1", t0020000E="1", t00080018="0"),
    _row(t0020000D="1", t0020000E="1.1", t00200013=1, t00080018="0"),
    _row(t0020000D="2", t0020000E="1", t00200013=1, t00080018="0"),
]


@pytest.mark.parametrize(("level", "rows"), list(zip(Level, (STUDIES, SERIES, INSTANCES), strict=True)))
def test_rows_stand_in_their_order(level: Level, rows: list[dict[str, Any]]) -> None:
    places = [rank(level, row) for row in rows]
    assert places == sorted(places)
    assert len(set(places)) == len(places)


@given(st.lists(st.tuples(st.sampled_from(["20240101", "20250101"]), st.text(max_size=4), st.text(max_size=4))))
def test_later_dates_and_times_come_first(keys: list[tuple[str, str, str]]) -> None:
    keys = [key for key in keys if "\0" not in key[0] + key[1]]
    by_rank = sorted(keys, key=lambda key: rank(Level.STUDY, _study(*key)))
    assert [key[:2] for key in by_rank] == sorted((key[:2] for key in keys), reverse=True)
