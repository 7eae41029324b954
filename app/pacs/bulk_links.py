"""Where a PACS keeps a value that its metadata left out, when that is not where our link to it says.

PS3.18 leaves the form of a BulkDataURI to the archive. Ours names the element by its place in its instance; the
archive's own link for that place stands in the instance's metadata. It is followed only on the one origin that is
configured, and only to what lies below the instance, or below its study beside the series.
"""

import re
from urllib.parse import urljoin, urlsplit

from app.core.dicom.dicomweb import Retrieve
from app.pacs.origin import DicomJson

# What may stand in a target that is built from a link. No component is a dot segment or an escape.
_COMPONENTS = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")
_QUERY = re.compile(r"[A-Za-z0-9._~=&,:/-]{0,512}")
_MAX_PATH = 1024


def bulk_target(retrieve: Retrieve, metadata: DicomJson) -> bytes | None:
    """The request target of the bulk data in the archive's words, None where its metadata names none that may be
    followed.
    """
    uri = _element_at(metadata, retrieve.bulk_path).get("BulkDataURI")
    study = f"/studies/{retrieve.study}"
    instance = f"{study}/series/{retrieve.series}/instances/{retrieve.instance}"
    if not isinstance(uri, str) or not uri or not uri.isascii():
        return None
    try:
        link = urlsplit(urljoin(f"http://origin{instance}/metadata", uri))
    except ValueError:
        return None
    _, found, below = f"{link.path}/".partition(f"{study}/")
    path = f"{study}/{below}".rstrip("/")
    if not found or len(path) > _MAX_PATH or not _COMPONENTS.fullmatch(path) or not _QUERY.fullmatch(link.query):
        return None
    in_instance = path == instance or path.startswith(f"{instance}/")
    beside = path.count("/") > study.count("/") + 1 and not path.startswith(f"{study}/series/")
    if not in_instance and not beside:
        return None
    return f"{path}?{link.query}".encode() if link.query else path.encode()


def _element_at(dataset: DicomJson, place: tuple[str, ...]) -> DicomJson:
    """The element at a place (tags and item numbers from 1), empty where there is none."""
    for tag, number in zip(place[:-1:2], place[1::2], strict=True):
        element = dataset.get(tag.upper())
        items = element.get("Value") if isinstance(element, dict) else None
        if not isinstance(items, list) or not 0 < int(number) <= len(items):
            return {}
        dataset = items[int(number) - 1] or {}
        if not isinstance(dataset, dict):
            return {}
    element = dataset.get(place[-1].upper())
    return element if isinstance(element, dict) else {}
