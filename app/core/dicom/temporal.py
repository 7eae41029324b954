"""Dates and times as matching sees them: spans of moments, compared by meaning (PS3.4 §C.2.2.2.1.3, §C.2.2.2.5).

A moment is a string of fixed width that sorts in time order: YYYYMMDD for DA, HHMMSSFFFFFF for TM, both together for
DT, which is brought to UTC where it names an offset. A value of reduced precision ("10", "202607") spans all that it
can mean.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_TM: Final = r"(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?"
_DA: Final = r"\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_DT: Final = rf"\d{{4}}(?:(?:0[1-9]|1[0-2])(?:(?:0[1-9]|[12]\d|3[01])(?:{_TM})?)?)?(?:[+-](?:0\d|1[0-4])[0-5]\d)?"

_VALUE: Final = {vr: re.compile(text, re.ASCII) for vr, text in (("DA", _DA), ("TM", _TM), ("DT", _DT))}
_RANGE: Final = {
    vr: re.compile(rf"({text})? ?- ?({text})?", re.ASCII) for vr, text in (("DA", _DA), ("TM", _TM), ("DT", _DT))
}
_EARLIEST: Final = {"DA": "00000101", "TM": "000000000000", "DT": "00000101000000000000"}
_LATEST: Final = {"DA": "99991231", "TM": "235960999999", "DT": "99991231235960999999"}
_HOUR_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Span:
    """From ``first`` to ``last``, both included; None is open. ``ranged`` tells a range from a single value."""

    first: str | None
    last: str | None
    ranged: bool

    def holds(self, moment: str) -> bool:
        """Whether the moment lies in the span."""
        return (self.first is None or self.first <= moment) and (self.last is None or moment <= self.last)


def key_span(vr: str, text: str) -> Span | None:
    """The span that a matching key of VR DA, TM or DT means; None where it is not well formed."""
    if _VALUE[vr].fullmatch(text) and not (vr == "DT" and "-" in text):  # PS3.4 §C.2.2.2.1.3 note 3: "-" makes a range
        bounds = _bounds(vr, text)
        return None if bounds is None else Span(*bounds, ranged=False)
    halves = _RANGE[vr].fullmatch(text)
    if halves is None or halves[1] is halves[2] is None:
        return None
    first, last = (None if half is None else _bounds(vr, half) for half in halves.groups())
    if (halves[1] and first is None) or (halves[2] and last is None):
        return None
    return Span(first and first[0], last and last[1], ranged=True)


def is_plain_date(text: str) -> bool:
    """Whether a stored DA is written as PS3.5 has it, so that every archive compares it alike."""
    return _VALUE["DA"].fullmatch(text) is not None


def moment_of(vr: str, text: str) -> str | None:
    """The earliest moment that a stored value of VR DA, TM or DT means; None where it is malformed.

    The forms of ACR-NEMA (2026.07.31, 10:15:00), still found in archives, are read as well (PS3.5 Table 6.2-1).
    """
    text = text.strip()
    if vr == "DA":
        text = text.replace(".", "")
    elif vr == "TM":
        text = text.replace(":", "")
    if not _VALUE[vr].fullmatch(text):
        return None
    bounds = _bounds(vr, text)
    return bounds and bounds[0]


def join(date: Span, time: Span) -> Span | None:
    """One span of moments from two ranges of the same form (PS3.4 §C.2.2.2.5.4); None where their forms differ."""
    same_form = (date.first is None, date.last is None) == (time.first is None, time.last is None)
    if not (date.ranged and time.ranged and same_form):
        return None
    first = None if date.first is None or time.first is None else date.first + time.first
    last = None if date.last is None or time.last is None else date.last + time.last
    return Span(first, last, ranged=True)


def _bounds(vr: str, text: str) -> tuple[str, str] | None:
    offset = ""
    if vr == "DT" and text[-5:-4] in ("+", "-"):
        text, offset = text[:-5], text[-5:]
    digits = text.replace(".", "")
    first, last = digits + _EARLIEST[vr][len(digits) :], digits + _LATEST[vr][len(digits) :]
    if not offset or len(digits) < _HOUR_DIGITS:  # an offset moves hours: it says nothing of a bare day, month or year
        return first, last
    try:
        return _to_utc(first, offset), _to_utc(last, offset)
    except (ValueError, OverflowError):  # a day that no calendar has
        return None


def _to_utc(moment: str, offset: str) -> str:
    second = min(int(moment[12:14]), 59)  # datetime knows no leap second: the second before it stands for it
    year, month, day, hour, minute, micro = (
        int(moment[a:b]) for a, b in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (14, 20))
    )
    east = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
    local = datetime(year, month, day, hour, minute, second, micro, tzinfo=UTC)
    return (local - east if offset[0] == "+" else local + east).strftime("%Y%m%d%H%M%S%f").zfill(20)
