"""Accesses by some length of time as a picture: numbers for an SVG that templates draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from app.core.identifiers import UnixTime

_STEP, _BAR, _HEIGHT = 20, 14, 90


@dataclass(frozen=True, slots=True)
class Bar:
    """``number`` since ``start`` (Unix seconds). ``x``, ``y``, ``width`` and ``height`` in the picture's units."""

    start: UnixTime
    number: int
    x: int
    y: int
    width: int
    height: int

    @property
    def day(self) -> date:
        """The day on which it begins, in UTC."""
        return datetime.fromtimestamp(self.start, UTC).date()


@dataclass(frozen=True, slots=True)
class Chart:
    """``bars`` are in order and without gaps; ``text`` says what the picture shows."""

    bars: list[Bar]
    width: int
    height: int
    text: str


def bars_of(counts: Mapping[UnixTime, int], starts: Sequence[UnixTime]) -> list[Bar]:
    """A bar for each of ``starts``, at least one; what is not in ``counts`` has a bar without height."""
    most = max(counts.get(start, 0) for start in starts)
    bars = []
    for place, start in enumerate(starts):
        number = counts.get(start, 0)
        # One access among many is seen too
        height = max(3, round(_HEIGHT * number / most)) if number else 0
        bars.append(Bar(start, number, place * _STEP + (_STEP - _BAR) // 2, _HEIGHT - height, _BAR, height))
    return bars


def chart_of(bars: list[Bar], text: str) -> Chart:
    """The picture that they make."""
    return Chart(bars, len(bars) * _STEP, _HEIGHT, text)
