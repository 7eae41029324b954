"""The DICOMweb grammar: method, raw path and raw query in; a resource or a typed refusal out (PS3.18 §10.4 to §10.6).

The path is judged as it came, before any decoding: no component that this grammar takes needs an escape.
"""

import re
from dataclasses import dataclass
from typing import Final

from app.core.dicom.dicomweb import BULK_WORDS, Level, Representation, Retrieve, Search, Store
from app.core.dicom.qido import MAX_LIMIT, parse_search
from app.core.dicom.rendering import RENDERING_PARAMETERS, THUMBNAIL_PARAMETERS, parse_retrieval_query
from app.core.http.problem import Problem, ProblemError, problem
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid

MAX_FRAMES: Final = 2_000
MAX_UID_LENGTH: Final = 64
MAX_BULK_DEPTH: Final = 64

_READ: Final = ("GET", "HEAD", "OPTIONS")
_READ_OR_STORE: Final = (*_READ, "POST")
_INSTANCE: Final = "/studies/{study}/series/{series}/instances/{instance}"


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the grammar, the methods it takes, and what it asks for: a search at a level, or a representation."""

    template: str
    target: Level | Representation
    methods: tuple[str, ...] = _READ


ROUTES: Final[tuple[Route, ...]] = (
    # PS3.18 Table 10.6.1-1: searches
    Route("/studies", Level.STUDY, _READ_OR_STORE),
    Route("/studies/{study}/series", Level.SERIES),
    Route("/studies/{study}/instances", Level.INSTANCE),
    Route("/studies/{study}/series/{series}/instances", Level.INSTANCE),
    Route("/series", Level.SERIES),
    Route("/instances", Level.INSTANCE),
    # PS3.18 Tables 10.4.1-1 to 10.4.1-6: retrievals
    Route("/studies/{study}", Representation.DICOM, _READ_OR_STORE),
    Route("/studies/{study}/metadata", Representation.METADATA),
    Route("/studies/{study}/rendered", Representation.RENDERED),
    Route("/studies/{study}/thumbnail", Representation.THUMBNAIL),
    Route("/studies/{study}/bulkdata", Representation.ALL_BULKDATA),
    Route("/studies/{study}/pixeldata", Representation.PIXELDATA),
    Route("/studies/{study}/series/{series}", Representation.DICOM),
    Route("/studies/{study}/series/{series}/metadata", Representation.METADATA),
    Route("/studies/{study}/series/{series}/rendered", Representation.RENDERED),
    Route("/studies/{study}/series/{series}/thumbnail", Representation.THUMBNAIL),
    Route("/studies/{study}/series/{series}/bulkdata", Representation.ALL_BULKDATA),
    Route("/studies/{study}/series/{series}/pixeldata", Representation.PIXELDATA),
    Route(_INSTANCE, Representation.DICOM),
    Route(f"{_INSTANCE}/metadata", Representation.METADATA),
    Route(f"{_INSTANCE}/rendered", Representation.RENDERED),
    Route(f"{_INSTANCE}/thumbnail", Representation.THUMBNAIL),
    Route(f"{_INSTANCE}/bulkdata", Representation.ALL_BULKDATA),
    Route(f"{_INSTANCE}/pixeldata", Representation.PIXELDATA),
    Route(f"{_INSTANCE}/frames/{{frames}}", Representation.FRAMES),
    Route(f"{_INSTANCE}/frames/{{frames}}/rendered", Representation.RENDERED_FRAMES),
    Route(f"{_INSTANCE}/frames/{{frames}}/thumbnail", Representation.THUMBNAIL_FRAMES),
    # What a BulkDataURI points to
    *(Route(f"{_INSTANCE}/{word}/{{bulk}}", Representation.BULKDATA) for word in BULK_WORDS),
)
# The query parameters that each takes (PS3.18 §10.4.1.2); whatever else there is means nothing.
PARAMETERS: Final = {
    Representation.RENDERED: RENDERING_PARAMETERS,
    Representation.RENDERED_FRAMES: RENDERING_PARAMETERS,
    Representation.THUMBNAIL: THUMBNAIL_PARAMETERS,
    Representation.THUMBNAIL_FRAMES: THUMBNAIL_PARAMETERS,
}

_Shape = tuple[bytes, ...]


def _table() -> tuple[dict[_Shape, Route], dict[_Shape, Route], dict[_Shape, Route]]:
    """The routes by their fixed components: those that end on one, those that end on a value, those of open length."""
    tables: tuple[dict[_Shape, Route], dict[_Shape, Route], dict[_Shape, Route]] = ({}, {}, {})
    for route in ROUTES:
        parts = route.template.encode().split(b"/")
        kind = 2 if parts[-1] == b"{bulk}" else len(parts) & 1
        tables[kind][tuple(parts[1::2])] = route
    return tables


_ON_NAME, _ON_VALUE, _OPEN = _table()
_BULK_AT: Final = 8  # where in the split path the first component after "bulk" stands

_UID: Final = re.compile(rb"[0-9]+(?:\.[0-9]+)*").fullmatch
_FRAME: Final = re.compile(rb"[1-9][0-9]{0,8}").fullmatch
_FRAMES: Final = re.compile(rb"[1-9][0-9]{0,8}(?:,[1-9][0-9]{0,8})*").fullmatch
_TAG: Final = re.compile(rb"[0-9A-Fa-f]{8}").fullmatch
_ITEM: Final = re.compile(rb"[1-9][0-9]{0,5}").fullmatch
# Every component must be of these: what else may stand in a path is an escape, a parameter, a dot segment or an attack.
_COMPONENT: Final = re.compile(rb"(?!\.)[A-Za-z0-9.,-]+(?<!\.)").fullmatch


def parse(
    method: str, raw_path: bytes, raw_query: bytes, max_limit: int = MAX_LIMIT
) -> Retrieve | Search | Store | Problem:
    """What a request asks for. ``raw_path`` is below the mount point and, like ``raw_query``, as on the wire.

    GET, HEAD and OPTIONS all give the resource: the caller answers each in its own way. POST gives what is to be stored
    where (PS3.18 Table 10.5.1-1). A method that the path does
    not take is method-not-allowed with ``Allow``; a path outside the grammar is invalid-uid where a component is
    malformed, else not-found. A limit above ``max_limit`` is capped and marked so.
    """
    parts = raw_path.split(b"/")
    route = _route(parts)
    if route is None or parts[0]:
        return problem("not-found" if not parts[0] and all(map(_COMPONENT, parts[1:])) else "invalid-uid")
    for uid in parts[2:7:2]:
        if len(uid) > MAX_UID_LENGTH or not _UID(uid):
            return problem("invalid-uid")
    if method not in route.methods:
        return problem("method-not-allowed").with_header("Allow", ", ".join(route.methods))
    try:
        if method == "POST":
            return _store(parts, raw_query)
        return _resource(route.target, parts, raw_query, max_limit)
    except ProblemError as refusal:
        return refusal.problem


def methods_of(raw_path: bytes) -> tuple[str, ...]:
    """The methods that the path takes, () for one outside the grammar. Whether its values are valid ``parse`` says."""
    route = _route(raw_path.split(b"/"))
    return () if route is None else route.methods


def _route(parts: list[bytes]) -> Route | None:
    shape = tuple(parts[1::2])
    return (_ON_VALUE if len(parts) & 1 else _ON_NAME).get(shape) or _OPEN.get(shape[:4])


def _resource(
    target: Level | Representation, parts: list[bytes], raw_query: bytes, max_limit: int
) -> Retrieve | Search:
    count = len(parts)
    study = StudyUid(parts[2].decode("ascii") if count > 2 else "")
    series = SeriesUid(parts[4].decode("ascii")) if count > 4 else None
    if isinstance(target, Level):
        return parse_search(raw_query, target, study or None, series, max_limit)
    instance = InstanceUid(parts[6].decode("ascii")) if count > 6 else None
    frames: tuple[int, ...] = ()
    bulk_path: tuple[str, ...] = ()
    bulk_word = BULK_WORDS[0]
    if target is Representation.BULKDATA:
        bulk_path, bulk_word = _bulk_path(parts[_BULK_AT:]), parts[_BULK_AT - 1].decode("ascii")
    elif count > 8:
        frames = _frames(parts[8])
    query: tuple[tuple[str, str], ...] = ()
    accept: str | None = None
    if raw_query:
        query, accept = parse_retrieval_query(raw_query, PARAMETERS.get(target, {}))
    return Retrieve(target, study, series, instance, frames, bulk_path, query, accept, bulk_word)


def _store(parts: list[bytes], raw_query: bytes) -> Store:
    _, accept = parse_retrieval_query(raw_query, {})
    return Store(StudyUid(parts[2].decode("ascii")) if len(parts) > 2 else None, accept)


def _frames(raw: bytes) -> tuple[int, ...]:
    """PS3.18 §10.4.1.1.4: frame numbers from 1 in any order, none twice."""
    if _FRAME(raw):
        return (int(raw),)
    if not _FRAMES(raw):
        raise ProblemError(problem("invalid-frames" if _COMPONENT(raw) else "invalid-uid"))
    frames = tuple(map(int, raw.split(b",", MAX_FRAMES)[:MAX_FRAMES]))
    if raw.count(b",") >= MAX_FRAMES or len(set(frames)) < len(frames):
        raise ProblemError(problem("invalid-frames"))
    return frames


def _bulk_path(raw: list[bytes]) -> tuple[str, ...]:
    """tag(/item/tag)*: the way down to the element that holds the bulk data, tags in lower case."""
    fits = len(raw) & 1 and len(raw) <= 2 * MAX_BULK_DEPTH and all(map(_TAG, raw[::2])) and all(map(_ITEM, raw[1::2]))
    if not fits:
        raise ProblemError(problem("invalid-uid"))
    return tuple(part.decode("ascii").lower() for part in raw)
