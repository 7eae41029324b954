"""Searching the archive (PS3.18 §10.6): the index narrows by UID and patient, the core's matching decides the rest."""

import json
import sqlite3
import zlib
from pathlib import Path
from typing import Any

from app.core.attributes import ATTRIBUTES
from app.core.dicomweb import Level, Search
from app.core.matching import MatchingValueError, compile_matching
from app.pacs.archive import index
from app.pacs.origin import DicomJson

_UID_COLUMNS = {"0020000D": "study", "0020000E": "series", "00080018": "instance"}
_PATIENT_ID = "00100020"
_IDENTITY = frozenset({_PATIENT_ID, "00100021", "00080005"})
_GROUPED_BY = {
    Level.STUDY: "study, patient_id, issuer",
    Level.SERIES: "study, series, patient_id, issuer",
    Level.INSTANCE: "study, series, instance",
}
_WILDCARDS = frozenset("*?")


def find(index_path: Path, search: Search) -> list[DicomJson]:
    """The matching rows, in the order of their UIDs. Raises sqlite3.Error.

    A study whose files name several patients makes a row for each of them, as it does in a PACS.
    """
    try:
        test = compile_matching(search.matching)
    except MatchingValueError:
        return []
    found = [row for row in _rows(index_path, search) if test(row)]
    end = None if search.limit is None else search.offset + search.limit
    return found[search.offset : end]


def _rows(index_path: Path, search: Search) -> list[DicomJson]:
    where, values = _narrowed(search)
    with index.reading(index_path) as connection:
        groups = connection.execute(
            "SELECT min(path), group_concat(DISTINCT modality), group_concat(DISTINCT sop_class), "  # noqa: S608
            "count(DISTINCT series), count(*), study, series, instance "
            f"FROM served WHERE {where} GROUP BY {_GROUPED_BY[search.level]} ORDER BY study, series, instance",
            values,
        ).fetchall()
        return [_row(connection, search, group) for group in groups]


def _narrowed(search: Search) -> tuple[str, list[str]]:
    """A WHERE clause that keeps at least what matches."""
    clauses, values = ["1 = 1"], []
    for column, uid in (("study", search.study), ("series", search.series)):
        if uid is not None:
            clauses.append(f"{column} = ?")
            values.append(str(uid))
    for key in search.matching:
        if len(key.path) != 1 or not key.value or _WILDCARDS & set(key.value):
            continue
        if key.path[0] in _UID_COLUMNS:
            uids = key.value.replace("\\", ",").split(",")
            clauses.append(f"{_UID_COLUMNS[key.path[0]]} IN ({', '.join('?' * len(uids))})")
            values.extend(uids)
        elif key.path[0] == _PATIENT_ID and key.value == key.value.strip():
            clauses.append("patient_id = ?")
            values.append(key.value)
    return " AND ".join(clauses), values


def _row(connection: sqlite3.Connection, search: Search, group: tuple[Any, ...]) -> DicomJson:
    path, modalities, sop_classes, series_count, instance_count, study, series, instance = group
    query = "SELECT metadata FROM file WHERE path = ?"
    dataset: DicomJson = json.loads(zlib.decompress(connection.execute(query, (path,)).fetchone()[0]))
    asked = {key[0] for key in (*search.include, *(matching.path for matching in search.matching))}
    row = {tag: element for tag, element in dataset.items() if _belongs(tag, element, search, asked)}
    link = f"/studies/{study}"
    if search.level is Level.STUDY:
        row["00080061"] = _several("CS", modalities)
        row["00080062"] = _several("UI", sop_classes)
        row["00201206"] = {"vr": "IS", "Value": [series_count]}
        row["00201208"] = {"vr": "IS", "Value": [instance_count]}
    else:
        link += f"/series/{series}"
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


def _several(vr: str, joined: str | None) -> DicomJson:
    values = sorted({value for value in (joined or "").split(",") if value})
    return {"vr": vr, "Value": values} if values else {"vr": vr}
