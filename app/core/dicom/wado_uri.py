"""WADO-URI: an instance named by query parameters, as a picture or as a file (PS3.18 §9).

It asks for what WADO-RS names by a path, so a request becomes the very same Retrieve. Names are case-sensitive. What
the standard does not list is ignored (§8.3), but nothing may be said twice, or in another case than the standard has.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.dicom.dicomweb_grammar import MAX_UID_LENGTH
from app.core.dicom.negotiation import PICTURES, Chosen, negotiate
from app.core.dicom.rendering import RENDERING_PARAMETERS
from app.core.dicom.uri_viewport import EVERYTHING, Region, UriViewport
from app.core.http.accept import MediaRange, parse_accept, refuses
from app.core.http.problem import Problem, ProblemError, problem
from app.core.http.query_string import parameters
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid

METHODS: Final = ("GET", "HEAD", "OPTIONS")

_DICOM: Final = "application/dicom"
_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*").fullmatch
_SIZE: Final = re.compile(r"[1-9][0-9]{0,4}").fullmatch
_FRAME: Final = re.compile(r"[1-9][0-9]{0,8}").fullmatch
_SYNTAX: Final = re.compile(r"\*|[0-9]+(?:\.[0-9]+)*").fullmatch
# PS3.5 §6.2, DS; of the padding that it allows, none is needed here
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?").fullmatch
_MAX_DECIMAL: Final = 16

# §9.1.2, §9.4.1.2, §9.5.1.2. Table 9.5.1-1 calls annotation imageAnnotation, the request's syntax above it does not.
_NAMES: Final = frozenset(
    """
    requestType studyUID seriesUID objectUID contentType charset anonymize annotation imageAnnotation imageQuality rows
    columns region windowCenter windowWidth frameNumber presentationUID presentationSeriesUID transferSyntax
    """.split()  # noqa: SIM905
)
_IN_LOWER_CASE: Final = frozenset(name.lower() for name in _NAMES)
# Without them a picture would not be what was asked for, and nobody would notice: refused rather than ignored.
_REFUSED: Final = ("presentationUID", "presentationSeriesUID")


@dataclass(frozen=True, slots=True)
class UriRequest:
    """What is asked for. ``viewport``: for its query, once the image's size is known; None: all, as it is."""

    asked: Retrieve
    chosen: Chosen
    viewport: UriViewport | None


def parse_uri(method: str, raw_query: bytes, accept_values: Sequence[bytes]) -> UriRequest | Problem:
    """What a request asks for; ``raw_query`` as on the wire, ``accept_values`` of all Accept headers.

    GET, HEAD and OPTIONS all give the resource, as for ``dicomweb_grammar.parse``.
    """
    if method not in METHODS:
        return problem("method-not-allowed").with_header("Allow", ", ".join(METHODS))
    try:
        return _read(_given(raw_query), accept_values)
    except ProblemError as refusal:
        return refusal.problem


def _given(raw_query: bytes) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in parameters(raw_query):
        if name in given or (name not in _NAMES and name.lower() in _IN_LOWER_CASE):
            raise ProblemError(problem("ambiguous-parameter"))
        given[name] = value
    if "annotation" in given and "imageAnnotation" in given:
        raise ProblemError(problem("ambiguous-parameter"))
    return given


def _read(given: dict[str, str], accept_values: Sequence[bytes]) -> UriRequest | Problem:
    if given.get("requestType") != "WADO":
        return problem("invalid-parameter")
    study, series, instance = (_uid(given, name) for name in ("studyUID", "seriesUID", "objectUID"))
    # What is refused is refused for files and pictures alike, and so is what is malformed
    if given.get("anonymize", "no") != "no" or any(name in given for name in _REFUSED):
        return problem("unsupported-parameter")
    frames = (int(_checked(given, "frameNumber", _FRAME)),) if "frameNumber" in given else ()
    syntax = _checked(given, "transferSyntax", _SYNTAX) if "transferSyntax" in given else ""
    query, viewport = _rendering(given), _viewport(given)
    media_type = _selected(given.get("contentType"), accept_values, syntax)
    if media_type is None:
        return problem("not-acceptable")
    if media_type.startswith(_DICOM):
        representation, frames, query, viewport = Representation.DICOM, (), (), None
    else:
        representation = Representation.RENDERED_FRAMES if frames else Representation.RENDERED
    uids = StudyUid(study), SeriesUid(series), InstanceUid(instance)
    asked = Retrieve(representation, *uids, frames, query=query, accept=media_type)
    chosen = negotiate(asked, ())
    return chosen if isinstance(chosen, Problem) else UriRequest(asked, chosen, viewport)


