"""Searching the archive (PS3.18 §10.6): the index narrows, the core's matching decides the rest.

At the study level the index keeps rows ready; below it they are made from the files' metadata.
"""

import json
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from app.core.dicom.attributes import ATTRIBUTES
from app.core.dicom.dicomjson import identity
from app.core.dicom.dicomweb import Level, Search
from app.core.dicom.matching import MatchingValueError, compile_matching
from app.core.dicom.search_order import rank
from app.core.identifiers import StudyUid, Subject
from app.pacs.archive import index
from app.pacs.archive.narrowing import any_of, study_conditions, uids_of
from app.pacs.archive.study_rows import is_of_study, read_attributes
from app.pacs.origin import DicomJson, Listed, Stretch

_UID_COLUMNS = {"0020000D": "study", "0020000E": "series", "00080018": "instance"}
_PATIENT_ID = "00100020"
_IDENTITY = frozenset({_PATIENT_ID, "00100021", "00080005"})
_GROUPED_BY = {
    Level.SERIES: "study, series, identity",
    Level.INSTANCE: "study, series, instance",
}
_WILDCARDS = frozenset("*?")
# PatientIDs in one statement.
PATIENTS_AT_ONCE = 500
# Studies whose series or instances are listed together.
_STUDIES_AT_ONCE = 200
_LEAST_ROWS = 200
_MOST_ROWS = 5_000
_Test = Callable[[DicomJson], bool]
_Group = tuple[Any, ...]


def find(index_path: Path, search: Search) -> list[DicomJson]:
    """The matching rows, in the order of their UIDs. Raises sqlite3.Error.

    A study whose files name several patients makes a row for each of them, as it does in a PACS.
    """
    test = _test_of(search)
    if test is None:
        return []
    with index.reading(index_path) as connection:
        if search.level is Level.STUDY:
            where, values = study_conditions(search)
            query = f"SELECT path, attributes FROM study WHERE {where} ORDER BY study, place"  # noqa: S608
            rows = [_study(connection, search, *found) for found in connection.execute(query, values).fetchall()]
        else:
            rows = _rows_below(connection, search, *_narrowed(search))
    found = [row for row in rows if test(row)]
    end = None if search.limit is None else search.offset + search.limit
    return found[search.offset : end]


def stretch(
    index_path: Path, search: Search, after: bytes | None, patient_ids: Sequence[str] | None, rows: int
) -> Stretch:
    """See Origin.in_order. Raises sqlite3.Error."""
    test = _test_of(search)
    if test is None:
        return Stretch((), None, 0)
    with index.reading(index_path) as connection:
        if patient_ids is not None:
            return _of_patients(connection, search, test, patient_ids)
        if search.level is Level.STUDY:
            return _studies_after(connection, search, test, after, rows)
        return _below_studies_after(connection, search, test, after)


def _test_of(search: Search) -> _Test | None:
    """None: nothing can match."""
    try:
        return compile_matching(search.matching)
    except MatchingValueError:
        return None


_LISTED = "place, rank, study, patient_id, issuer, mixed, path, attributes"


def _studies_after(
    connection: sqlite3.Connection, search: Search, test: _Test, after: bytes | None, rows: int
) -> Stretch:
    where, values = study_conditions(search)
    size = min(max(rows, _LEAST_ROWS), _MOST_ROWS)
    found = connection.execute(
        f"SELECT {_LISTED} FROM study "  # noqa: S608 - our own words
        f"WHERE place > ? AND {where} ORDER BY place LIMIT {size}",
        (after or b"", *values),
    ).fetchall()
    listed = _listed_studies(connection, search, test, found)
    return Stretch(listed, found[-1][0] if len(found) == size else None, len(found))


def _of_patients(connection: sqlite3.Connection, search: Search, test: _Test, patient_ids: Sequence[str]) -> Stretch:
    listed: list[Listed] = []
    cost = 0
    for at in range(0, len(patient_ids), PATIENTS_AT_ONCE):
        of_patients, named = any_of("patient_id", list(patient_ids[at : at + PATIENTS_AT_ONCE]))
        if search.level is Level.STUDY:
            where, values = study_conditions(search)
            query = f"SELECT {_LISTED} FROM study WHERE {of_patients} AND {where} ORDER BY place"  # noqa: S608
            found = connection.execute(query, (*named, *values)).fetchall()
            listed += _listed_studies(connection, search, test, found)
            cost += len(found)
        else:
            where, values = _narrowed(search)
            theirs = f"study IN (SELECT study FROM study WHERE {of_patients})"  # noqa: S608
            rows = _rows_below(connection, search, f"{theirs} AND {where}", [*named, *values])
            listed += _listed_below(connection, search.level, rows, test)
            cost += len(rows)
    return Stretch(sorted(listed, key=lambda one: one.rank), None, cost)


def _below_studies_after(connection: sqlite3.Connection, search: Search, test: _Test, after: bytes | None) -> Stretch:
    """Study by study in the order of their UIDs, which is the first part of a series' or instance's rank."""
    where, values = _narrowed(search)
    named = next((uids_of(key.value) for key in search.matching if key.path == ("0020000D",) and key.value), None)
    of_named, uids = ("1 = 1", []) if named is None else any_of("study", named)
    studies = [
        row[0]
        for row in connection.execute(
            f"SELECT DISTINCT study FROM study WHERE study > ? AND {of_named} "  # noqa: S608 - our own words
            f"ORDER BY study LIMIT {_STUDIES_AT_ONCE}",
            ("" if after is None else after.decode(), *uids),
        )
    ]
    among, values_among = any_of("study", studies)
    rows = _rows_below(connection, search, f"{among} AND {where}", [*values_among, *values])
    listed = sorted(_listed_below(connection, search.level, rows, test), key=lambda one: one.rank)
    return Stretch(listed, studies[-1].encode() if len(studies) == _STUDIES_AT_ONCE else None, len(rows) + len(studies))


