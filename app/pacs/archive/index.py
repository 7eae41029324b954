"""The index of the archive: one SQLite file, made anew from the folder whenever it is missing or of another version."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.dicom.identities import FoundIdentity, StudyIdentities
from app.pacs.archive.files import FileStamp
from app.pacs.archive.reading import NotRead, PixelPlace, ReadInstance
from app.pacs.archive.study_rows import STUDY_SCHEMA, summarise

# Raised whenever what is stored changes: an index of another version is thrown away.
_VERSION = 4
_SCHEMA = """
CREATE TABLE file (
    path BLOB PRIMARY KEY,          -- relative to the folder, as the file system names it
    mtime_ns INTEGER NOT NULL,
    size INTEGER NOT NULL,
    reason TEXT,                    -- why it is not in the archive; NULL for an instance
    dicom INTEGER NOT NULL,
    study TEXT, series TEXT, instance TEXT,
    patient_id TEXT, issuer TEXT,   -- '' where missing, blank or multi-valued
    identity TEXT,                  -- every value of both (FoundIdentity)
    blank INTEGER,                  -- whether there is a PatientID that holds nothing
    sop_class TEXT, modality TEXT, transfer_syntax TEXT,
    frames INTEGER, pixel_offset INTEGER, frame_bytes INTEGER,
    metadata BLOB                   -- DICOM JSON, zlib
) WITHOUT ROWID;
CREATE INDEX by_uid ON file (study, series, instance, path) WHERE reason IS NULL;
CREATE INDEX by_patient ON file (patient_id, study) WHERE reason IS NULL;
-- Of several files with one instance's UIDs the first by path is served; all of them count as the study's identity.
CREATE VIEW served AS SELECT * FROM file AS f WHERE reason IS NULL AND NOT EXISTS (
    SELECT 1 FROM file AS g WHERE g.reason IS NULL
    AND g.study = f.study AND g.series = f.series AND g.instance = f.instance AND g.path < f.path);
