"""Data sets as the body of an answer: one JSON array, or a part of XML for each (PS3.18 §8.7.3.2, §10.4.4 note 1)."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from app.core.dicom.dicomjson import DicomJson
from app.core.dicom.native_model import native_model
from app.core.dicom.negotiation import XML, Chosen

_LONE: Final = re.compile("[\ud800-\udfff]")
# Made once: json.dumps makes an encoder for each call that is not plain. What was read from JSON holds no circle.
_encoded: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class DatasetWriting:
    """How data sets are written. ``one`` writes one of them, ``whole`` makes the body of what ``one`` wrote."""

    content_type: str
    one: Callable[[DicomJson], bytes]
    whole: Callable[[Sequence[bytes]], bytes]


def writing_of(chosen: Chosen, boundary: str) -> DatasetWriting:
    """The writing that was negotiated. ``boundary``: of the caller's making, for a body of parts.

    A body of parts has at least one (RFC 2046 §5.1.1): what ``whole`` makes of none is empty, and no body at all.
    """
    if chosen.media_type != XML:
        return DatasetWriting(chosen.media_type, _json, lambda written: b"[" + b",".join(written) + b"]")
    if not chosen.multipart:
        return DatasetWriting(XML, _xml, b"".join)
    head = f"--{boundary}\r\nContent-Type: {XML}\r\n\r\n".encode("ascii")
    end = f"--{boundary}--\r\n".encode("ascii")

    def parts(written: Sequence[bytes]) -> bytes:
        return b"".join(head + one + b"\r\n" for one in written) + end if written else b""

    return DatasetWriting(f'multipart/related; type="{XML}"; boundary={boundary}', _xml, parts)


def _json(dataset: DicomJson) -> bytes:
    text = _encoded(dataset)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # half of a pair, which an escape of the archive's may hide: UTF-8 has none
        return _LONE.sub("\ufffd", text).encode("utf-8")


def _xml(dataset: DicomJson) -> bytes:
    return "".join(native_model(dataset)).encode("utf-8")
