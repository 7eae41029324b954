"""Rows whose patient the archive may have misspelt.

Orthanc writes the rows of a search in its DefaultEncoding (Latin-1 unless set) and drops every character that does not
fit: the patients ``患者-1014`` and ``-1014`` then look the same. Such rows are checked against the metadata of an
instance, which keeps the file's characters.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from app.core.dicom.dicomjson import identity
from app.core.identifiers import StudyUid, Subject
from app.pacs.identity import study_of
from app.pacs.origin import DicomJson

_CHARACTER_SET = "00080005"
# What a patient or study says of itself in characters.
_TEXT_TAGS = ("00100010", "00100020", "00100021", "00080050", "00080090", "00081030", "00200010")
_IDENTITY_TAGS = ("00100020", "00100021")
_REMEMBERED = 4096
_REMEMBERED_S = 30.0


def in_doubt(row: DicomJson) -> bool:
    """Whether the row was written in a character set that cannot hold every identity (PS3.18 §F.2 asks for UTF-8, or no
    mention).
    """
    element = row.get(_CHARACTER_SET)
    return element is not None and (not isinstance(element, dict) or element.get("Value") != ["ISO_IR 192"])


def _shown(subject: Subject) -> Subject:
    return Subject(
        subject.patient_id.encode("latin-1", "ignore").decode("latin-1"),
        subject.issuer.encode("latin-1", "ignore").decode("latin-1"),
    )


class RowIdentities:
    """Finds out whose such rows are, and remembers it for half a minute per study and shown identity."""

    def __init__(
        self,
        count_rows: Callable[[StudyUid], Awaitable[int]],
        any_instance: Callable[[StudyUid], Awaitable[DicomJson | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count_rows = count_rows
        self._any_instance = any_instance
        self._clock = clock
        self._known: OrderedDict[tuple[StudyUid, Subject], tuple[float, DicomJson]] = OrderedDict()

    async def established(self, row: DicomJson) -> DicomJson:
        """The row with the text that its files hold; without PatientID, so nobody's, where that cannot be told."""
        if not in_doubt(row):
            return row
        key = study_of(row), identity(row)
        until, truth = self._known.get(key, (0.0, {}))
        if until <= self._clock():
            truth = await self._find(*key)
            self._known.pop(key, None)
            self._known[key] = self._clock() + _REMEMBERED_S, truth
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        kept = {tag: element for tag, element in row.items() if tag not in _IDENTITY_TAGS}
        kept.update({tag: element for tag, element in truth.items() if tag in row or tag in _IDENTITY_TAGS})
        return kept

    async def _find(self, study: StudyUid, shown: Subject) -> DicomJson:
        if await self._count_rows(study) != 1:
            return {}
        dataset = await self._any_instance(study)
        if dataset is None or _shown(identity(dataset)) != shown:
            return {}
        return {tag: dataset[tag] for tag in _TEXT_TAGS if tag in dataset}