"""
_COLUMNS = (
    "path, mtime_ns, size, reason, dicom, study, series, instance, patient_id, issuer, identity, "
    "blank, sop_class, modality, transfer_syntax, frames, pixel_offset, frame_bytes, metadata"
)
_STUDY = 5


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance that the archive serves."""

    stamp: FileStamp
    study: str
    series: str
    instance: str
    transfer_syntax: str
    frames: int
    pixels: PixelPlace | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A file of the folder that is not in the archive."""

    path: str
    reason: str


def open_index(path: Path) -> None:
    """Make the index file ready; one of another version is emptied. Raises sqlite3.Error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)  # it holds what the files' headers hold; SQLite's side files take its mode
    with _connected(path) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != _VERSION:
            connection.executescript("DROP VIEW IF EXISTS served; DROP TABLE IF EXISTS file;" + _SCHEMA + STUDY_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_VERSION}")


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        yield connection
    finally:
        connection.close()


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees one state of the index throughout."""
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


def known_stamps(path: Path) -> dict[str, tuple[int, int]]:
    """Path → (mtime_ns, size) of every file already looked at."""
    with reading(path) as connection:
        rows = connection.execute("SELECT path, mtime_ns, size FROM file")
        return {os.fsdecode(row[0]): (row[1], row[2]) for row in rows}


def store(path: Path, looked_at: Iterable[tuple[FileStamp, ReadInstance | NotRead]]) -> None:
    """Put what was read of some files into the index, in one transaction."""
    rows = [_row(stamp, found) for stamp, found in looked_at]
    marks = ", ".join("?" * (_COLUMNS.count(",") + 1))
    with _connected(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        touched = _studies_of(connection, [row[0] for row in rows])
        connection.executemany(f"INSERT OR REPLACE INTO file ({_COLUMNS}) VALUES ({marks})", rows)  # noqa: S608
        summarise(connection, touched | {str(row[_STUDY]) for row in rows if row[_STUDY] is not None})
        connection.execute("COMMIT")


def forget(path: Path, gone: Iterable[str]) -> None:
    """Drop files that are no longer in the folder."""
    with _connected(path) as connection:
        paths = [os.fsencode(name) for name in gone]
        connection.execute("BEGIN IMMEDIATE")
        touched = _studies_of(connection, paths)
        connection.executemany("DELETE FROM file WHERE path = ?", [(path,) for path in paths])
        summarise(connection, touched)
        connection.execute("COMMIT")


def _studies_of(connection: sqlite3.Connection, paths: Iterable[object]) -> set[str]:
    query = "SELECT study FROM file WHERE path = ? AND study IS NOT NULL"
    return {row[0] for path in paths for row in connection.execute(query, (path,))}


def refused(path: Path) -> list[Refused]:
    """The DICOM files that could not be taken in, and why."""
    with reading(path) as connection:
        rows = connection.execute("SELECT path, reason FROM file WHERE reason IS NOT NULL AND dicom ORDER BY path")
        return [Refused(os.fsdecode(row[0]), row[1]) for row in rows]


def counts(path: Path) -> tuple[int, int, int]:
    """(instances, DICOM files refused, files of other kinds)."""
    with reading(path) as connection:
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE reason IS NULL), count(*) FILTER (WHERE reason IS NOT NULL AND dicom), "
            "count(*) FILTER (WHERE reason IS NOT NULL AND NOT dicom) FROM file"
        ).fetchone()
        return int(row[0]), int(row[1]), int(row[2])


def instances_of(path: Path, study: str, series: str | None, instance: str | None) -> list[StoredInstance]:
    """What is served of a study, a series or an instance, by its whole chain of UIDs."""
    where, values = "study = ?", [study]
    if series is not None:
        where, values = where + " AND series = ?", [*values, series]
    if instance is not None:
        where, values = where + " AND instance = ?", [*values, instance]
    with reading(path) as connection:
        rows = connection.execute(
            "SELECT path, mtime_ns, size, study, series, instance, transfer_syntax, frames, pixel_offset, "  # noqa: S608
            f"frame_bytes FROM served WHERE {where} ORDER BY series, instance",
            values,
        ).fetchall()
    return [
        StoredInstance(
            stamp=FileStamp(os.fsdecode(row[0]), row[1], row[2]),
            study=row[3],
            series=row[4],
            instance=row[5],
            transfer_syntax=row[6],
            frames=row[7],
            pixels=None if row[8] is None else PixelPlace(row[8], row[9]),
        )
        for row in rows
    ]


def metadata_of(path: Path, names: list[str]) -> list[bytes]:
    """The compressed DICOM JSON of some files, in the order given."""
    with reading(path) as connection:
        query = "SELECT metadata FROM file WHERE path = ?"
        found = [connection.execute(query, (os.fsencode(name),)).fetchone() for name in names]
    return [row[0] for row in found if row is not None and row[0] is not None]


def identities_in(path: Path, study: str) -> dict[FoundIdentity, int]:
    """Every identity in the study, of files that are not served too, with the number of files."""
    with reading(path) as connection:
        rows = connection.execute(
            "SELECT identity, max(blank), count(*) FROM file WHERE reason IS NULL AND study = ? GROUP BY identity",
            (study,),
        )
        return {FoundIdentity.parse(row[0], blank=bool(row[1])): row[2] for row in rows}


def instances_by_identity(path: Path, study: str) -> StudyIdentities:
    """The same with the instances themselves."""
    with reading(path) as connection:
        rows = connection.execute(
            "SELECT identity, blank, instance FROM file WHERE reason IS NULL AND study = ?", (study,)
        )
        found: dict[FoundIdentity, set[str]] = {}
        for text, blank, instance in rows:
            found.setdefault(FoundIdentity.parse(text, blank=bool(blank)), set()).add(instance)
    return StudyIdentities({one: frozenset(instances) for one, instances in found.items()})


def studies_after(path: Path, study: str, rows: int) -> list[str]:
    """StudyInstanceUIDs in their order, from the one behind ``study`` on."""
    with reading(path) as connection:
        query = "SELECT DISTINCT study FROM study WHERE study > ? ORDER BY study LIMIT ?"
        return [row[0] for row in connection.execute(query, (study, rows))]


def study_count(path: Path) -> int:
    """How many studies there are."""
    with reading(path) as connection:
        return int(connection.execute("SELECT count(DISTINCT study) FROM study").fetchone()[0])


def _row(stamp: FileStamp, found: ReadInstance | NotRead) -> tuple[object, ...]:
    head = os.fsencode(stamp.path), stamp.mtime_ns, stamp.size
    if isinstance(found, NotRead):
        return (*head, found.reason, found.dicom, *[None] * 14)
    place, subject = found.pixels, found.identity.subject
    return (
        *head,
        None,
        True,
        found.study,
        found.series,
        found.instance,
        subject.patient_id,
        subject.issuer,
        found.identity.text,
        found.identity.blank,
        found.sop_class,
        found.modality,
        found.transfer_syntax,
        found.frames,
        None if place is None else place.offset,
        None if place is None else place.frame_bytes,
        found.metadata,
    )
