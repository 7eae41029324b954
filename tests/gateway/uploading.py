"""Uploads as clients send them: multipart bodies in pieces, and a client that may leave."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

from pydicom import dcmread, dcmwrite

from app.core.consent.basis import role_id
from app.core.consent.events import RoleSet
from app.core.consent.terms import Role
from app.core.identifiers import Address, InstanceUid, SeriesUid, StudyUid, Subject
from tests.gateway.memory_origin import Stored
from tests.gateway.world import ALWAYS, Reply, World

UPLOADER = Address(b"\x55" * 20)
BOUNDARY = b"upload-boundary"
CONTENT_TYPE = 'multipart/related; type="application/dicom"; boundary="upload-boundary"'
RETRIEVE_URL, FAILED, STORED, OTHERS = "00081190", "00081198", "00081199", "0008119A"


def may_upload(world: World, actor: Address = UPLOADER) -> None:
    world.happens(RoleSet(role_id(Role.UPLOADER), actor, ALWAYS))


def taken(subject: Subject, study: str, number: int = 1, *, series: str = "", canary: str = "") -> Stored:
    """An image that a device has just made."""
    series = series or f"{study}.7"
    return Stored(
        subject,
        StudyUid(study),
        SeriesUid(series),
        InstanceUid(f"{series}.{number}"),
        canary or f"new-{subject.patient_id}-{number}",
    )


def changed(file: bytes, **values: Any) -> bytes:
    """The file with other values; None takes the element out."""
    dataset = dcmread(BytesIO(file))
    for keyword, value in values.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    buffer = BytesIO()
    dcmwrite(buffer, dataset)
    return buffer.getvalue()


def envelope(*files: bytes, head: bytes = b"Content-Type: application/dicom\r\n", end: bytes = b"--\r\n") -> bytes:
    parts = [b"--" + BOUNDARY + b"\r\n" + head + b"\r\n" + file + b"\r\n" for file in files]
    return b"".join(parts) + b"--" + BOUNDARY + end


def in_pieces(body: bytes, rng: random.Random, most: int) -> list[bytes]:
    pieces, at = [], 0
    while at < len(body):
        step = rng.randint(1, most)
        pieces.append(body[at : at + step])
        at += step
    return pieces


class Client:
    """One request with a body. ``read``: pieces that were asked for; ``leaves``: instead of sending the rest."""

    def __init__(self, world: World, pieces: Sequence[bytes], *, leaves: bool = False) -> None:
        self._world = world
        self._pieces = list(pieces)
        self._leaves = leaves
        self.read = 0
        self.reply = Reply()

    async def post(
        self,
        token: str | None,
        target: str = "/studies",
        *more: tuple[str, str],
        content_type: str | None = CONTENT_TYPE,
    ) -> Reply:
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in more]
        if content_type is not None:
            headers.append((b"content-type", content_type.encode()))
        if token is not None:
            headers.append((b"authorization", b"Bearer " + token.encode()))
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": "POST",
            "raw_path": b"/dicom-web" + path.encode(),
            "path": "/dicom-web" + path,
            "query_string": query.encode(),
            "headers": headers,
        }
        await self._world.dicomweb(scope, self._receive, self._send)
        return self.reply

    async def _receive(self) -> Any:
        await asyncio.sleep(0)
        if self.read < len(self._pieces):
            self.read += 1
            more = self.read < len(self._pieces) or self._leaves
            return {"type": "http.request", "body": self._pieces[self.read - 1], "more_body": more}
        if not self._leaves:
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        assert not self.reply.complete
        if message["type"] == "http.response.start":
            self.reply.status, self.reply.headers = message["status"], list(message["headers"])
        else:
            self.reply.body += message.get("body", b"")
            self.reply.complete = not message.get("more_body", False)


async def upload(world: World, token: str | None, *files: bytes, target: str = "/studies") -> Reply:
    return await Client(world, [envelope(*files)]).post(token, target)


def reasons(reply: Reply) -> dict[str, int]:
    """Failure Reason by instance; of those that have no name under ""."""
    said = reply.json()
    items = [*said.get(FAILED, {}).get("Value", []), *said.get(OTHERS, {}).get("Value", [])]
    return {item["00081155"]["Value"][0] if "00081155" in item else "": item["00081197"]["Value"][0] for item in items}


def stored_in(reply: Reply) -> list[str]:
    return [item["00081155"]["Value"][0] for item in reply.json().get(STORED, {}).get("Value", [])]


def of_subject(one: Stored, subject: Subject) -> Stored:
    return replace(one, subject=subject)
