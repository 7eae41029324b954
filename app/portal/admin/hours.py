"""Accesses by the hour, in words and as a picture."""

from collections.abc import Mapping

from app.core.identifiers import UnixTime
from app.portal.bars import Chart, bars_of, chart_of
from app.portal.language import Language
from app.store.accesses import HOUR_S

HOURS = 24


def since(now: UnixTime) -> UnixTime:
    """When the first of the hours begins; the last is the one that runs."""
    return UnixTime(now // HOUR_S * HOUR_S - (HOURS - 1) * HOUR_S)


def hours_of(counts: Mapping[UnixTime, int], now: UnixTime, language: Language) -> Chart:
    """The last 24 hours, the running one included. ``counts``: by the hour's beginning."""
    bars = bars_of(counts, [UnixTime(since(now) + HOUR_S * place) for place in range(HOURS)])
    text = language.count(
        "In the last 24 hours there was %(number)s access.",
        "In the last 24 hours there were %(number)s accesses.",
        sum(one.number for one in bars),
    )
    most = max(one.number for one in bars)
    if most:
        text += " " + language.say("The most in one hour: %(most)s.", most=language.number(most))
    return chart_of(bars, text)
