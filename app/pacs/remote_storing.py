"""Storing in a DICOMweb archive elsewhere (PS3.18 §10.5): one instance a request, and what the archive says of it."""

import json
import secrets
from collections.abc import AsyncGenerator
from typing import Any

from app.core.dicom.storing import FailureReason, InstanceName, Refused, Result, Stored, warning_of
from app.pacs.bodies import read_all
from app.pacs.http_client import RequestBody
from app.pacs.http_connection import HttpAnswer
from app.pacs.origin import InstanceContent, OriginInvalidError

_ANSWER_BYTES = 1024 * 1024
_INSTANCE_UID, _WARNING, _FAILURE = "00081155", "00081196", "00081197"
_STORED, _FAILED = "00081199", "00081198"
_ANSWERED = frozenset({200, 202, 409})
# RFC 9110 §15.5.14, RFC 4918 §11.5: the archive is full, or takes nothing so large.
_FULL = frozenset({413, 507})


def request_body(content: InstanceContent) -> RequestBody:
    """The file as the one part of a multipart body of known length."""
    boundary = secrets.token_hex(16)
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
    tail = f"\r\n--{boundary}--\r\n".encode("ascii")

    async def pieces() -> AsyncGenerator[bytes]:
        yield head
        async for piece in content.pieces():
            yield piece
        yield tail

    content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'.encode("ascii")
    return RequestBody(content_type, len(head) + content.length + len(tail), pieces)


async def result_of(name: InstanceName, answer: HttpAnswer) -> Result:
    """What the archive says became of the instance; nothing of its words or links is kept.

    Raises OriginInvalidError for an answer that does not say.
    """
    body = await read_all(answer, _ANSWER_BYTES)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise OriginInvalidError("the archive's answer to a store is not JSON") from None
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    stored, failed = _item(document, _STORED, name), _item(document, _FAILED, name)
    if failed is not None:
        return Refused(name, reason_of(_value(failed, _FAILURE)))
    if stored is None or answer.status == 409:
        raise OriginInvalidError("the archive's answer to a store does not say what became of it")
    return Stored(name, warning_of(_value(stored, _WARNING)))


def is_answered(status: int) -> bool:
    """Whether an answer of this status says what became of the instance."""
    return status in _ANSWERED


def refused_by(name: InstanceName, status: int) -> Refused:
    """What a refusal of the whole request means."""
    return Refused(name, FailureReason.OUT_OF_RESOURCES if status in _FULL else FailureReason.PROCESSING)


def reason_of(value: object) -> FailureReason:
    """An archive's Failure Reason in our words: the standard's families of codes, and "processing" for all others."""
    number = value if isinstance(value, int) else 0
    family = {0xA700: FailureReason.OUT_OF_RESOURCES, 0xA900: FailureReason.OTHER_CLASS}.get(number & 0xFF00)
    if family is not None:
        return family
    if number in (FailureReason.UNKNOWN_CLASS, FailureReason.UNKNOWN_SYNTAX):
        return FailureReason(number)
    return FailureReason.NOT_UNDERSTOOD if number & 0xF000 == 0xC000 else FailureReason.PROCESSING


def _item(document: object, tag: str, name: InstanceName) -> dict[str, Any] | None:
    """The sequence's item about the instance."""
    element = document.get(tag) if isinstance(document, dict) else None
    items = element.get("Value") if isinstance(element, dict) else None
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and _value(item, _INSTANCE_UID) == name.instance:
            return item
    return None


def _value(item: dict[str, Any], tag: str) -> object:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and len(values) == 1 else None
