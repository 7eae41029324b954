"""Accesses by week as a picture: numbers for an SVG that the template draws, and the same in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from app.core.identifiers import UnixTime
from app.portal.language import Language
from app.store.accesses import FIRST_MONDAY_S, WEEK_S

WEEKS = 26
_STEP, _BAR, _HEIGHT = 20, 14, 90


@dataclass(frozen=True, slots=True)
class Week:
    """One bar. ``x``, ``y``, ``width`` and ``height`` in the picture's units; ``day`` is its Monday."""

    day: date
    number: int
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Chart:
    """``weeks`` are in order and without gaps; ``text`` says what the picture shows."""

    weeks: list[Week]
    most: int
    width: int
    height: int
    text: str


def chart_of(counts: Mapping[UnixTime, int], now: UnixTime, language: Language) -> Chart | None:
    """The last half year; None where nothing happened in it. ``counts``: by the week's Monday."""
    this_week = (now - FIRST_MONDAY_S) // WEEK_S * WEEK_S + FIRST_MONDAY_S
    starts = [this_week - WEEK_S * back for back in range(WEEKS - 1, -1, -1)]
    numbers = [counts.get(UnixTime(start), 0) for start in starts]
    most = max(numbers)
    if most == 0:
        return None
    weeks = []
    for place, (start, number) in enumerate(zip(starts, numbers, strict=True)):
        # A week with one access among many is seen too
        height = max(3, round(_HEIGHT * number / most)) if number else 0
        day = datetime.fromtimestamp(start, UTC).date()
        weeks.append(Week(day, number, place * _STEP + (_STEP - _BAR) // 2, _HEIGHT - height, _BAR, height))
    text = language.count(
        "In the last half year there was %(number)s access.",
        "In the last half year there were %(number)s accesses.",
        sum(numbers),
    )
    busiest = max(weeks, key=lambda week: week.number)
    text += " " + language.say(
        "The most in one week: %(most)s, in the week of %(day)s.",
        most=language.number(busiest.number),
        day=language.day(busiest.day),
    )
    return Chart(weeks, most, WEEKS * _STEP, _HEIGHT, text)
