"""The query grammar of searches (PS3.18 §8.3.4).

No parameter may be given twice, but for two that stock clients repeat: ``includefield`` (PS3.18 §8.3.4.3 allows it)
and ``ModalitiesInStudy`` (dicomweb-client repeats it per value, OHIF writes one value with commas; both mean any of
them). UID lists are comma-separated (§8.3.4.1); a backslash, as DIMSE and older clients write it, is read as a comma.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from app.core.dicom.attributes import (
    ATTRIBUTES,
    MODALITIES_IN_STUDY,
    AttributeCaseError,
    AttributeNameError,
    dictionary_vr,
    tag_of,
)
from app.core.dicom.dicomweb import Level, Matching, Search
from app.core.dicom.matching import MatchingValueError, check_value, is_list_key
from app.core.http.problem import ProblemError, problem
from app.core.http.query_string import parameters
from app.core.identifiers import SeriesUid, StudyUid

MAX_LIMIT: Final = 10_000
_MAX_DIGITS: Final = 9
_MAX_VALUE_LENGTH: Final = 1024
_MAX_UID_LIST_LENGTH: Final = 16_384
_MAX_PATH_LENGTH: Final = 8

_UINT: Final = re.compile(r"[0-9]+")
_REPEATABLE: Final = frozenset({"includefield", MODALITIES_IN_STUDY})
# Asked for as "true", these are answered with a Warning and without what they ask for (PS3.18 §8.3.4.2, §8.3.4.6).
_UNSUPPORTED: Final = frozenset({"fuzzymatching", "multiplevaluematching"})
_EMPTY_MATCHING: Final = "emptyvaluematching"
_SWITCHES: Final = _UNSUPPORTED | {_EMPTY_MATCHING}
RESERVED: Final = _SWITCHES | {"includefield", "limit", "offset", "accept", "charset"}
# A key of just two quotation marks, with emptyvaluematching (PS3.18 §8.3.4.5, PS3.4 §C.2.2.2.7).
_NOTHING: Final = '""'


@dataclass(slots=True)
class _Query:
    """What has been read of a query so far."""

    level: Level
    max_limit: int
    seen: set[str | tuple[str, ...]] = field(default_factory=set)
    keys: dict[tuple[str, ...], str] = field(default_factory=dict)
    include: dict[tuple[str, ...], None] = field(default_factory=dict)
    include_all: bool = False
    limit: int | None = None
    capped: bool = False
    offset: int = 0
    unsupported: list[str] = field(default_factory=list)
    empty_matching: bool = False
    accept: str | None = None


def parse_search(
    raw_query: bytes, level: Level, study: StudyUid | None, series: SeriesUid | None, max_limit: int = MAX_LIMIT
) -> Search:
    """The search that the raw query asks for below ``study`` and ``series``.

    Raises ProblemError: invalid-parameter, ambiguous-parameter or unsupported-parameter.
    """
    if not raw_query:
        return Search(level, study, series)
    query = _Query(level, max_limit)
    keys = []
    for name, value in parameters(raw_query):
        if name in RESERVED:
            _read_reserved(query, name, value)
        else:
            keys.append((name, value))
    for name, value in keys:  # after emptyvaluematching, wherever it stands
        _read_key(query, name, value)
    return Search(
        level,
        study,
        series,
        tuple(
            Matching(path, value, empty=query.empty_matching and value == _NOTHING)
            for path, value in query.keys.items()
        ),
        tuple(query.include),
        query.include_all,
        query.limit,
        query.offset,
        "fuzzymatching" in query.unsupported,
        query.capped,
        tuple(query.unsupported),
        query.accept,
    )


def _read_reserved(query: _Query, name: str, value: str) -> None:
    if name in query.seen and name not in _REPEATABLE:
        raise ProblemError(problem("ambiguous-parameter"))
    query.seen.add(name)
    if name == "includefield":
        _read_include(query, value)
    elif name == "limit":
        digits = _uint(value)
        # A huge number is a large limit like any other: capped, without making an integer of it.
        query.capped = len(digits) > _MAX_DIGITS or int(digits) > query.max_limit
        query.limit = query.max_limit if query.capped else int(digits)
    elif name == "offset":
        digits = _uint(value)
        if len(digits) > _MAX_DIGITS:
            raise ProblemError(problem("invalid-parameter"))
        query.offset = int(digits)
    elif name in _SWITCHES:
        _read_switch(query, name, value)
    elif name == "accept":
        query.accept = value
    # charset: answers are UTF-8, which PS3.18 §8.7.9 lets every user agent expect


def _read_switch(query: _Query, name: str, value: str) -> None:
    if value not in ("true", "false"):
        raise ProblemError(problem("invalid-parameter"))
    if value == "false":
        return
    if name == _EMPTY_MATCHING:
        query.empty_matching = True
    else:
        query.unsupported.append(name)


def _uint(value: str) -> str:
    if not _UINT.fullmatch(value):
        raise ProblemError(problem("invalid-parameter"))
    return value.lstrip("0") or "0"


def _read_include(query: _Query, value: str) -> None:
    for name in value.split(","):
        if name == "all":
            query.include_all = True
        else:
            query.include[_path(name.strip(" "))] = None


def _read_key(query: _Query, name: str, value: str) -> None:
    path = _path(name)
    # Once more in the very same spelling: only where it says "any of these". Keyword beside tag is never plain.
    if path in query.keys and not (path[-1] in _REPEATABLE and name in query.seen):
        raise ProblemError(problem("ambiguous-parameter"))
    query.seen.add(name)
    attribute = ATTRIBUTES.get(path[0])
    if attribute is None or not attribute.matchable or attribute.level > query.level:
        raise ProblemError(problem("unsupported-parameter"))
    if query.empty_matching and value == _NOTHING and path not in query.keys:
        query.keys[path] = value
        return
    if is_list_key(path[-1]):
        value = value.replace("\\", ",")
        longest = _MAX_UID_LIST_LENGTH
    else:
        longest = _MAX_VALUE_LENGTH
    try:
        check_value(path, value)
    except MatchingValueError:
        raise ProblemError(problem("invalid-parameter")) from None
    if path in query.keys:
        value = f"{query.keys[path]},{value}"
    if len(value) > longest:
        raise ProblemError(problem("invalid-parameter"))
    query.keys[path] = value


def _path(name: str) -> tuple[str, ...]:
    """The tags that a keyword, a tag or a dotted sequence of them names; each but the last is a sequence."""
    parts = name.split(".") if "." in name else (name,)
    if len(parts) > _MAX_PATH_LENGTH:
        raise ProblemError(problem("unsupported-parameter"))
    try:
        path = tuple([tag_of(part) for part in parts])
    except AttributeCaseError:
        raise ProblemError(problem("ambiguous-parameter")) from None
    except AttributeNameError:
        wrong_case = name != name.lower() and name.lower() in RESERVED
        raise ProblemError(problem("ambiguous-parameter" if wrong_case else "unsupported-parameter")) from None
    if any(dictionary_vr(tag) != "SQ" for tag in path[:-1]):
        raise ProblemError(problem("unsupported-parameter"))
    return path
