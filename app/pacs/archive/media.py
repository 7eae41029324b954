"""What an Accept of one media type asks of the archive, and what its stored forms are called (PS3.18 §8.7.3)."""

import re
from dataclasses import dataclass

EXPLICIT_LE = "1.2.840.10008.1.2.1"
OCTET_STREAM = "application/octet-stream"

_PARAMETER = re.compile(r';\s*([a-z\-]+)\s*=\s*(?:"([^"]*)"|([^\s;"]*))', re.IGNORECASE)

# Media types of encapsulated pixel data by transfer syntax (PS3.18 Tables 8.7.3-2 to 8.7.3-5).
_COMPRESSED = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.100": "video/mpeg2",
    "1.2.840.10008.1.2.4.101": "video/mpeg2",
    "1.2.840.10008.1.2.4.102": "video/mp4",
    "1.2.840.10008.1.2.4.103": "video/mp4",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
}
_NATIVE = frozenset({"1.2.840.10008.1.2", EXPLICIT_LE, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """One media type in lower case. ``kind``: its parts' type where it is multipart. ``syntax`` None: not said."""

    multipart: bool
    kind: str
    syntax: str | None


def wanted(accept: str) -> Wanted:
    """Read the one media type that the gateway has negotiated. A bare ``*/*`` stands for multipart of anything."""
    essence = accept.split(";", 1)[0].strip().lower()
    parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(accept)}
    syntax = parameters.get("transfer-syntax")
    if essence == "*/*":
        return Wanted(multipart=True, kind="*/*", syntax=syntax or "*")
    if essence != "multipart/related":
        return Wanted(multipart=False, kind=essence, syntax=syntax)
    return Wanted(multipart=True, kind=parameters.get("type", "*/*").split(";", 1)[0].strip().lower(), syntax=syntax)


def native(transfer_syntax: str) -> bool:
    """Whether pixel data in this syntax is not encapsulated."""
    return transfer_syntax in _NATIVE


def stored_type(transfer_syntax: str) -> str:
    """The media type of a frame as stored; octet-stream for native and for syntaxes not listed."""
    return _COMPRESSED.get(transfer_syntax, OCTET_STREAM)
