"""WADO-RS: admit, record, and let the archive's bytes through, checked on their way (PS3.18 §10.4)."""

import asyncio
from dataclasses import replace

from app.core.dicom.dataset_writing import writing_of
from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.dicom.disclosure import ACTION_OF
from app.core.dicom.identities import Accepted
from app.core.dicom.links import path_of
from app.core.dicom.negotiation import Chosen
from app.core.dicom.uri_viewport import UriViewport
from app.core.http.problem import Problem, ProblemError, problem
from app.gateway.admission import Admission, Admitted, Seen
from app.gateway.answering import Answer
from app.gateway.composing import Composing, is_composed
from app.gateway.metadata import Metadata
from app.gateway.parts import BOUNDARY_BYTES, Passing, passing
from app.gateway.picture_size import in_pixels
from app.gateway.ports import Wiring
from app.gateway.ranging import NO_CONDITIONS, Conditions, Sent, sent_of
from app.gateway.recording import Recorder, target_of
from app.gateway.representative import instances_with_pixels, middle
from app.gateway.resolution import Resolution
from app.store.sessions import Session

# What the archive says of a resource that this caller may have. Whatever else it says is its own trouble.
_REFUSALS = {404: "not-found", 410: "not-found", 406: "not-acceptable", 415: "not-acceptable", 400: "not-acceptable"}
# A thumbnail where no size is asked for: what fits a list of studies (PS3.18 §10.4.1.1.4 leaves it to the server).
_THUMBNAIL_VIEWPORT = (("viewport", "128,128"),)


class CutError(Exception):
    """The answer may not go on: what permitted it is gone (P4)."""


class Retrieval:
    """Answers retrievals."""

    def __init__(self, wiring: Wiring, admission: Admission, resolution: Resolution, recorder: Recorder) -> None:
        self._wiring = wiring
        self._admission = admission
        self._recorder = recorder
        self._metadata = Metadata(wiring, resolution)
        self._composing = Composing(wiring, self._metadata)

    async def answer(
        self,
        method: str,
        session: Session,
        asked: Retrieve,
        chosen: Chosen,
        answer: Answer,
        conditions: Conditions = NO_CONDITIONS,
        viewport: UriViewport | None = None,
    ) -> None:
        """Answer to the end. ``viewport``: what to show of a picture, as WADO-URI measures it. Raises ProblemError,
        CutError, ReaderGoneError and what the ports raise.
        """
        admitted = await self._admission.admit(session, ACTION_OF[asked.representation], asked)
        entry = self._recorder.entry(admitted, target_of(method, asked), asked.study)
        answer.recorded.append(entry.record.record_id)
        # The sync and the archive work at the same time; bytes are released when both are done (P2).
        committed = asyncio.ensure_future(self._wiring.journal.append([entry]))
        committed.add_done_callback(_noted)
        if asked.representation is Representation.METADATA:
            await self._answer_metadata(asked, chosen, admitted, committed, answer)
            return
        try:
            if viewport is not None:
                asked = await in_pixels(asked, viewport, admitted.accepted, self._wiring.origin, self._metadata)
            passed = await self._passing(asked, chosen, admitted.accepted)
        except ProblemError:
            await committed
            raise
        try:
            await committed
            await self._stream(admitted, sent_of(passed, path_of(asked), conditions), answer)
        finally:
            await passed.body.aclose()

    async def _answer_metadata(
        self, asked: Retrieve, chosen: Chosen, admitted: Admitted, committed: "asyncio.Future[None]", answer: Answer
    ) -> None:
        opened = await self._wiring.origin.retrieve(asked, chosen.upstream)
        try:
            await committed
            if opened.status != 200:
                raise ProblemError(_refusal(opened.status))
            writing = writing_of(chosen, self._wiring.random_bytes(BOUNDARY_BYTES).hex())
            body = await self._metadata.read(asked, admitted.accepted, opened.body, writing)
        finally:
            await opened.body.aclose()
        if not body:
            raise ProblemError(problem("not-found"))
        self._check_still(admitted, Seen.of(admitted))
        await answer.whole(200, body, (b"content-type", writing.content_type.encode()))

    async def _passing(self, asked: Retrieve, chosen: Chosen, accepted: Accepted) -> Passing:
        """The archive's answer in the first form, of those that the user agent takes, that it can give."""
        refused = ProblemError(problem("not-acceptable"))
        for candidate in (chosen, *chosen.others):
            try:
                return await self._in_form(asked, candidate, accepted)
            except ProblemError as refusal:
                if refusal.problem.name != "not-acceptable":
                    raise
                refused = refusal
        raise refused

    async def _in_form(self, asked: Retrieve, chosen: Chosen, accepted: Accepted) -> Passing:
        if is_composed(asked, chosen):
            return await self._composing.passing(asked, chosen, accepted)
        target = await self._shown(asked, accepted)
        opened = await self._wiring.origin.retrieve(target, chosen.upstream)
        if opened.status != 200:
            await opened.body.aclose()
            raise ProblemError(_refusal(opened.status))
        try:
            return await passing(target, chosen, accepted, opened, self._wiring)
        except BaseException:
            await opened.body.aclose()
            raise

    async def _shown(self, asked: Retrieve, accepted: Accepted) -> Retrieve:
        """What to ask the archive for: of the picture of a study or series that of one instance, of a thumbnail a
        small picture, of those of several frames the first.
        """
        match asked.representation:
            case Representation.THUMBNAIL:
                target = replace(
                    asked, representation=Representation.RENDERED, query=asked.query or _THUMBNAIL_VIEWPORT
                )
            case Representation.THUMBNAIL_FRAMES:
                query = asked.query or _THUMBNAIL_VIEWPORT
                first = asked.frames[:1]
                return replace(asked, representation=Representation.RENDERED_FRAMES, frames=first, query=query)
            case _:
                target = asked
        if target.representation is not Representation.RENDERED or target.instance is not None:
            return target
        shown = await instances_with_pixels(asked, accepted, self._wiring)
        if shown is None:
            raise ProblemError(problem("not-found"))
        one = middle(shown)
        if one is None:
            raise ProblemError(problem("not-acceptable"))
        return replace(target, series=one.series, instance=one.instance)

    async def _stream(self, admitted: Admitted, sent: Sent, answer: Answer) -> None:
        """Piece by piece, each only when the one before was taken, and only while the permit stands (P4, P18).

        The last piece waits until the archive has proven that it is the last (P10).
        """
        seen = Seen.of(admitted)
        body = sent.body
        piece = await body.read()
        self._check_still(admitted, seen)
        await answer.start(sent.status, sent.length, *sent.headers)
        if answer.head_only:
            await answer.finish()
            return
        while following := await body.read():
            self._check_still(admitted, seen)
            await answer.piece(piece)
            piece = following
        self._check_still(admitted, seen)
        await answer.finish(piece)

    def _check_still(self, admitted: Admitted, seen: Seen) -> None:
        if not self._admission.still(admitted, seen):
            self._admission.moment(admitted.session)  # raises, when it is the chain that is not known
            raise CutError


def _refusal(status: int) -> Problem:
    return problem(_REFUSALS.get(status, "upstream-invalid"))


def _noted(committed: "asyncio.Future[None]") -> None:
    """A failure is raised where it is awaited; nobody awaits it when the archive failed first."""
    if not committed.cancelled():
        committed.exception()
