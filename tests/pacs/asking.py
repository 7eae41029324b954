"""How the tests ask an origin server, and how they read what it says: no code of the adapters is used for reading."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid
from app.pacs.origin import Origin, OriginAnswer

_T = TypeVar("_T")
_A = TypeVar("_A")

AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAMES_AS_STORED = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
FRAMES_DECODED = 'multipart/related; type="application/octet-stream"'
BULK = 'multipart/related; type="application/octet-stream"'
DICOM_JSON = "application/dicom+json"
_AT_ONCE = 6


def retrieval(
    representation: Representation, study: str, series: str | None = None, instance: str | None = None, **more: Any
) -> Retrieve:
    return Retrieve(
        representation,
        StudyUid(study),
        None if series is None else SeriesUid(series),
        None if instance is None else InstanceUid(instance),
        **more,
    )


async def body_of(answer: OriginAnswer) -> bytes:
    """The whole body; its length is what the answer said."""
    parts = []
    while data := await answer.body.read():
        parts.append(data)
    await answer.body.aclose()
    body = b"".join(parts)
    assert answer.content_length in (None, len(body))
    return body


async def fetched(origin: Origin, retrieve: Retrieve, accept: str) -> tuple[int, str, bytes]:
    """(status, content type, body)."""
    answer = await origin.retrieve(retrieve, accept)
    return answer.status, answer.content_type, await body_of(answer)


async def datasets(origin: Origin, retrieve: Retrieve) -> list[dict[str, Any]]:
    status, _, body = await fetched(origin, retrieve, DICOM_JSON)
    assert status == 200
    found: list[dict[str, Any]] = json.loads(body)
    return found


def parts_of(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """(content type, content) of each part, by the lengths that the parts give; by the delimiter where none does."""
    found = re.search(r'boundary="?([^";]+)', content_type)
    assert found is not None
    delimiter = b"--" + found.group(1).encode()
    if b"Content-Length:" not in body[: body.index(b"\r\n\r\n")]:
        heads = (part.partition(b"\r\n\r\n") for part in (b"\r\n" + body).split(b"\r\n" + delimiter)[1:-1])
        return [(re.findall(rb"Content-Type: ([^\r]*)", head)[0].decode(), content) for head, _, content in heads]
    parts, at = [], body.index(delimiter)
    while not body[at:].startswith(delimiter + b"--"):
        head, _, rest = body[at + len(delimiter) + 2 :].partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n"))
        length = int(fields[b"Content-Length"])
        parts.append((fields[b"Content-Type"].decode(), rest[:length]))
        assert rest[length : length + 2 + len(delimiter)] == b"\r\n" + delimiter
        at = len(body) - len(rest) + length + 2
    return parts


async def each(items: Iterable[_A], ask: Callable[[_A], Awaitable[_T]]) -> list[_T]:
    """Ask about every item, a few at a time; answers in the items' order."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(item: _A) -> _T:
        async with room:
            return await ask(item)

    return list(await asyncio.gather(*(one(item) for item in items)))