def _uid(given: dict[str, str], name: str) -> str:
    """§9.1.2.1: all three are required, though the object's alone would name it: a consent is about a study."""
    if name not in given:
        raise ProblemError(problem("invalid-parameter"))
    if len(given[name]) > MAX_UID_LENGTH or not _UID(given[name]):
        raise ProblemError(problem("invalid-uid"))
    return given[name]


def _selected(content_type: str | None, accept_values: Sequence[bytes], syntax: str) -> str | None:
    """What to negotiate for: the pictures wanted, the most wanted first, or a file in a transfer syntax; None where
    nothing satisfies.

    ``contentType`` stands in the place of the header. Who says nothing gets a picture, and a JPEG (§9.3). Who would
    rather have a file never gets a picture in its place, nor the other way: they are different transactions.
    """
    ranges = parse_accept(accept_values if content_type is None else (content_type.encode("utf-8"),)) or ()
    wanted: dict[str, MediaRange] = {}
    for media_range in ranges:
        for media_type in (*PICTURES, _DICOM):
            if media_range.weight and media_range.covers(media_type) and not refuses(ranges, media_type):
                wanted.setdefault(media_type, media_range)
    if not wanted:
        return None
    if next(iter(wanted)) == _DICOM:
        return _with_syntax(wanted[_DICOM].transfer_syntax, syntax)
    return ", ".join(media_type for media_type in wanted if media_type != _DICOM)


def _with_syntax(in_type: str, in_parameter: str) -> str:
    """§9.4.1.2.3: the parameter of the request, or that of the media type; never two that differ."""
    if in_type and in_parameter and in_type != in_parameter:
        raise ProblemError(problem("ambiguous-parameter"))
    syntax = in_parameter or in_type
    return f"{_DICOM}; transfer-syntax={syntax}" if syntax else _DICOM


def _checked(given: dict[str, str], name: str, fits: Callable[[str], object]) -> str:
    if not fits(given[name]):
        raise ProblemError(problem("invalid-parameter"))
    return given[name]


def _rendering(given: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """The parameters that WADO-RS has under another name (§8.3.5)."""
    query: list[tuple[str, str]] = []
    annotation = given.get("annotation", given.get("imageAnnotation"))
    if annotation is not None:
        query.append(("annotation", annotation))
    if "imageQuality" in given:
        query.append(("quality", given["imageQuality"]))
    if ("windowCenter" in given) != ("windowWidth" in given):  # §9.5.1.2.6: each requires the other
        raise ProblemError(problem("invalid-parameter"))
    if "windowCenter" in given:
        centre, width = _decimal(given["windowCenter"]), _decimal(given["windowWidth"])
        if width < 1:  # PS3.3 §C.11.2.1.2.1, of the linear function
            raise ProblemError(problem("invalid-parameter"))
        query.append(("window", f"{centre:f},{width:f},linear"))
    for name, value in query:
        if not RENDERING_PARAMETERS[name].fullmatch(value):
            raise ProblemError(problem("invalid-parameter"))
    return tuple(query)


def _decimal(text: str) -> Decimal:
    if len(text) > _MAX_DECIMAL or not _DECIMAL(text):
        raise ProblemError(problem("invalid-parameter"))
    return Decimal(text)


def _viewport(given: dict[str, str]) -> UriViewport | None:
    rows, columns = (int(_checked(given, name, _SIZE)) if name in given else None for name in ("rows", "columns"))
    region = _region(given["region"]) if "region" in given else EVERYTHING
    return None if (rows, columns, region) == (None, None, EVERYTHING) else UriViewport(rows, columns, region)


def _region(text: str) -> Region:
    """§9.5.1.2.5: four decimals from 0 to 1, the corner at the top left before the one at the bottom right."""
    parts = text.split(",")
    if len(parts) != 4:
        raise ProblemError(problem("invalid-parameter"))
    left, top, right, bottom = (float(_decimal(part)) for part in parts)
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ProblemError(problem("invalid-parameter"))
    return left, top, right, bottom
