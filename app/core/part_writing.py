"""multipart/related written anew: the parts' bytes as they came, between heads of the gateway's own making.

Of an archive's part headers only Content-Type and Content-Location are read, and both are rebuilt from what they name.
"""

import re
from typing import Final

from app.core.links import mapped_link
from app.core.multipart import PartHead

# Archives write more behind the type than the grammar allows: only these two are taken, from wherever they stand.
_MEDIA_TYPE: Final = re.compile(rb"[ \t\"]*([A-Za-z]+/[A-Za-z0-9.+-]+)")
_TRANSFER_SYNTAX: Final = re.compile(rb";[ \t]*transfer-syntax=[ \t\"]*([0-9.]{1,64})(?![0-9.])", re.IGNORECASE)
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
        "video/mpeg",
        "video/mp4",
    }
)


class PartWriter:
    """Writes the frame of one multipart answer.

    ``boundary``: 1 to 70 characters of RFC 2046, of the caller's making. ``media_type``: the parts' type where the
    archive names none that may stand there. ``public_url``: as for links.
    """

    __slots__ = ("_boundary", "_media_type", "_opening", "_public_url")

    def __init__(self, boundary: str, media_type: str, public_url: str) -> None:
        self._boundary = boundary
        self._media_type = media_type
        self._public_url = public_url
        self._opening = f"--{boundary}\r\n"

    @property
    def content_type(self) -> str:
        """The answer's Content-Type."""
        return f'multipart/related; type="{self._media_type}"; boundary={self._boundary}'

    def head(self, part: PartHead) -> bytes:
        """What stands before the part's content: the delimiter and the headers."""
        media_type, syntax = content_type_of(part, self._media_type)
        lines = [f"{self._opening}Content-Type: {media_type}" + (f"; transfer-syntax={syntax}" if syntax else "")]
        location = part.value(b"content-location")
        link = None if location is None else mapped_link(location.decode("latin-1"), self._public_url)
        if link is not None:
            lines.append(f"Content-Location: {link}")
        self._opening = f"\r\n--{self._boundary}\r\n"
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def end(self) -> bytes:
        """What closes the body. Written only once the archive's own body has proved whole."""
        return f"\r\n--{self._boundary}--\r\n".encode("latin-1")


def content_type_of(part: PartHead, otherwise: str) -> tuple[str, str]:
    """The media type and transfer syntax of a part: ``otherwise`` for a type that DICOMweb does not know, "" for none.

    Raises MultipartInvalidError for two Content-Types.
    """
    value = part.value(b"content-type") or b""
    found = _MEDIA_TYPE.match(value)
    media_type = found[1].decode("ascii").lower() if found else otherwise
    syntax = _TRANSFER_SYNTAX.search(value)
    return media_type if media_type in _KNOWN_TYPES else otherwise, syntax[1].decode("ascii") if syntax else ""
