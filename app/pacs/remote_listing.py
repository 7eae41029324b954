"""Listing a remote archive in the order of searches, out of answers that come in an order of its own.

Three ways, each put in order here: everything at once where it is little; patient by patient where they are named; else
by windows of StudyDate, newest first, and at the end whatever has no valid date.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from app.core.dicom.dicomjson import identity
from app.core.dicom.dicomweb import Level, Matching, Search
from app.core.dicom.identities import FoundIdentity
from app.core.dicom.matching import compile_matching
from app.core.dicom.search_order import plain_date, rank
from app.pacs.date_windows import Pace, Window, newest
from app.pacs.identity import study_of
from app.pacs.origin import DicomJson, Listed, ListingTraits, OriginTooBroadError, Stretch
from app.pacs.parallel import in_parallel

_PATIENT_ID = ("00100020",)
_STUDY_UID = ("0020000D",)
_DATES = ("00080020", "00080030")
_UNDATED = b"undated"
_AT_ONCE = 8
REMOTE_LISTING = ListingTraits(
    whole=frozenset({Level.STUDY}), patients_at_once=1, rows_at_once=200, rows=50_000, questions=2_000
)

Ask = Callable[[Search], Awaitable[list[DicomJson]]]


@dataclass(frozen=True, slots=True)
class RemoteListing:
    """``ask`` answers a search; ``today`` is where windows begin."""

    ask: Ask
    today: Callable[[], date] = date.today
    traits: ListingTraits = REMOTE_LISTING
    pace: Pace = Pace()  # noqa: RUF009 - frozen

    async def stretch(self, search: Search, after: bytes | None, patient_ids: Sequence[str] | None) -> Stretch:
        """See Origin.in_order."""
        asked = replace(_unpaged(search), include=(*search.include, *((tag,) for tag in _DATES)))
        if patient_ids is not None:
            rows = await self._of_patients(asked, patient_ids)
        elif search.study is not None or any(key.path == _STUDY_UID and key.value for key in search.matching):
            rows = await self.ask(asked)
        elif search.level not in self.traits.whole:
            raise OriginTooBroadError
        elif after is None:
            rows = await self.ask(replace(asked, limit=self.pace.aim_rows + 1))
            if len(rows) > self.pace.aim_rows:
                return await self._from_window(search, asked, newest(self.today()))
        elif after == _UNDATED:
            rows = [row for row in await self.ask(asked) if not plain_date(row)]
        else:
            return await self._from_window(search, asked, _window_of(after))
        return Stretch(_listed(search, rows), None, len(rows))

    async def _of_patients(self, asked: Search, patient_ids: Sequence[str]) -> list[DicomJson]:
        others = tuple(key for key in asked.matching if key.path != _PATIENT_ID)
        rows: list[DicomJson] = []

        async def ask(patient_id: str) -> None:
            rows.extend(await self.ask(replace(asked, matching=(*others, Matching(_PATIENT_ID, patient_id)))))
            if len(rows) > self.traits.rows:
                raise OriginTooBroadError

        await in_parallel([partial(ask, patient_id) for patient_id in patient_ids], _AT_ONCE)
        return rows

    async def _from_window(self, search: Search, asked: Search, window: Window) -> Stretch:
        """The first window from here that holds anything."""
        cost = 0
        following: Window | None = window
        while following is not None:
            window = following
            rows, is_whole = await self._within(asked, window)
            cost += len(rows)
            dates = [plain_date(row) for row in rows]
            if any(date and not window.holds(date) for date in dates):
                # The archive takes no notice of ranges of dates: it is asked once for everything.
                rows = rows if is_whole else await self.ask(asked)
                rest = [row for row in rows if (date := plain_date(row)) == "" or window.reaches(date)]
                return Stretch(_listed(search, rest), None, cost + len(rows))
            if not is_whole and all(dates):
                following = window.narrower(len(rows), self.pace)
                continue
            if not is_whole:  # studies without a date come with every range: cutting it smaller would not help
                rows = await self.ask(window.asked(asked) or asked)
            dated = [row for row in rows if (date := plain_date(row)) and window.holds(date)]
            following = window.older(len(dated), self.pace)
            if listed := _listed(search, dated):
                return Stretch(listed, _UNDATED if following is None else _place_of(following), cost)
        return Stretch((), _UNDATED, cost)

    async def _within(self, asked: Search, window: Window) -> tuple[list[DicomJson], bool]:
        """What the archive has of a window; of one that can be cut smaller no more than shows that it should be.

        And whether that is all of it.
        """
        within = window.asked(asked)
        if within is None:
            return [], True
        if window.narrower(self.pace.most_rows, self.pace) is None:
            return await self.ask(within), True
        rows = await self.ask(replace(within, limit=self.pace.most_rows + 1))
        return rows, len(rows) <= self.pace.most_rows


def _unpaged(search: Search) -> Search:
    return replace(search, limit=None, offset=0, limit_capped=False)


def _listed(search: Search, rows: Iterable[DicomJson]) -> list[Listed]:
    """What matches, each row once: an archive that changes while it is read may give one twice.

    Two rows of one study are of two patients: both stay, and neither is vouched for.
    """
    test = compile_matching(search.matching)
    found = {(rank(search.level, row), _shown(row)): row for row in rows if test(row)}
    return [
        Listed(place, study_of(row), identity(row), False, partial(_itself, row))
        for (place, _), row in sorted(found.items(), key=lambda one: one[0])
    ]


def _shown(row: DicomJson) -> tuple[str, ...]:
    """Whom the row shows, and of those who name nobody in which way: a study may have a row for each."""
    subject = identity(row)
    return (subject.patient_id, subject.issuer, "" if subject.patient_id else FoundIdentity.of_dataset(row).text)


def _itself(row: DicomJson) -> DicomJson:
    return row


def _place_of(window: Window) -> bytes:
    return ",".join("" if day is None else day.isoformat() for day in (window.last, window.first)).encode()


def _window_of(place: bytes) -> Window:
    last, first = (date.fromisoformat(day) if day else None for day in place.decode().split(","))
    return Window(last, first)
