"""What the administrator's health page is made of: hours as a picture, every alarm and trouble in words, emergencies by
their state.
"""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.alarms import LATE, Alarms
from app.core.consent.terms import Role
from app.core.identifiers import UnixTime
from app.gateway.ports import Alarm
from app.loops.backlog_watch import BacklogState
from app.loops.lane import Trouble
from app.portal.admin.health import ALARMS, TROUBLES
from app.portal.admin.hours import HOURS, hours_of, since
from app.portal.admin.roles import WORDS
from app.portal.language import Languages

_NOW = UnixTime(1_790_001_234)
_ENGLISH = Languages([]).source


def test_every_alarm_trouble_and_role_has_words() -> None:
    assert set(ALARMS) == {one.value for one in Alarm} | {LATE}
    assert set(TROUBLES) == {one.value for one in Trouble}
    assert set(WORDS) == {one.value for one in Role}


def test_alarms_are_counted_by_their_kind(caplog: pytest.LogCaptureFixture) -> None:
    alarms = Alarms()
    assert alarms.counts() == ()
    with caplog.at_level(logging.WARNING):
        for kind in (Alarm.WRONG_PATIENT, Alarm.WRONG_PATIENT, Alarm.CREDENTIALS_REFUSED):
            alarms.archive(kind)
        alarms.backlog(BacklogState(7, 99, late=True))
        alarms.backlog(BacklogState(0, 0, late=False))  # it has caught up: no alarm
    assert alarms.counts() == (("credentials-refused", 1), (LATE, 1), ("wrong-patient", 2))
    assert sum(record.message.startswith("ALARM") for record in caplog.records) == 4


@given(numbers=st.lists(st.integers(0, 10_000), min_size=HOURS, max_size=HOURS))
def test_the_picture_shows_every_hour_that_had_any(numbers: list[int]) -> None:
    counts = {UnixTime(since(_NOW) + 3600 * at): number for at, number in enumerate(numbers) if number}
    chart = hours_of(counts, _NOW, _ENGLISH)
    assert [bar.number for bar in chart.bars] == numbers
    assert chart.bars[-1].start <= _NOW < chart.bars[-1].start + 3600
    for bar, number in zip(chart.bars, numbers, strict=True):
        assert (bar.height > 0) == (number > 0)
        assert 0 <= bar.y == chart.height - bar.height
        assert 0 <= bar.x <= chart.width - bar.width
    if any(numbers):
        assert max(bar.height for bar in chart.bars) == chart.height
    total = sum(numbers)
    assert chart.text.startswith(f"In the last 24 hours there {'was' if total == 1 else 'were'} {total:,} access")
