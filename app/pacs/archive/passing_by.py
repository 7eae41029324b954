"""Going through the archive's studies by name alone: rows that a search's page leaves behind are never read."""

from pathlib import Path

from app.core.dicom.dicomweb import Level, Matching, Search
from app.core.identifiers import StudyUid, Subject
from app.pacs.archive import index
from app.pacs.archive.narrowing import study_conditions
from app.pacs.origin import Names

_MOST_ROWS = 5_000
_WILDCARDS = frozenset("*?")
# Where the index has no date, only the data set can tell (see study_rows).
_STUDY_UID, _MODALITIES, _DATE = "0020000D", "00080061", "00080020"


def names(index_path: Path, search: Search, after: bytes | None, rows: int) -> Names | None:
    """See Origin.names_in_order. Raises sqlite3.Error."""
    if search.level is not Level.STUDY or not all(map(_is_told_by_columns, search.matching)):
        return None
    where, values = study_conditions(search)
    size = min(rows, _MOST_ROWS)
    with index.reading(index_path) as connection:
        found = connection.execute(
            "SELECT place, study, patient_id, issuer, date IS NULL, mixed FROM study "  # noqa: S608 - our own words
            f"WHERE place > ? AND {where} ORDER BY place LIMIT {size}",
            (after or b"", *values),
        ).fetchall()
    if not found or (search.matching and any(row[4] for row in found)):
        return None
    listed = [
        (StudyUid(study), Subject(patient_id, issuer), bool(patient_id) and not mixed)
        for _, study, patient_id, issuer, _, mixed in found
    ]
    return Names(listed, found[-1][0], len(found))


def _is_told_by_columns(key: Matching) -> bool:
    """Whether the SQL condition for this key keeps exactly what matches."""
    if len(key.path) != 1 or key.empty or not key.value:
        return False
    return key.path[0] in (_STUDY_UID, _DATE) or (key.path[0] == _MODALITIES and _WILDCARDS.isdisjoint(key.value))
