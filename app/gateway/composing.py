"""Answers that an archive does not give as one: put together from what it gives of each instance, part after part.

So come the pixel data and the bulk data of a whole study, series or instance (PS3.18 Tables 10.4.1-5 and 10.4.1-6), and
the pictures of several instances or frames in one envelope. Nothing is held but the piece on its way; what to ask next
is known beforehand, from rows or metadata that were found to be of the patient that was admitted.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from app.core.dicom.bulk_links import bulk_data_of
from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.dicom.identities import Accepted
from app.core.dicom.multipart import PartHead
from app.core.dicom.negotiation import Chosen
from app.core.dicom.part_writing import PartWriter
from app.core.http.problem import ProblemError, problem
from app.gateway.metadata import Metadata
from app.gateway.parts import PartsBody, Passing, envelope_of, image_type_of, located_parts, new_writer
from app.gateway.ports import Wiring
from app.gateway.representative import instances_with_pixels
from app.pacs.origin import OriginAnswer, OriginBody, OriginInvalidError, OriginUnavailableError

_JSON = "application/dicom+json"
_ANY_SYNTAX = "; transfer-syntax=*"
# Frames asked for at a time: what an archive decodes at once is bounded by it.
_FRAMES_AT_ONCE = 16
# Refusals in a row, before there is a first part, that are answered with a refusal of the whole.
_MOST_REFUSED = 8
_COMPOSED = frozenset({Representation.PIXELDATA, Representation.ALL_BULKDATA})
_SHOWN = frozenset({Representation.RENDERED, Representation.RENDERED_FRAMES})


def is_composed(asked: Retrieve, chosen: Chosen) -> bool:
    """Whether the answer is put together here."""
    return asked.representation in _COMPOSED or (chosen.multipart and asked.representation in _SHOWN)


@dataclass(frozen=True, slots=True)
class _Step:
    """One question to the archive: asked in these words, in turn, until it can answer one of them."""

    asked: Retrieve
    accepts: tuple[str, ...]


class Composing:
    """Puts answers together."""

    def __init__(self, wiring: Wiring, metadata: Metadata) -> None:
        self._wiring = wiring
        self._metadata = metadata

    async def passing(self, asked: Retrieve, chosen: Chosen, accepted: Accepted) -> Passing:
        """The answer, of which the first part is there.

        Raises ProblemError: not-found where there is nothing of the kind, not-acceptable where nothing of it can be
        had in this form; and what the origin raises.
        """
        steps = iter(await self._steps(asked, chosen, accepted))
        refused = 0
        for step in steps:
            opened = await self._opened(step)
            if opened is not None:
                writer = new_writer(asked, chosen, self._wiring)
                first = await _part(step.asked, opened, writer)
                return Passing(writer.content_type, None, _ComposedBody(first, steps, self._opened, writer))
            refused += 1
            if refused == _MOST_REFUSED:
                break
        raise ProblemError(problem("not-acceptable" if refused else "not-found"))

    async def _steps(self, asked: Retrieve, chosen: Chosen, accepted: Accepted) -> Sequence[_Step]:
        match asked.representation:
            case Representation.RENDERED_FRAMES:
                return [_Step(replace(asked, frames=(frame,)), (chosen.upstream,)) for frame in asked.frames]
            case Representation.ALL_BULKDATA:
                return await self._bulk_data(asked, chosen, accepted)
        shown = await instances_with_pixels(asked, accepted, self._wiring)
        if shown is None:
            raise ProblemError(problem("not-found"))
        located = [replace(asked, series=one.series, instance=one.instance, accept=None) for one in shown]
        if asked.representation is Representation.RENDERED:
            if not located:
                raise ProblemError(problem("not-acceptable"))
            return [_Step(one, (chosen.upstream,)) for one in located]
        # What cannot be decoded goes as it is stored where no syntax was named (PS3.18 §8.7.3.3)
        named = "transfer-syntax" in chosen.upstream or "octet-stream" not in chosen.upstream
        accepts = (chosen.upstream,) if named else (chosen.upstream, chosen.upstream + _ANY_SYNTAX)
        return [
            _Step(replace(instance, representation=Representation.FRAMES, frames=frames), accepts)
            for instance, one in zip(located, shown, strict=True)
            for frames in _batches(one.frames)
        ]

    async def _bulk_data(self, asked: Retrieve, chosen: Chosen, accepted: Accepted) -> Sequence[_Step]:
        """Each value that the metadata has a BulkDataURI for."""
        metadata = replace(asked, representation=Representation.METADATA)
        opened = await self._wiring.origin.retrieve(metadata, _JSON)
        try:
            if opened.status != 200:
                raise ProblemError(problem("not-found" if opened.status in (404, 410) else "upstream-invalid"))
            return [
                _Step(target, (chosen.upstream,))
                async for dataset in self._metadata.datasets(metadata, accepted, opened.body)
                for target in bulk_data_of(dataset, metadata)
            ]
        finally:
            await opened.body.aclose()

    async def _opened(self, step: _Step) -> OriginAnswer | None:
        """None where the archive cannot give it in this form. Raises ProblemError where it has no such thing."""
        for accept in step.accepts:
            answer = await self._wiring.origin.retrieve(step.asked, accept)
            if answer.status == 200:
                return answer
            await answer.body.aclose()
            if answer.status in (404, 410):
                raise ProblemError(problem("not-found"))
        return None


class _ComposedBody:
    """One part after the other. An OriginBody.

    What the archive cannot give in this form is left out (PS3.18 §10.4.3), as long as something is not.
    """

    def __init__(
        self,
        first: OriginBody,
        following: Iterator[_Step],
        opening: Callable[[_Step], Awaitable[OriginAnswer | None]],
        writer: PartWriter,
    ) -> None:
        self._current: OriginBody | None = first
        self._following = following
        self._opening = opening
        self._writer = writer
        self._ended = False

    async def read(self) -> bytes:
        """See OriginBody."""
        while self._current is not None:
            data = await self._current.read()
            if data:
                return data
            await self.aclose()
            self._current = await self._next()
        if self._ended:
            return b""
        self._ended = True
        return self._writer.end()

    async def aclose(self) -> None:
        """See OriginBody."""
        current, self._current = self._current, None
        if current is not None:
            await current.aclose()

    async def _next(self) -> OriginBody | None:
        for step in self._following:
            try:
                answer = await self._opening(step)
            except ProblemError:
                raise OriginUnavailableError("what an answer is made of has gone away meanwhile") from None
            if answer is not None:
                return await _part(step.asked, answer, self._writer)
        return None


async def _part(asked: Retrieve, answer: OriginAnswer, writer: PartWriter) -> OriginBody:
    """The part, or parts, that one answer of the archive brings, with their heads. Raises OriginInvalidError."""
    try:
        if asked.representation in _SHOWN:
            head = PartHead(((b"content-type", image_type_of(answer).encode("ascii")),))
            return _HeadedBody(writer.head(head, asked), answer.body)
        return PartsBody(answer.body, envelope_of(answer), writer, located=located_parts(asked), closing=False)
    except OriginInvalidError:
        await answer.body.aclose()
        raise


def _batches(frames: int) -> Iterator[tuple[int, ...]]:
    for first in range(1, frames + 1, _FRAMES_AT_ONCE):
        yield tuple(range(first, min(first + _FRAMES_AT_ONCE, frames + 1)))


class _HeadedBody:
    """A body with some bytes before it. An OriginBody."""

    def __init__(self, head: bytes, body: OriginBody) -> None:
        self._head = head
        self._body = body

    async def read(self) -> bytes:
        head, self._head = self._head, b""
        return head or await self._body.read()

    async def aclose(self) -> None:
        await self._body.aclose()
