"""Going through an archive in the order of searches, newest first: one span of StudyDate after another.

An archive answers a search in an order of its own, but every one must match ranges of StudyDate (PS3.18 Table
10.6.1-5). So a span is asked for, put in order, and the next older one follows. Pure.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta

from app.core.dicom.dicomweb import Matching, Search
from app.core.dicom.temporal import Span, key_span

_STUDY_DATE = ("00080020",)
_STUDY_TIME = ("00080030",)
_FIRST_DAYS = 7
_WIDEST_DAYS = 36_524
_GROWTH = 8
# Older than any study: what is left below is asked for at once.
_OLDEST = date(1895, 1, 1)


@dataclass(frozen=True, slots=True)
class Pace:
    """Rows that one span should bring, and the most before it is cut smaller."""

    aim_rows: int = 400
    most_rows: int = 2_000


@dataclass(frozen=True, slots=True)
class Window:
    """From ``first`` to ``last``, both included. ``last`` None: any date to come; ``first`` None: all that is older."""

    last: date | None
    first: date | None

    @property
    def days(self) -> int:
        """How many days, counted from the first day of an open one."""
        if self.last is None or self.first is None:
            return _WIDEST_DAYS
        return (self.last - self.first).days + 1

    def holds(self, plain: str) -> bool:
        """Whether a date of eight digits, which need be no day of a calendar, lies within."""
        first, last = self._texts()
        return (not first or plain >= first) and (not last or plain <= last)

    def reaches(self, plain: str) -> bool:
        """Whether a date lies within, or is older: whether a listing that goes on from here has it yet to come."""
        last = self._texts()[1]
        return not last or plain <= last

    def asked(self, search: Search) -> Search | None:
        """The search within this span of dates; None where its own leave nothing of it.

        A range of StudyTime is left out: together with one of StudyDate it means moments from the first date's to the
        last date's (PS3.4 §C.2.2.2.5.4), and these dates are ours.
        """
        own = next(
            (key_span("DA", key.value) for key in search.matching if key.path == _STUDY_DATE and key.value), None
        )
        first, last = _within(own, *self._texts())
        if first and last and first > last:
            return None
        others = tuple(key for key in search.matching if key.path not in (_STUDY_DATE, _STUDY_TIME))
        return replace(search, matching=(*others, Matching(_STUDY_DATE, first if first == last else f"{first}-{last}")))

    def narrower(self, rows: int, pace: Pace) -> "Window | None":
        """A part of it with its newest days, when it held ``rows``; None when it is one day already."""
        if self.last is None or self.first is None or self.days == 1:
            return None
        days = max(1, min(self.days // 2, self.days * pace.aim_rows // max(rows, 1)))
        return Window(self.last, self.last - timedelta(days=days - 1))

    def older(self, rows: int, pace: Pace) -> "Window | None":
        """The one that goes on where this ends, when this held ``rows``; None at the end of time."""
        if self.first is None or self.first <= _OLDEST:
            return None
        last = self.first - timedelta(days=1)
        if self.last is None:
            days = max(1, min(_FIRST_DAYS, pace.aim_rows // (rows + 1)))
        elif rows > pace.aim_rows:
            days = max(1, self.days * pace.aim_rows // rows)
        else:
            days = self.days * min(_GROWTH, max(1, 2 * pace.aim_rows // (rows + 1)))
        first = last - timedelta(days=min(days, _WIDEST_DAYS) - 1) if days < (last - _OLDEST).days else None
        return Window(last, first)

    def _texts(self) -> tuple[str, str]:
        return ("" if self.first is None else f"{self.first:%Y%m%d}"), (
            "" if self.last is None else f"{self.last:%Y%m%d}"
        )


def newest(today: date) -> Window:
    """Where a listing begins: today and the future, since dates are typed wrong."""
    return Window(None, today)


def _within(own: Span | None, first: str, last: str) -> tuple[str, str]:
    if own is None:
        return first, last
    firsts = [one for one in (own.first or "", first) if one]
    lasts = [one for one in (own.last or "", last) if one]
    return max(firsts, default=""), min(lasts, default="")
