"""The archive in memory, with instances of several frames and of none. It notes each retrieval and refuses as told."""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.core.dicom.dicomweb import Level, Representation, Retrieve, Search
from app.core.identifiers import InstanceUid
from app.pacs.origin import DicomJson, OriginAnswer
from tests.gateway.memory_origin import Body, MemoryOrigin

OCTETS = "application/octet-stream"


@dataclass
class PictureOrigin(MemoryOrigin):
    """``frames`` of an instance: 1 unless said, 0 where it has no pixels. ``refuse`` gives a status, None for 200."""

    frames: dict[InstanceUid, int] = field(default_factory=dict)
    refuse: Callable[[Retrieve, str], int | None] = lambda _asked, _accept: None
    asked: list[tuple[Retrieve, str]] = field(default_factory=list)
    validator: str | None = None

    async def search(self, search: Search) -> list[DicomJson]:
        rows = await super().search(search)
        if search.level is Level.INSTANCE:
            for row in rows:
                frames = self.frames.get(row["00080018"]["Value"][0], 1)
                if frames:
                    row["00280010"] = {"vr": "US", "Value": [8]}
                    row["00280008"] = {"vr": "IS", "Value": [str(frames)]}  # archives write IS as text too
        return rows

    async def retrieve(self, retrieve: Retrieve, accept: str) -> OriginAnswer:
        self.asked.append((retrieve, accept))
        status = self.refuse(retrieve, accept)
        if status is not None:
            self.bodies.append(Body([]))
            return OriginAnswer(status, "", None, self.bodies[-1])
        answer = await super().retrieve(retrieve, accept)
        return OriginAnswer(answer.status, answer.content_type, answer.content_length, answer.body, self.validator)

    def _answer(self, retrieve: Retrieve, accept: str) -> OriginAnswer:
        found = self.found(retrieve)
        if not found or retrieve.representation not in {
            Representation.FRAMES,
            Representation.RENDERED,
            Representation.RENDERED_FRAMES,
            Representation.BULKDATA,
        }:
            return super()._answer(retrieve, accept)
        one, (first, *_) = found[0], retrieve.frames or (1,)
        assert retrieve.instance is not None
        if max(retrieve.frames, default=1) > self.frames.get(one.instance, 1):
            return OriginAnswer(404, "", None, Body([]))
        match retrieve.representation:
            case Representation.FRAMES:
                located = f"{one.url}/frames"
                parts = [
                    (OCTETS, f"{located}/{number}", self.frame(one.instance, number)) for number in retrieve.frames
                ]
                return self.enveloped(OCTETS, parts)
            case Representation.BULKDATA:
                value = "/".join(retrieve.bulk_path).encode() + b" of " + one.instance.encode() + one.canary.encode()
                return self.enveloped(OCTETS, [(OCTETS, f"{one.url}/bulk/00000000", value)])
            case _:
                return self.whole(accept, b"\xff\xd8\xff" + self.frame(one.instance, first))

    def frame(self, instance: InstanceUid, number: int) -> bytes:
        return next(one for one in self.stored if one.instance == instance).pixels() + b" frame %d" % number
