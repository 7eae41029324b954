"""The Accept grammar (RFC 9110 §12.5.1, PS3.18 §8.7.5): media ranges with parameters and weights."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TCHARS: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_RANGE: Final = re.compile(rf"[ \t]*({_TCHARS})/({_TCHARS})[ \t]*")
# Values are tokens or quoted; viewers also write media types and "*" without quotes.
_PARAMETER: Final = re.compile(rf';[ \t]*(?:({_TCHARS})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))[ \t]*)?')
# Java's own client writes ``.2``.
_WEIGHT: Final = re.compile(r"0?\.[0-9]{1,3}|0\.?|1(?:\.0{0,3})?")
# One word where a range should stand, which that client writes too ("*; q=.2"): it names no type that there is.
_WORD: Final = re.compile(rf"{_TCHARS}[ \t]*(?:;[^,\"]*)?(?=,|$)")
_SYNTAX: Final = re.compile(r"\*|[0-9.]{0,64}")
_ESCAPED: Final = re.compile(r"\\(.)")

MAX_ACCEPT_BYTES: Final = 8192
MAX_RANGES: Final = 64


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One media range, in lower case. ``type`` and ``transfer_syntax`` are the parameters so named, "" when absent.

    ``weight`` is in thousandths: 0 refuses.
    """

    media_type: str
    type: str
    transfer_syntax: str
    weight: int

    def covers(self, media_type: str) -> bool:
        """Whether a bare answer of this type is within the range."""
        return self.media_type in ("*/*", media_type, f"{media_type.partition('/')[0]}/*")


def parse_accept(values: Sequence[bytes]) -> list[MediaRange] | None:
    """The ranges of all the Accept values, heaviest first, as written among equals. None where a value is malformed, or
    has words that are no ranges and nothing else.

    No value, or only empty ones, accepts anything (RFC 9110 §12.5.1).
    """
    if sum(map(len, values)) > MAX_ACCEPT_BYTES:
        return None
    text = ",".join(value.decode("latin-1") for value in values)
    ranges: list[MediaRange] = []
    at = words = 0
    while at < len(text):
        if text[at] in ", \t":
            at += 1
            continue
        if word := _WORD.match(text, at):
            words, at = words + 1, word.end()
            continue
        found = _read_range(text, at)
        if found is None or len(ranges) == MAX_RANGES:
            return None
        media_range, at = found
        if at < len(text) and text[at] != ",":
            return None
        ranges.append(media_range)
    if not ranges:
        return None if words else [MediaRange("*/*", "", "", 1000)]
    return sorted(ranges, key=lambda one: -one.weight)


def refuses(ranges: Sequence[MediaRange], media_type: str) -> bool:
    """Whether the range closest to the type has no weight (RFC 9110 §12.5.1): the type itself speaks before its family,
    and the family before all of them.
    """
    covering = [one for one in ranges if one.covers(media_type)]
    closest = min(covering, key=lambda one: (one.media_type.count("*"), one.weight), default=None)
    return closest is not None and closest.weight == 0


def _read_range(text: str, at: int) -> tuple[MediaRange, int] | None:
    """The range that starts there, and where it ends."""
    head = _RANGE.match(text, at)
    if head is None:
        return None
    at = head.end()
    parameters: dict[str, str] = {}
    while parameter := _PARAMETER.match(text, at):
        at = parameter.end()
        name, quoted, plain = parameter.groups()
        if name is not None and name.lower() in parameters:
            return None
        if name is not None:
            parameters[name.lower()] = _ESCAPED.sub(r"\1", quoted) if plain is None else plain
    weight, syntax = parameters.get("q", "1"), parameters.get("transfer-syntax", "")
    if not (_WEIGHT.fullmatch(weight) and _SYNTAX.fullmatch(syntax)):
        return None
    media_range = MediaRange(
        f"{head[1]}/{head[2]}".lower(),
        parameters.get("type", "").lower(),
        syntax,
        round(float(weight) * 1000),
    )
    return media_range, at
