"""Accesses by the hour as a picture: numbers for an SVG that the template draws, and the same in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.identifiers import UnixTime
from app.portal.language import Language
from app.store.accesses import HOUR_S

HOURS = 24
_STEP, _BAR, _HEIGHT = 20, 14, 90


@dataclass(frozen=True, slots=True)
class Hour:
    """One bar. ``x``, ``y``, ``width`` and ``height`` in the picture's units; ``start`` in Unix seconds."""

    start: UnixTime
    number: int
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Chart:
    """``hours`` are in order and without gaps; ``text`` says what the picture shows."""

    hours: list[Hour]
    width: int
    height: int
    text: str


def since(now: UnixTime) -> UnixTime:
    """When the first of the hours begins; the last is the one that runs."""
    return UnixTime(now // HOUR_S * HOUR_S - (HOURS - 1) * HOUR_S)


def chart_of(counts: Mapping[UnixTime, int], now: UnixTime, language: Language) -> Chart:
    """The last 24 hours, the running one included. ``counts``: by the hour's beginning."""
    starts = [UnixTime(since(now) + HOUR_S * place) for place in range(HOURS)]
    most = max((counts.get(start, 0) for start in starts), default=0)
    bars = []
    for place, start in enumerate(starts):
        number = counts.get(start, 0)
        # An hour with one access among many is seen too
        height = max(3, round(_HEIGHT * number / most)) if number else 0
        bars.append(Hour(start, number, place * _STEP + (_STEP - _BAR) // 2, _HEIGHT - height, _BAR, height))
    text = language.count(
        "In the last 24 hours there was %(number)s access.",
        "In the last 24 hours there were %(number)s accesses.",
        sum(one.number for one in bars),
    )
    if most:
        text += " " + language.say("The most in one hour: %(most)s.", most=language.number(most))
    return Chart(bars, HOURS * _STEP, _HEIGHT, text)
