"""Which pages of other origins may read answers here (the Fetch standard §3.2, "CORS protocol")."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

Headers = list[tuple[bytes, bytes]]

ANY: Final = b"*"
_METHODS: Final = b"GET, HEAD, POST, OPTIONS"
_REQUEST_HEADERS: Final = b"Accept, Accept-Encoding, Authorization, Content-Type, If-Range, Range"
# What a page may read of an answer beyond what any may (Fetch §2.2.2)
_EXPOSED: Final = (
    b"Accept-Ranges, Access-Record-Id, Allow, Content-Encoding, Content-Length, Content-Location, Content-Range, ETag, "
    b"Retry-After, Warning, WWW-Authenticate"
)
_MAX_AGE_S: Final = b"600"
_ORIGIN, _METHOD = b"origin", b"access-control-request-method"


@dataclass(frozen=True, slots=True)
class CorsRules:
    """``origins``: those whose pages may read, as a browser names them; ANY for every page, with a token of its own.
    ``credentials``: whether those pages may make use of the portal's cookie; never together with ANY.
    """

    origins: frozenset[bytes]
    credentials: bool = False

    def __post_init__(self) -> None:
        if self.credentials and ANY in self.origins:
            raise ValueError("any page could act for the user")

    def granted(self, headers: Iterable[tuple[bytes, bytes]]) -> Headers:
        """What to add to an answer, whatever it is; nothing that grants where the page may not read.

        ``Vary`` is for the caller, on every answer: also those without an Origin differ from those with one.
        """
        origin = _sole(headers, _ORIGIN)
        if origin is None or not (ANY in self.origins or origin in self.origins):
            return []
        granted = [
            (b"access-control-allow-origin", ANY if ANY in self.origins else origin),
            (b"access-control-expose-headers", _EXPOSED),
        ]
        return [*granted, (b"access-control-allow-credentials", b"true")] if self.credentials else granted

    def preflight(self, method: str, headers: Sequence[tuple[bytes, bytes]]) -> Headers | None:
        """The headers of the whole answer to a preflight, which carries no token and needs none. None: it is none, or
        of a page that may not ask, and is to be answered as any other request, with no grant in it.
        """
        if method != "OPTIONS" or _sole(headers, _METHOD) is None:
            return None
        granted = self.granted(headers)
        if not granted:
            return None
        return [
            *(header for header in granted if header[0] != b"access-control-expose-headers"),
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
            (b"access-control-max-age", _MAX_AGE_S),
        ]


def _sole(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    found = [value for key, value in headers if key == name]
    return found[0] if len(found) == 1 else None
