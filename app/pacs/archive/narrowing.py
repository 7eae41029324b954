"""A search as SQL conditions that keep at least what matches; the core's matching decides the rest.

Of the ``study`` table only what stands in columns of its own can narrow; a NULL there means that the data set must be
looked at.
"""

from app.core.dicom.dicomweb import Matching, Search
from app.core.dicom.matching import name_pattern
from app.core.dicom.temporal import key_span

_WILDCARDS = frozenset("*?")

Condition = tuple[str, list[str]]


def study_conditions(search: Search) -> Condition:
    """Conditions on the ``study`` table for a search at the study level, or for the studies of one below."""
    clauses, values = ["1 = 1"], list[str]()
    if search.study is not None:
        clauses.append("study = ?")
        values.append(str(search.study))
    for key in search.matching:
        found = None if len(key.path) != 1 or not key.value or key.empty else _condition(key)
        if found is not None:
            clauses.append(found[0])
            values.extend(found[1])
    return " AND ".join(clauses), values


def any_of(column: str, wanted: list[str]) -> Condition:
    """One of these values."""
    return f"{column} IN ({', '.join('?' * len(wanted))})", wanted


def uids_of(value: str) -> list[str]:
    """The UIDs of a list in either writing."""
    return value.replace("\\", ",").split(",")


def _condition(key: Matching) -> Condition | None:
    value = key.value
    is_wild = not _WILDCARDS.isdisjoint(value)
    found: Condition | None = None
    match key.path[0]:
        case "0020000D":
            found = any_of("study", uids_of(value))
        case "00100020" if not is_wild:
            found = "patient_id = ?", [value.strip(" ")]
        case "00080020":
            found = _of_date(value)
        case "00100010" if (pattern := name_pattern(value)) is not None:
            found = "(name IS NULL OR name GLOB ?)", [_glob(f"*{pattern}*")]
        case "00080050":
            is_it = "accession GLOB ?" if is_wild else "accession = ?"
            found = f"(accession IS NULL OR {is_it})", [_glob(value.strip(" ")) if is_wild else value.strip(" ")]
        case "00080061" if not is_wild:
            wanted = [f"|{one.strip(' ')}|" for one in value.split(",")]
            found = "(" + " OR ".join(["instr(modalities, ?)"] * len(wanted)) + ")", wanted
    return found


def _of_date(value: str) -> Condition | None:
    span = key_span("DA", value)
    if span is None:
        return None
    return "(date IS NULL OR date BETWEEN ? AND ?)", [span.first or "0", span.last or "99999999"]


def _glob(pattern: str) -> str:
    """SQLite's GLOB knows "[" beside the wildcards of DICOM."""
    return pattern.replace("[", "[[]")
