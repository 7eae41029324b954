"""A patient's studies, as a person would look for them: by day and by what was done."""

from dataclasses import dataclass
from datetime import date

from app.api.wiring import Wiring
from app.core.dicom.dicomjson import identity
from app.core.dicom.dicomweb import Level, Matching, Search
from app.core.identifiers import StudyUid
from app.pacs.origin import DicomJson, OriginInvalidError, OriginUnavailableError
from app.store.patients import EnrolledPatient

_STUDY_UID, _STUDY_DATE, _DESCRIPTION, _MODALITIES = "0020000D", "00080020", "00081030", "00080061"
_PATIENT_NAME, _INSTANCES = "00100010", "00201208"
_SHOWN = (_STUDY_DATE, _DESCRIPTION, _MODALITIES, _PATIENT_NAME, _INSTANCES)


@dataclass(frozen=True, slots=True)
class Study:
    """``day`` is None for a study without a valid date, ``images`` where the archive does not count."""

    uid: StudyUid
    description: str
    modalities: tuple[str, ...]
    day: date | None
    images: int | None
    patient_name: str

    @property
    def title(self) -> str:
        """What to call it where nothing describes it: the kind of images."""
        return self.description or ", ".join(self.modalities)


async def studies_of_record(wiring: Wiring, patient: EnrolledPatient) -> list[Study] | None:
    """The newest first; those without a date last. None while the archive does not answer."""
    search = Search(
        level=Level.STUDY,
        matching=(Matching(("00100020",), patient.subject.patient_id),),
        include=tuple((tag,) for tag in _SHOWN),
    )
    try:
        rows = await wiring.origin.search(search)
    except (OriginUnavailableError, OriginInvalidError):
        return None
    found = [_study(row) for row in rows if identity(row) == patient.subject]
    return sorted(found, key=lambda study: (study.day or date.min, study.title), reverse=True)


def person_name(value: str) -> str:
    """A name as DICOM writes it (PS3.5 §6.2.1: family^given^middle^prefix^suffix), as people do."""
    family, given, middle, prefix, suffix = (*(part.strip() for part in value.split("^")), *([""] * 5))[:5]
    return " ".join(part for part in (prefix, given, middle, family, suffix) if part)


def _study(row: DicomJson) -> Study:
    names = [value.get("Alphabetic", "") for value in _values(row, _PATIENT_NAME) if isinstance(value, dict)]
    counts = [value for value in _values(row, _INSTANCES) if isinstance(value, int)]
    return Study(
        uid=StudyUid(next(iter(_texts(row, _STUDY_UID)), "")),
        description=next(iter(_texts(row, _DESCRIPTION)), "").strip(),
        modalities=tuple(_texts(row, _MODALITIES)),
        day=_day(next(iter(_texts(row, _STUDY_DATE)), "")),
        images=counts[0] if counts else None,
        patient_name=person_name(names[0]) if names and isinstance(names[0], str) else "",
    )


def _day(text: str) -> date | None:
    if len(text) != 8 or not text.isascii() or not text.isdigit():
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _texts(row: DicomJson, tag: str) -> list[str]:
    return [value for value in _values(row, tag) if isinstance(value, str)]


def _values(row: DicomJson, tag: str) -> list[object]:
    return list(row.get(tag, {}).get("Value", []))
