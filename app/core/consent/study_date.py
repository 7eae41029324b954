"""A study's date as consents bound it: the number YYYYMMDD, as it stands on the chain and in access records."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from app.core.identifiers import StudyDate

_STUDY_DATE = "00080020"
_DA_LENGTH = 8


def number_of(text: str) -> StudyDate | None:
    """The date that a DICOM DA value is (PS3.5 §6.2: YYYYMMDD), or None where it is none that exists."""
    digits = text.strip(" \0")
    if len(digits) != _DA_LENGTH or not (digits.isascii() and digits.isdigit()):
        return None
    return StudyDate(int(digits)) if as_day(int(digits)) is not None else None


def date_in(dataset: Mapping[str, Any]) -> StudyDate | None:
    """StudyDate (0008,0020) of a DICOM JSON data set; None where it is missing, several or no date."""
    element = dataset.get(_STUDY_DATE)
    values = element.get("Value") if isinstance(element, dict) else None
    if isinstance(values, list) and len(values) == 1 and isinstance(values[0], str):
        return number_of(values[0])
    return None


def only_date(datasets: Iterable[Mapping[str, Any]]) -> StudyDate | None:
    """The date that all of the data sets give; None where one gives none, or another."""
    dates = {date_in(dataset) for dataset in datasets}
    return dates.pop() if len(dates) == 1 else None


def day_before(number: int) -> StudyDate | None:
    """The day before, or None for a number that is no date, and before the first date there is."""
    day = as_day(number)
    return None if day is None or day == date.min else _number(day - timedelta(days=1))


def day_after(number: int) -> StudyDate | None:
    """The day after, or None for a number that is no date, and after the last date there is."""
    day = as_day(number)
    return None if day is None or day == date.max else _number(day + timedelta(days=1))


def as_day(number: int) -> date | None:
    """The day in the calendar, or None for a number that is no date."""
    try:
        return date(number // 10_000, number // 100 % 100, number % 100)
    except ValueError:
        return None


def _number(day: date) -> StudyDate:
    return StudyDate(day.year * 10_000 + day.month * 100 + day.day)
