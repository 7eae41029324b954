"""The studies of the archive as the index keeps them: a row for each patient of each study, in the order of searches,
with what a search narrows by beside it.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.core.dicom.attributes import ATTRIBUTES
from app.core.dicom.dicomweb import Level
from app.core.dicom.matching import name_text
from app.core.dicom.search_order import plain_date, study_rank, text
from app.core.dicom.temporal import moment_of

_IDENTITY = frozenset({"00080005", "00100020", "00100021"})
# NULL in date, name and accession: not exactly one value, so only the data set itself can tell.
STUDY_SCHEMA = """
DROP TABLE IF EXISTS study;
CREATE TABLE study (
    place BLOB NOT NULL,            -- the rank, and behind it what tells the rows of a mixed study apart
    rank BLOB NOT NULL,
    study TEXT NOT NULL, patient_id TEXT NOT NULL, issuer TEXT NOT NULL,
    mixed INTEGER NOT NULL,         -- whether the study's files hold several identities
    date TEXT, name TEXT, accession TEXT,
    modalities TEXT NOT NULL,       -- each between bars
    path BLOB NOT NULL,             -- the file that speaks for the study
    attributes BLOB NOT NULL        -- the study's own, as DICOM JSON, zlib
);
CREATE INDEX study_in_order ON study (place, mixed, date, study, patient_id, issuer); -- passing by reads nothing else
CREATE INDEX study_by_uid ON study (study);
CREATE INDEX study_by_patient ON study (patient_id);
CREATE INDEX study_by_accession ON study (accession);
"""
_COLUMNS = "place, rank, study, patient_id, issuer, mixed, date, name, accession, modalities, path, attributes"
INSERT_STUDY = f"INSERT INTO study ({_COLUMNS}) VALUES ({', '.join('?' * 12)})"  # noqa: S608 - our own names
_GROUPS = """
SELECT patient_id, issuer, identity, min(path), group_concat(DISTINCT modality), group_concat(DISTINCT sop_class),
    count(DISTINCT series), count(*)
FROM served WHERE study = ? GROUP BY identity
"""


@dataclass(frozen=True, slots=True)
class StudyRow:
    """A study of one patient. ``identity``: their text in the index. ``attributes``: what an answer at the study level
    may carry of it.
    """

    study: str
    patient_id: str
    issuer: str
    identity: str
    mixed: bool
    path: bytes
    attributes: dict[str, Any]

    def columns(self) -> tuple[object, ...]:
        """The values for INSERT_STUDY."""
        own = self.attributes
        modalities = own["00080061"].get("Value", [])
        rank = study_rank(plain_date(own), text(own, "00080030"), self.study)
        return (
            rank + b"\0" + self.identity.encode() if self.mixed else rank,  # no UID holds a zero
            rank,
            self.study,
            self.patient_id,
            self.issuer,
            self.mixed,
            _date(own),
            _name(own),
            _accession(own),
            "".join(f"|{modality}|" for modality in modalities),
            self.path,
            zlib.compress(
                json.dumps(own, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"), 1
            ),
        )


def summarise(connection: sqlite3.Connection, studies: Iterable[str]) -> None:
    """Make the rows of these studies anew from their files, within the caller's transaction."""
    for study in sorted(studies):
        connection.execute("DELETE FROM study WHERE study = ?", (study,))
        owners = connection.execute(
            "SELECT count(DISTINCT identity) FROM file WHERE reason IS NULL AND study = ?",
            (study,),
        ).fetchone()[0]
        for patient_id, issuer, identity, path, modalities, sop_classes, series, instances in connection.execute(
            _GROUPS, (study,)
        ).fetchall():
            metadata = connection.execute("SELECT metadata FROM file WHERE path = ?", (path,)).fetchone()[0]
            attributes = {tag: one for tag, one in json.loads(zlib.decompress(metadata)).items() if is_of_study(tag)}
            attributes |= {
                "00080061": several("CS", modalities),
                "00080062": several("UI", sop_classes),
                "00201206": {"vr": "IS", "Value": [series]},
                "00201208": {"vr": "IS", "Value": [instances]},
                "00081190": {"vr": "UR", "Value": [f"/studies/{study}"]},
            }
            row = StudyRow(study, patient_id, issuer, identity, owners > 1, path, attributes)
            connection.execute(INSERT_STUDY, row.columns())


def read_attributes(stored: bytes) -> dict[str, Any]:
    """The data set of a row's ``attributes``."""
    found: dict[str, Any] = json.loads(zlib.decompress(stored))
    return found


def several(vr: str, joined: str | None) -> dict[str, Any]:
    """An element of the distinct values that SQLite has joined by commas."""
    values = sorted({value for value in (joined or "").split(",") if value})
    return {"vr": vr, "Value": values} if values else {"vr": vr}


def is_of_study(tag: str) -> bool:
    """Whether the attribute is among a row's ``attributes`` where the files have it."""
    known = ATTRIBUTES.get(tag)
    return tag in _IDENTITY or (known is not None and known.level is Level.STUDY)


def _date(own: dict[str, Any]) -> str | None:
    value = _only(own, "00080020")
    return None if value is None else moment_of("DA", value) or ""


def _name(own: dict[str, Any]) -> str | None:
    values = own.get("00100010", {}).get("Value") or []
    return name_text(values[0]) if len(values) == 1 else None if values else ""


def _accession(own: dict[str, Any]) -> str | None:
    value = _only(own, "00080050")
    return None if value is None else value.strip(" ")


def _only(own: dict[str, Any], tag: str) -> str | None:
    """The one value, "" where there is none, None for several or what is no text."""
    values = own.get(tag, {}).get("Value") or [""]
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None
