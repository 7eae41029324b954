"""What an answer is made of: the media types a user agent accepts against what can be had (PS3.18 §8.7).

The archive is always asked in the form that archives understand best, a multipart answer of one named type; where a
user agent wants a single part, the gateway takes it out of its envelope.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from app.core.dicom.dicomweb import Level, Representation, Retrieve, Search
from app.core.http.accept import MediaRange, parse_accept, refuses
from app.core.http.problem import Problem, problem

_MULTIPART: Final = "multipart/related"
_DICOM: Final = "application/dicom"
_OCTETS: Final = "application/octet-stream"
_JSON: Final = "application/dicom+json"
XML: Final = "application/dicom+xml"

# PS3.18 Tables 8.7.3-4 and 8.7.3-5: the compressed pixel data types, each with its default transfer syntax.
_COMPRESSED: Final[dict[str, str]] = {
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jpx": "1.2.840.10008.1.2.4.92",
    "image/jphc": "1.2.840.10008.1.2.4.201",
    "video/mpeg2": "1.2.840.10008.1.2.4.100",
    "video/mp4": "1.2.840.10008.1.2.4.102",
    "video/h265": "1.2.840.10008.1.2.4.107",
}
_FRAME_TYPES: Final = (_OCTETS, *_COMPRESSED)
# PS3.18 Table 8.7.4-1, of which the moving and the written ones are not made here.
PICTURES: Final = ("image/jpeg", "image/png", "image/gif", "image/jp2")
# What each representation can be had as, the most usual first.
_TYPES: Final[dict[Representation, tuple[str, ...]]] = {
    Representation.METADATA: (_JSON, "application/json"),
    Representation.RENDERED: PICTURES,
    Representation.RENDERED_FRAMES: PICTURES,
    Representation.THUMBNAIL: PICTURES,
    Representation.THUMBNAIL_FRAMES: PICTURES,
    Representation.DICOM: (_DICOM,),
    Representation.BULKDATA: (_OCTETS,),
    Representation.ALL_BULKDATA: (_OCTETS,),
    Representation.FRAMES: _FRAME_TYPES,
    Representation.PIXELDATA: _FRAME_TYPES,
}
_THUMBNAILS: Final = frozenset({Representation.THUMBNAIL, Representation.THUMBNAIL_FRAMES})
# The archive is asked for these bare: a picture, or JSON.
_BARE: Final = _THUMBNAILS | {Representation.METADATA, Representation.RENDERED, Representation.RENDERED_FRAMES}
# One picture stands for whatever the resource holds; in an envelope come the pictures of all of it.
_SHOWN_BY_ONE: Final = _THUMBNAILS | {Representation.RENDERED}
_FRAMED: Final = frozenset({Representation.FRAMES, Representation.PIXELDATA})
_BULK: Final = frozenset({Representation.BULKDATA, Representation.ALL_BULKDATA})
_NEVER_ALONE: Final = frozenset({Representation.PIXELDATA, Representation.ALL_BULKDATA})
_ANY: Final = "*"
_MANY_SYNTAXES: Final = 3
# How often the archive is asked before a user agent is told that nothing it takes can be had.
_MOST_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """The outcome of a negotiation.

    ``upstream``: the one Accept value to ask the archive with. ``media_type``: what the answer is made of: its own
    type, or that of each part when ``multipart``, which makes it ``multipart/related; type="<media_type>"``.
    ``others``: what the user agent would take in its place, most wanted first, where the archive cannot give this.
    """

    upstream: str
    media_type: str
    multipart: bool
    others: "tuple[Chosen, ...]" = field(default=(), compare=False)

    @property
    def unwraps(self) -> bool:
        """Whether the one part of a multipart answer of the archive becomes the body of this one."""
        return not self.multipart and self.upstream.startswith(_MULTIPART)


@dataclass(frozen=True, slots=True)
class _Offer:
    """One thing that can be had: a media type, in a multipart envelope or bare."""

    media_type: str
    multipart: bool


def negotiate(target: Retrieve | Search, accept_values: Sequence[bytes]) -> Chosen | Problem:
    """What to answer with, or not-acceptable.

    ``accept_values`` are the values of all Accept headers; the ``accept`` query parameter, where given, stands in their
    place (PS3.18 §8.3.3.1).
    """
    if target.accept is not None:
        accept_values = (target.accept.encode("utf-8"),)
    representation, single = _resource(target)
    return _negotiated(representation, tuple(accept_values), single=single)


def media_types_of(target: Retrieve | Search) -> list[str]:
    """Every media type that may be chosen for the target, the default first, as an Accept header would name it."""
    representation, single = _resource(target)
    offers = _offers(representation, single=single)
    return [f'{_MULTIPART}; type="{one.media_type}"' if one.multipart else one.media_type for one in offers]


def _resource(target: Retrieve | Search) -> tuple[Representation, bool]:
    """What is to be represented, and whether it is a single thing that may come without an envelope."""
    if isinstance(target, Search):
        return Representation.METADATA, False
    is_single = target.level is Level.INSTANCE and not target.frames[1:]
    return target.representation, is_single or target.representation in _SHOWN_BY_ONE


@lru_cache(maxsize=1024)
def _negotiated(representation: Representation, accept_values: tuple[bytes, ...], *, single: bool) -> Chosen | Problem:
    ranges = parse_accept(accept_values)
    if ranges is None:
        return problem("not-acceptable")
    offers = _offers(representation, single=single)
    wanted = [one for one in ranges if one.weight]
    acceptable = [
        _chosen(representation, offer, media_range, wanted)
        for media_range in wanted
        for offer in offers
        if _takes(media_range, offer) and not _is_refused(offer, ranges)
    ]
    if not acceptable:
        return problem("not-acceptable")
    # To be asked again in the same words would not change the archive's answer.
    by_words: dict[str, Chosen] = {}
    for one in acceptable:
        by_words.setdefault(one.upstream, one)
    first, *others = list(by_words.values())[:_MOST_TRIES]
    return replace(first, others=tuple(others))


def _offers(representation: Representation, *, single: bool) -> Sequence[_Offer]:
    """What can be had, in the order of preference among what one range takes."""
    types = _TYPES[representation]
    bare = [_Offer(media_type, multipart=False) for media_type in types]
    if representation is Representation.METADATA:
        return [*bare, *_xml_offers(single=single)]
    if representation in _THUMBNAILS:
        return bare
    enveloped = [_Offer(media_type, multipart=True) for media_type in types]
    if representation in _NEVER_ALONE or not single:
        return enveloped
    return [*bare, *enveloped] if representation in _BARE else [*enveloped, *bare]


def _xml_offers(*, single: bool) -> Sequence[_Offer]:
    """PS3.18 Table 10.4.4-1: a part for each data set. A single one may come without its envelope, as bulk data may."""
    return (_Offer(XML, multipart=True), _Offer(XML, multipart=False))[: 1 + single]


def _takes(media_range: MediaRange, offer: _Offer) -> bool:
    """Whether the range covers the offer. In an envelope, ``type`` says what of; without it, anything."""
    wanted = media_range.media_type
    if offer.multipart and wanted != "*/*":
        return wanted in (_MULTIPART, "multipart/*") and media_range.type in ("", "*/*", offer.media_type)
    return media_range.covers(offer.media_type)


def _is_refused(offer: _Offer, ranges: Sequence[MediaRange]) -> bool:
    """Whether the offer is refused by name, though some range may take it. An envelope is refused for what is in it."""
    if not offer.multipart:
        return refuses(ranges, offer.media_type)
    return any(one.weight == 0 and one.media_type == _MULTIPART and one.type == offer.media_type for one in ranges)


def _chosen(
    representation: Representation, offer: _Offer, media_range: MediaRange, wanted: Sequence[MediaRange]
) -> Chosen:
    if representation in _BARE:
        upstream = _JSON if representation is Representation.METADATA else offer.media_type
        return Chosen(upstream, offer.media_type, offer.multipart)
    media_type, syntax = offer.media_type, ""
    if representation not in _BULK:
        # Who names no type, as dicomweb-client asks for frames, takes it as it is stored
        syntax = media_range.transfer_syntax or (_ANY if _is_vague(media_range) else "")
    if representation in _FRAMED and _takes_most(wanted):
        media_type, syntax = _OCTETS, _ANY
    upstream = f'{_MULTIPART}; type="{media_type}"' + (f"; transfer-syntax={syntax}" if syntax else "")
    return Chosen(upstream, media_type, offer.multipart)


def _is_vague(media_range: MediaRange) -> bool:
    return "*" in media_range.media_type or (media_range.media_type == _MULTIPART and media_range.type in ("", "*/*"))


def _takes_most(wanted: Sequence[MediaRange]) -> bool:
    """Whether frames in any transfer syntax will do: one range says so, or, as of whole-slide viewers, a list of all
    that the viewer decodes. Asking for frames as stored then spares a transcoding, and is what archives do best.
    """
    syntaxes = {
        one.transfer_syntax or _COMPRESSED.get(one.type or one.media_type, "")
        for one in wanted
        if one.type in _FRAME_TYPES or one.media_type in _FRAME_TYPES
    }
    return _ANY in syntaxes or len(syntaxes) >= _MANY_SYNTAXES
