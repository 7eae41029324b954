"""multipart/related written anew: the parts' bytes as they came, between heads of the gateway's own making.

Of an archive's part headers only Content-Type and Content-Location are read, and both are rebuilt from what they name.
"""

import re
from typing import Final

from app.core.dicom.dicomweb import Retrieve
from app.core.dicom.links import linked, path_of
from app.core.dicom.multipart import MultipartInvalidError, PartHead

# Archives write more behind the type than the grammar allows: only these two are taken, from wherever they stand.
_MEDIA_TYPE: Final = re.compile(rb"[ \t\"]*([A-Za-z]+/[A-Za-z0-9.+-]+)")
_TRANSFER_SYNTAX: Final = re.compile(rb";[ \t]*transfer-syntax=[ \t\"]*([0-9.]{1,64})(?![0-9.])", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"[0-9]{1,18}").fullmatch
_KNOWN_TYPES: Final = frozenset(
    {
        "application/dicom",
        "application/octet-stream",
        "image/jpeg",
        "image/dicom-rle",
        "image/jls",
        "image/jp2",
        "image/jpx",
        "image/jphc",
        "image/png",
        "image/gif",
        "video/mpeg",
        "video/mpeg2",
        "video/h265",
        "video/mp4",
    }
)


_ENVELOPES: Final = ("multipart/", "message/")
_CODINGS: Final = frozenset({b"content-encoding", b"content-transfer-encoding"})
_AS_IT_IS: Final = frozenset({b"identity", b"binary", b"8bit", b"7bit"})


class PartWriter:
    """Writes the frame of one multipart answer.

    ``boundary``: 1 to 70 characters of RFC 2046, of the caller's making. ``media_type``: the parts' type where the
    archive names none that may stand there. ``public_url``: as for links.
    """

    __slots__ = ("_asked", "_boundary", "_media_type", "_opening", "_public_url")

    def __init__(self, boundary: str, media_type: str, public_url: str, asked: Retrieve) -> None:
        self._asked = asked
        self._boundary = boundary
        self._media_type = media_type
        self._public_url = public_url
        self._opening = f"--{boundary}\r\n"

    @property
    def content_type(self) -> str:
        """The answer's Content-Type."""
        return f'multipart/related; type="{self._media_type}"; boundary={self._boundary}'

    def head(self, part: PartHead, located: Retrieve | None = None) -> bytes:
        """What stands before the part's content: the delimiter and the headers.

        ``located``: what the part is, where the gateway knows; else the archive's own word is taken, if it lies within
        what was asked for.
        """
        media_type, syntax = content_type_of(part, self._media_type)
        lines = [f"{self._opening}Content-Type: {media_type}" + (f"; transfer-syntax={syntax}" if syntax else "")]
        location = part.value(b"content-location")
        target = located if located is not None or location is None else self._own(location.decode("latin-1"))
        if target is not None:
            lines.append(f"Content-Location: {self._public_url}{path_of(target)}")
        self._opening = f"\r\n--{self._boundary}\r\n"
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _own(self, location: str) -> Retrieve | None:
        target, asked = linked(location, path_of(self._asked)), self._asked
        if target is None or target.study != asked.study:
            return None
        within = asked.series in (None, target.series) and asked.instance in (None, target.instance)
        return target if within else None

    def end(self) -> bytes:
        """What closes the body. Written only once the archive's own body has proved whole."""
        return f"\r\n--{self._boundary}--\r\n".encode("latin-1")


def length_of(part: PartHead) -> int | None:
    """The length in bytes that a part says it has, None where it says none. Raises MultipartInvalidError for two."""
    value = part.value(b"content-length")
    return int(value) if value is not None and _LENGTH(value) else None


def content_type_of(part: PartHead, otherwise: str) -> tuple[str, str]:
    """The media type and transfer syntax of a part: ``otherwise`` for a type that DICOMweb does not know, "" for none.

    Raises MultipartInvalidError for two Content-Types, for parts within a part, whose heads nobody here would make
    anew, and for content that is not as it is.
    """
    value = part.value(b"content-type") or b""
    found = _MEDIA_TYPE.match(value)
    media_type = found[1].decode("ascii").lower() if found else otherwise
    if media_type.startswith(_ENVELOPES):
        raise MultipartInvalidError("parts within a part")
    if any(name in _CODINGS and coding.lower() not in _AS_IT_IS for name, coding in part.headers):
        raise MultipartInvalidError("a coded part")
    syntax = _TRANSFER_SYNTAX.search(value)
    return media_type if media_type in _KNOWN_TYPES else otherwise, syntax[1].decode("ascii") if syntax else ""