def _listed_studies(connection: sqlite3.Connection, search: Search, test: _Test, found: list[_Group]) -> list[Listed]:
    """The rows that match. Where nothing is asked of a data set it is left unread until somebody wants it."""
    if not search.matching and not _beyond(search):
        return [
            Listed(
                row_rank,
                StudyUid(study),
                Subject(patient_id, issuer),
                _is_sole(patient_id, mixed),
                partial(read_attributes, attributes),
            )
            for _, row_rank, study, patient_id, issuer, mixed, _, attributes in found
        ]
    listed = []
    for _, row_rank, study, patient_id, issuer, mixed, path, attributes in found:
        row = _study(connection, search, path, attributes)
        if test(row):
            subject, sole = Subject(patient_id, issuer), _is_sole(patient_id, mixed)
            listed.append(Listed(row_rank, StudyUid(study), subject, sole, partial(_itself, row)))
    return listed


def _itself(row: DicomJson) -> DicomJson:
    return row


def _listed_below(connection: sqlite3.Connection, level: Level, rows: list[DicomJson], test: _Test) -> list[Listed]:
    mixed = _mixed(connection, {_study_of(row) for row in rows})
    listed = []
    for row in rows:
        if test(row):
            study, subject = StudyUid(_study_of(row)), identity(row)
            sole = _is_sole(subject.patient_id, study in mixed)
            listed.append(Listed(rank(level, row), study, subject, sole, partial(_itself, row)))
    return listed


def _is_sole(patient_id: str, mixed: object) -> bool:
    """Whether the index vouches that the study is of this one patient; what names nobody is looked into."""
    return bool(patient_id) and not mixed


def _mixed(connection: sqlite3.Connection, studies: set[str]) -> set[str]:
    """Those of the studies that hold several identities."""
    found: set[str] = set()
    named = sorted(studies)
    for at in range(0, len(named), _STUDIES_AT_ONCE):
        among, values = any_of("study", named[at : at + _STUDIES_AT_ONCE])
        query = f"SELECT study FROM study WHERE mixed AND {among}"  # noqa: S608 - our own words
        found.update(row[0] for row in connection.execute(query, values))
    return found


def _study_of(row: DicomJson) -> str:
    study: str = row["0020000D"]["Value"][0]
    return study


def _beyond(search: Search) -> set[str]:
    """What is asked for at the study level that only the files have."""
    asked = {key[0] for key in (*search.include, *(matching.path for matching in search.matching))}
    return {tag for tag in asked if not is_of_study(tag)}


def _study(connection: sqlite3.Connection, search: Search, path: bytes, attributes: bytes) -> DicomJson:
    row = read_attributes(attributes)
    beyond = _beyond(search)
    if beyond:
        dataset = _metadata(connection, path)
        row |= {tag: dataset[tag] for tag in beyond & dataset.keys()}
    return row


def _metadata(connection: sqlite3.Connection, path: bytes) -> DicomJson:
    stored = connection.execute("SELECT metadata FROM file WHERE path = ?", (path,)).fetchone()[0]
    dataset: DicomJson = json.loads(zlib.decompress(stored))
    return dataset


def _rows_below(connection: sqlite3.Connection, search: Search, where: str, values: list[str]) -> list[DicomJson]:
    """Rows of series or instances."""
    groups = connection.execute(
        "SELECT min(path), count(*), study, series, instance "  # noqa: S608 - our own words
        f"FROM served WHERE {where} GROUP BY {_GROUPED_BY[search.level]} "
        "ORDER BY study, series, instance, identity",
        values,
    ).fetchall()
    return [_row_below(connection, search, group) for group in groups]


def _narrowed(search: Search) -> tuple[str, list[str]]:
    """Conditions on files that keep at least what matches."""
    clauses, values = ["1 = 1"], list[str]()
    for column, uid in (("study", search.study), ("series", search.series)):
        if uid is not None:
            clauses.append(f"{column} = ?")
            values.append(str(uid))
    for key in search.matching:
        if len(key.path) != 1 or not key.value or key.empty or _WILDCARDS & set(key.value):
            continue
        if key.path[0] in _UID_COLUMNS:
            clause, uids = any_of(_UID_COLUMNS[key.path[0]], uids_of(key.value))
            clauses.append(clause)
            values.extend(uids)
        elif key.path[0] == _PATIENT_ID and key.value == key.value.strip():
            clauses.append("patient_id = ?")
            values.append(key.value)
    return " AND ".join(clauses), values


def _row_below(connection: sqlite3.Connection, search: Search, group: _Group) -> DicomJson:
    path, instance_count, study, series, instance = group
    dataset = _metadata(connection, path)
    asked = {key[0] for key in (*search.include, *(matching.path for matching in search.matching))}
    row = {tag: element for tag, element in dataset.items() if _belongs(tag, element, search, asked)}
    link = f"/studies/{study}/series/{series}"
    if search.level is Level.SERIES:
        row["00201209"] = {"vr": "IS", "Value": [instance_count]}
    else:
        link += f"/instances/{instance}"
    row["00081190"] = {"vr": "UR", "Value": [link]}
    return row


def _belongs(tag: str, element: DicomJson, search: Search, asked: set[str]) -> bool:
    """Whether an attribute of the files stands for the whole level, or was asked for by name."""
    if tag in asked or tag in _IDENTITY:
        return True
    known = ATTRIBUTES.get(tag)
    if known is not None:
        return known.level <= search.level
    return search.include_all and search.level is Level.INSTANCE and "BulkDataURI" not in element
