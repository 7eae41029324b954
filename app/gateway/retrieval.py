"""WADO-RS: admit, record, and let the archive's bytes through, checked on their way (PS3.18 §10.4)."""

import asyncio

from app.core.dicomweb import Representation, Retrieve
from app.core.negotiation import Chosen
from app.core.problem import Problem, ProblemError, problem
from app.core.terms import Action
from app.gateway.admission import Admission, Admitted, Seen
from app.gateway.answering import Answer
from app.gateway.metadata import Metadata
from app.gateway.parts import Passing, passing
from app.gateway.ports import Wiring
from app.gateway.recording import Recorder, target_of
from app.gateway.resolution import Resolution
from app.pacs.origin import OriginAnswer
from app.store.sessions import Session

_VIEWED = frozenset({Representation.RENDERED, Representation.RENDERED_FRAMES})
# What the archive says of a resource that this caller may have. Whatever else it says is its own trouble.
_REFUSALS = {404: "not-found", 406: "not-acceptable", 400: "not-acceptable"}


class CutError(Exception):
    """The answer may not go on: what permitted it is gone (P4)."""


class Retrieval:
    """Answers retrievals."""

    def __init__(self, wiring: Wiring, admission: Admission, resolution: Resolution, recorder: Recorder) -> None:
        self._wiring = wiring
        self._admission = admission
        self._recorder = recorder
        self._metadata = Metadata(wiring, resolution)

    async def answer(self, method: str, session: Session, asked: Retrieve, chosen: Chosen, answer: Answer) -> None:
        """Answer to the end. Raises ProblemError, CutError, ReaderGoneError and what the ports raise."""
        action = Action.VIEW if asked.representation in _VIEWED else Action.RETRIEVE
        admitted = await self._admission.admit(session, action, asked)
        entry = self._recorder.entry(admitted, target_of(method, asked), asked.study)
        answer.recorded.append(entry.record.record_id)
        # The sync and the archive work at the same time; bytes are released when both are done (P2).
        committed = asyncio.ensure_future(self._wiring.journal.append([entry]))
        committed.add_done_callback(_noted)
        opened = await self._wiring.origin.retrieve(asked, chosen.upstream)
        try:
            await committed
            if opened.status not in (200, 206):
                raise ProblemError(_refusal(opened.status))
            if asked.representation is Representation.METADATA:
                await self._answer_metadata(asked, chosen, admitted, opened, answer)
            else:
                passed = await passing(asked, chosen, admitted.patient.subject, opened, self._wiring)
                await self._stream(admitted, passed, answer)
        finally:
            await opened.body.aclose()

    async def _answer_metadata(
        self, asked: Retrieve, chosen: Chosen, admitted: Admitted, opened: OriginAnswer, answer: Answer
    ) -> None:
        body = await self._metadata.read(asked, admitted.patient.subject, opened.body)
        if not body:
            raise ProblemError(problem("not-found"))
        self._check_still(admitted, Seen.of(admitted))
        await answer.whole(200, body, (b"content-type", chosen.media_type.encode()))

    async def _stream(self, admitted: Admitted, passed: Passing, answer: Answer) -> None:
        """Piece by piece, each only when the one before was taken, and only while the permit stands (P4, P18).

        The last piece waits until the archive has proven that it is the last (P10).
        """
        body, seen = passed.body, Seen.of(admitted)
        piece = await body.read()
        self._check_still(admitted, seen)
        await answer.start(200, passed.length, (b"content-type", passed.content_type.encode("latin-1")))
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
            self._admission.moment()  # raises, when it is the chain that is not known
            raise CutError


def _refusal(status: int) -> Problem:
    return problem(_REFUSALS.get(status, "upstream-invalid"))


def _noted(committed: "asyncio.Future[None]") -> None:
    """A failure is raised where it is awaited; nobody awaits it when the archive failed first."""
    if not committed.cancelled():
        committed.exception()
