"""Study dates as consents bound them: days of the calendar, or none."""

from typing import Any

import pytest

from app.core.consent.study_date import as_day, date_in, day_after, day_before, number_of, only_date


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("20200229", 20200229),
        ("20200229 ", 20200229),
        ("00010101", 10101),
        ("99991231", 99991231),
        ("20190229", None),
        ("20201301", None),
        ("20200100", None),
        ("00000101", None),
        ("2020-02-29", None),
        ("2020.02.29", None),
        ("2020022", None),
        ("202002290", None),
        ("+2020229", None),
        ("\uff12\uff10\uff12\uff10\uff10\uff12\uff12\uff19", None),
        ("", None),
    ],
)
def test_what_is_a_date(text: str, number: int | None) -> None:
    assert number_of(text) == number


def _row(*values: object) -> dict[str, Any]:
    return {"00080020": {"vr": "DA", "Value": list(values)}}


def test_a_data_set_has_one_date_or_none() -> None:
    assert date_in(_row("20200229")) == 20200229
    none: list[dict[str, Any]] = [_row(), _row("20200229", "20200229"), _row(20200229), {"00080020": {"vr": "DA"}}]
    for dataset in [*none, {}, {"00080020": "20200229"}, {"00080020": {"vr": "DA", "Value": "20200229"}}]:
        assert date_in(dataset) is None


def test_several_data_sets_have_a_date_only_together() -> None:
    one, other = _row("20200229"), _row("20200301")
    assert only_date([one, one]) == 20200229
    assert only_date([one, other]) is None
    assert only_date([one, {}]) is None
    assert only_date([]) is None


def test_the_days_beside_a_day() -> None:
    assert (day_before(20200301), day_after(20200228)) == (20200229, 20200229)
    assert (day_before(20200101), day_after(20191231)) == (20191231, 20200101)
    assert (day_before(10101), day_after(99991231)) == (None, None)
    assert (day_before(20201399), day_after(20201399), as_day(20201399)) == (None, None, None)
