"""What an answer is made of: the media types a user agent accepts against what can be had (PS3.18 §8.7).

The archive is always asked in the form that archives understand best, a multipart answer of one named type; where a
user agent wants a single part, the gateway takes it out of its envelope.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Final

from app.core.accept import MediaRange, parse_accept
from app.core.dicomweb import Level, Representation, Retrieve, Search
from app.core.problem import Problem, problem

_MULTIPART: Final = "multipart/related"
_DICOM: Final = "application/dicom"
_OCTETS: Final = "application/octet-stream"
_JSON: Final = "application/dicom+json"

# PS3.18 Tables 8.7.3-4 and 8.7.3-5: the compressed pixel data types, each with its default transfer syntax.
_COMPRESSED: Final[dict[str, str]] = {
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jpx": "1.2.840.10008.1.2.4.92",
    "image/jphc": "1.2.840.10008.1.2.4.201",
}
_FRAME_TYPES: Final = (_OCTETS, *_COMPRESSED)
# What each representation can be had as, the most usual first.
_TYPES: Final[dict[Representation, tuple[str, ...]]] = {
    Representation.METADATA: (_JSON, "application/json"),
    Representation.RENDERED: ("image/jpeg", "image/png"),
    Representation.RENDERED_FRAMES: ("image/jpeg", "image/png"),
    Representation.DICOM: (_DICOM,),
    Representation.BULKDATA: (_OCTETS,),
    Representation.FRAMES: _FRAME_TYPES,
}
# Those that come bare; the others come in parts.
_BARE: Final = frozenset({Representation.METADATA, Representation.RENDERED, Representation.RENDERED_FRAMES})
_ANY: Final = "*"
_MANY_SYNTAXES: Final = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """The outcome of a negotiation.

    ``upstream``: the one Accept value to ask the archive with. ``media_type``: what the answer is made of: its own
    type, or that of each part when ``multipart``, which makes it ``multipart/related; type="<media_type>"``.
    """

    upstream: str
    media_type: str
    multipart: bool

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
    if isinstance(target, Search):
        representation, single = Representation.METADATA, True
    else:
        representation = target.representation
        single = target.level is Level.INSTANCE and not target.frames[1:]
    return _negotiated(representation, tuple(accept_values), single=single)


@lru_cache(maxsize=1024)
def _negotiated(representation: Representation, accept_values: tuple[bytes, ...], *, single: bool) -> Chosen | Problem:
    ranges = parse_accept(accept_values)
    if ranges is None:
        return problem("not-acceptable")
    offers = _offers(representation, single=single)
    refused = [one for one in ranges if one.weight == 0]
    wanted = [one for one in ranges if one.weight]
    for media_range in wanted:
        for offer in offers:
            if _takes(media_range, offer) and not any(_names(one, offer) for one in refused):
                return _chosen(representation, offer, media_range, wanted)
    return problem("not-acceptable")


def _offers(representation: Representation, *, single: bool) -> Iterable[_Offer]:
    """What can be had, in the order of preference among what one range takes."""
    types = _TYPES[representation]
    if representation in _BARE:
        return [_Offer(media_type, multipart=False) for media_type in types]
    enveloped = [_Offer(media_type, multipart=True) for media_type in types]
    return chain(enveloped, (_Offer(one.media_type, multipart=False) for one in enveloped if single))


def _takes(media_range: MediaRange, offer: _Offer) -> bool:
    """Whether the range covers the offer. In an envelope, ``type`` says what of; without it, anything."""
    wanted = media_range.media_type
    if wanted == "*/*":
        return True
    if offer.multipart:
        return wanted in (_MULTIPART, "multipart/*") and media_range.type in ("", "*/*", offer.media_type)
    return wanted == offer.media_type or wanted == f"{offer.media_type.partition('/')[0]}/*"


def _names(media_range: MediaRange, offer: _Offer) -> bool:
    """Whether the range means just this offer, rather than a family that it belongs to."""
    if offer.multipart:
        return media_range.media_type == _MULTIPART and media_range.type == offer.media_type
    return media_range.media_type == offer.media_type


def _chosen(
    representation: Representation, offer: _Offer, media_range: MediaRange, wanted: Sequence[MediaRange]
) -> Chosen:
    if representation in _BARE:
        upstream = _JSON if representation is Representation.METADATA else offer.media_type
        return Chosen(upstream, offer.media_type, multipart=False)
    media_type, syntax = offer.media_type, ""
    if representation is not Representation.BULKDATA:
        # Who names no type, as dicomweb-client asks for frames, takes it as it is stored
        syntax = media_range.transfer_syntax or (_ANY if _is_vague(media_range) else "")
    if representation is Representation.FRAMES and _takes_most(wanted):
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
