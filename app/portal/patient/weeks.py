"""Accesses by the week, in words and as a picture."""

from collections.abc import Mapping

from app.core.identifiers import UnixTime
from app.portal.bars import Chart, bars_of, chart_of
from app.portal.language import Language
from app.store.accesses import FIRST_MONDAY_S, WEEK_S

WEEKS = 26


def weeks_of(counts: Mapping[UnixTime, int], now: UnixTime, language: Language) -> Chart | None:
    """The last half year; None where nothing happened in it. ``counts``: by the week's Monday."""
    this_week = (now - FIRST_MONDAY_S) // WEEK_S * WEEK_S + FIRST_MONDAY_S
    bars = bars_of(counts, [UnixTime(this_week - WEEK_S * back) for back in range(WEEKS - 1, -1, -1)])
    busiest = max(bars, key=lambda week: week.number)
    if busiest.number == 0:
        return None
    text = language.count(
        "In the last half year there was %(number)s access.",
        "In the last half year there were %(number)s accesses.",
        sum(one.number for one in bars),
    )
    text += " " + language.say(
        "The most in one week: %(most)s, in the week of %(day)s.",
        most=language.number(busiest.number),
        day=language.day(busiest.day),
    )
    return chart_of(bars, text)
