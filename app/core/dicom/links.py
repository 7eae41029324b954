"""Links of the archive turned into links of the gateway: parsed, and rebuilt from what was parsed; else dropped.

Nothing of the archive's own URL is copied, so that no host, path or parameter of it shows.
"""

import re
from posixpath import dirname, join, normpath
from typing import Final

from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.dicom.dicomweb_grammar import parse

_ROOT: Final = "/studies/"
# A path without a scheme, a host, a query or a slash in front.
_RELATIVE: Final = re.compile(r"(?!/)[A-Za-z0-9./-]+").fullmatch

_SUFFIXES: Final[dict[Representation, str]] = {
    Representation.DICOM: "",
    Representation.METADATA: "/metadata",
    Representation.FRAMES: "/frames/{frames}",
    Representation.RENDERED: "/rendered",
    Representation.RENDERED_FRAMES: "/frames/{frames}/rendered",
    Representation.THUMBNAIL: "/thumbnail",
    Representation.THUMBNAIL_FRAMES: "/frames/{frames}/thumbnail",
    Representation.PIXELDATA: "/pixeldata",
    Representation.BULKDATA: "/{word}/{bulk}",
    Representation.ALL_BULKDATA: "/bulkdata",
}


def path_of(target: Retrieve) -> str:
    """The path of a retrieval below the mount point, without its query: parse() of it gives the target back."""
    path = _ROOT + target.study
    if target.series is not None:
        path += f"/series/{target.series}"
    if target.instance is not None:
        path += f"/instances/{target.instance}"
    frames, bulk = ",".join(map(str, target.frames)), "/".join(target.bulk_path)
    return path + _SUFFIXES[target.representation].format(frames=frames, bulk=bulk, word=target.bulk_word)


def linked(url: str, base: str = "") -> Retrieve | None:
    """What the archive's link names, None where that is nothing this grammar can name.

    ``base``: the path of the retrieval that the link came with, which a relative one starts from (RFC 3986 §5).
    """
    if base and _RELATIVE(url):
        url = normpath(join(dirname(base), url))
    at = url.rfind(_ROOT)
    if at < 0 or not url.isascii():
        return None
    target = parse("GET", url[at:].encode("ascii"), b"")
    return target if isinstance(target, Retrieve) else None


def mapped_link(url: str, public_url: str, base: str = "") -> str | None:
    """The gateway's link to what the archive's link names, None where that is nothing.

    ``public_url`` is the gateway's DICOMweb root as clients reach it, without a slash at the end.
    """
    target = linked(url, base)
    return None if target is None else public_url + path_of(target)
