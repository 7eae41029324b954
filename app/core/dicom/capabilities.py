"""The Capabilities Description (PS3.18 §8.9, Annex H): what the grammar takes and the negotiation offers, in two forms.

Made from their own tables, it says what is served and nothing else. It tells of the software alone: nothing of an
archive, a patient or a caller.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from app.core.dicom.attributes import ATTRIBUTES
from app.core.dicom.dicomweb import Level, Representation, Retrieve, Search
from app.core.dicom.dicomweb_grammar import PARAMETERS, ROUTES, Route
from app.core.dicom.negotiation import media_types_of
from app.core.dicom.qido import RESERVED
from app.core.http.accept import parse_accept, refuses
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid

WADL: Final = "application/vnd.sun.wadl+xml"
JSON: Final = "application/json"
_NAMESPACE: Final = "http://wadl.dev.java.net/2009/02"
_PART_10: Final = 'multipart/related; type="application/dicom"'
_STORED_AS: Final = "application/dicom+json"

_LEVELS: Final = {0: "", 1: "Study", 2: "Series", 3: "Instance", 4: "Frame"}
# The transactions by Table H-1; what stands for {} is the level.
_RETRIEVES: Final = {
    Representation.DICOM: "Retrieve{}",
    Representation.METADATA: "Retrieve{}Metadata",
    Representation.RENDERED: "RetrieveRendered{}",
    Representation.THUMBNAIL: "Retrieve{}Thumbnail",
    Representation.ALL_BULKDATA: "Retrieve{}Bulkdata",
    Representation.PIXELDATA: "Retrieve{}PixelData",
    Representation.FRAMES: "RetrieveFrames",
    Representation.RENDERED_FRAMES: "RetrieveRenderedFrames",
    Representation.THUMBNAIL_FRAMES: "RetrieveFrameThumbnail",
    Representation.BULKDATA: "RetrieveBulkdata",
}


@dataclass(frozen=True, slots=True)
class Method:
    """One transaction. ``accepts``: media types of the request's body; ``answers``: of an answer, the default first."""

    name: str
    id: str
    parameters: tuple[str, ...]
    accepts: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(slots=True)
class Resource:
    """One component of a path, what can be done there, and what is below."""

    path: str
    methods: list[Method] = field(default_factory=list)
    below: "dict[str, Resource]" = field(default_factory=dict)


def describe(base: str, accept_values: Sequence[bytes]) -> tuple[str, bytes] | None:
    """The media type and the document, None where the user agent takes neither form. ``base``: the root's URL."""
    ranges = parse_accept(accept_values) or ()
    for wanted in ranges:
        for media_type in (WADL, JSON):
            if wanted.weight and wanted.covers(media_type) and not refuses(ranges, media_type):
                return media_type, _document(base, media_type)
    return None


@lru_cache(maxsize=8)
def _document(base: str, media_type: str) -> bytes:
    root = tree()
    return (json.dumps(_as_json(base, root)) if media_type == JSON else "".join(_as_wadl(base, root))).encode("utf-8")


def tree() -> dict[str, Resource]:
    """Every resource of the grammar, by its first component."""
    root = Resource("")
    for route in ROUTES:
        at = root
        for part in route.template.split("/")[1:]:
            at = at.below.setdefault(part, Resource(part))
        at.methods.extend(_methods(route))
    return root.below


def _methods(route: Route) -> Iterator[Method]:
    """HEAD is GET without its body, and OPTIONS asks for this document (Annex H)."""
    if isinstance(route.target, Level):
        answers = tuple(media_types_of(Search(route.target)))
        yield Method("GET", _search_id(route), _search_parameters(route.target), (), answers)
    else:
        parameters = ("accept", *PARAMETERS.get(route.target, ()))
        name = _RETRIEVES[route.target].format(_level_of(route))
        yield Method("GET", name, parameters, (), tuple(media_types_of(_example(route.target, route.template))))
    if "POST" in route.methods:
        yield Method("POST", f"Store{_level_of(route)}Instances", ("accept",), (_PART_10,), (_STORED_AS,))


def _level_of(route: Route) -> str:
    return _LEVELS[route.template.count("{")]


def _search_id(route: Route) -> str:
    names = [part.capitalize() for part in route.template.split("/")[1:] if "{" not in part]
    above = ["Study" if name == "Studies" else name for name in names[:-1]]
    return "SearchFor" + "".join([*above, names[-1]])


def _example(representation: Representation, template: str) -> Retrieve:
    """Some resource of the template."""
    series = SeriesUid("2") if "{series}" in template else None
    instance = InstanceUid("3") if "{instance}" in template else None
    return Retrieve(representation, StudyUid("1"), series, instance, (1,) if "{frames}" in template else ())


def _search_parameters(level: Level) -> tuple[str, ...]:
    """Every attribute that may be matched on at the level, by keyword and by tag (§8.3.4.1)."""
    matchable = [one for one in ATTRIBUTES.values() if one.matchable and one.level <= level]
    return (*sorted(RESERVED), *(name for one in matchable for name in (one.keyword, one.tag)))


def _as_wadl(base: str, root: dict[str, Resource]) -> Iterator[str]:
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<application xmlns="{_NAMESPACE}">'
    yield f"<resources base={quoteattr(base)}>"
    for resource in root.values():
        yield from _resource_as_wadl(resource)
    yield "</resources></application>"


def _resource_as_wadl(resource: Resource) -> Iterator[str]:
    yield f"<resource path={quoteattr(resource.path)}>"
    for method in resource.methods:
        yield f"<method name={quoteattr(method.name)} id={quoteattr(method.id)}><request>"
        yield f'<param name="Accept" style="header" default={quoteattr(method.answers[0])}>'
        yield from (f"<option value={quoteattr(media_type)}/>" for media_type in method.answers)
        yield "</param>"
        yield from (f'<param name={quoteattr(name)} style="query"/>' for name in method.parameters)
        yield from (f"<representation mediaType={quoteattr(media_type)}/>" for media_type in method.accepts)
        yield '</request><response status="200">'
        yield from (f"<representation mediaType={quoteattr(media_type)}/>" for media_type in method.answers)
        yield "</response></method>"
    for one in resource.below.values():
        yield from _resource_as_wadl(one)
    yield "</resource>"


def _as_json(base: str, root: dict[str, Resource]) -> dict[str, Any]:
    resources = [_resource_as_json(one) for one in root.values()]
    return {"application": {"resources": {"base": base, "resource": resources}}}


def _resource_as_json(resource: Resource) -> dict[str, Any]:
    methods = [
        {
            "name": method.name,
            "id": method.id,
            "request": {"param": list(method.parameters), "representation": list(method.accepts)},
            "response": {"status": 200, "representation": list(method.answers)},
        }
        for method in resource.methods
    ]
    return {
        "path": resource.path,
        "method": methods,
        "resource": [_resource_as_json(one) for one in resource.below.values()],
    }
