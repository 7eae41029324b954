"""The DICOMweb data path: a plain ASGI application mounted at /dicom-web, and at /wado for WADO-URI.

authenticate → parse → negotiate → resolve → decide → record → stream or filter. Whatever happens on the way is answered
in one place, and every record gets its outcome.
"""

import logging
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send

from app.core.dicom.capabilities import describe
from app.core.dicom.dicomjson import DatasetInvalidError
from app.core.dicom.dicomweb import Search, Store
from app.core.dicom.dicomweb_grammar import methods_of, parse
from app.core.dicom.negotiation import negotiate
from app.core.dicom.wado_uri import METHODS, parse_uri
from app.core.http.content_coding import accepted_coding
from app.core.http.credentials import token_of
from app.core.http.cross_site import asked_by_own_page
from app.core.http.problem import Problem, ProblemError, problem
from app.gateway.admission import Admission
from app.gateway.answering import Answer, ReaderGoneError
from app.gateway.denial import Denials
from app.gateway.front import MOUNT, WADO
from app.gateway.ports import Alarm, Wiring
from app.gateway.ranging import Conditions
from app.gateway.recording import Recorder
from app.gateway.resolution import Resolution
from app.gateway.retrieval import CutError, Retrieval
from app.gateway.searching import Searching
from app.gateway.storing import Storing
from app.pacs.origin import (
    OriginInvalidError,
    OriginRefusedError,
    OriginTimeoutError,
    OriginTooBroadError,
    OriginUnavailableError,
)
from app.store.engine import StoreUnavailableError
from app.store.journal import JournalUnavailableError
from app.store.ownership import Ownership
from app.store.sessions import Session

_LOG = logging.getLogger(__name__)
# The first that fits: a timeout is unavailability too.
_PROBLEMS: tuple[tuple[type[Exception], str], ...] = (
    (CutError, "not-found"),
    (JournalUnavailableError, "log-unavailable"),
    (StoreUnavailableError, "log-unavailable"),
    (OriginTooBroadError, "search-too-broad"),
    (OriginTimeoutError, "upstream-timeout"),
    (OriginUnavailableError, "upstream-unavailable"),
    (OriginInvalidError, "upstream-invalid"),
    (DatasetInvalidError, "upstream-invalid"),
)
_T = TypeVar("_T")


class Dicomweb:
    """The application. One per event loop."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._denials = Denials(wiring.monotonic, wiring.limits.denial_step_s)
        ownership = Ownership(wiring.patients, wiring.rulings)
        resolution = Resolution(wiring, ownership)
        admission = Admission(wiring, resolution, ownership)
        recorder = Recorder(wiring)
        self._retrieval = Retrieval(wiring, admission, resolution, recorder)
        self._searching = Searching(wiring, admission, resolution, recorder, ownership)
        self._storing = Storing(wiring, admission, resolution, recorder)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Never raises but for cancellation."""
        began_s = self._wiring.monotonic()
        coding = accepted_coding([value for name, value in scope["headers"] if name == b"accept-encoding"])
        answer = Answer(receive, send, head_only=scope["method"] == "HEAD", coding=coding)
        try:
            try:
                await self._serve(scope, receive, answer)
            except Exception as error:  # noqa: BLE001 - the one place that answers whatever went wrong
                await self._refuse(error, answer, began_s)
        finally:
            answer.close()
            for record_id in answer.recorded:
                self._wiring.journal.outcome(record_id, answer.outcome)

    async def _serve(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        method: str = scope["method"]
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        raw_path: bytes = scope["raw_path"]
        accept = [value for name, value in headers if name == b"accept"]
        if method == "OPTIONS":
            await self._tell(raw_path, accept, answer)
            return
        session = await self._session(headers)
        # A program's token opens what it was issued for; POST is storing, and nothing else
        if not (session.reach.storing if method == "POST" else session.reach.images):
            raise ProblemError(problem("insufficient-scope"))
        if raw_path == WADO:
            uri = _sound(parse_uri(method, scope["query_string"], accept))
            await self._retrieval.answer(method, session, uri.asked, uri.chosen, answer, viewport=uri.viewport)
            return
        asked = parse(method, raw_path[len(MOUNT) :], scope["query_string"], self._wiring.limits.page_rows)
        if isinstance(asked, Problem):
            raise ProblemError(asked)
        if isinstance(asked, Store):
            await self._storing.answer(session, asked, headers, receive, answer)
            return
        chosen = _sound(negotiate(asked, accept))
        if isinstance(asked, Search):
            await self._searching.answer(method, session, asked, chosen, answer)
        else:
            await self._retrieval.answer(method, session, asked, chosen, answer, Conditions.of(method, headers))

    async def _tell(self, raw_path: bytes, accept: list[bytes], answer: Answer) -> None:
        """What can be done here (RFC 9110 §9.3.7); of the whole service, the Capabilities Description (PS3.18 §8.9).

        Anybody may know: it says nothing of an archive.
        """
        below = raw_path[len(MOUNT) :]
        if raw_path != WADO and below in (b"", b"/"):
            described = describe(self._wiring.public_url, accept)
            if described is None:
                raise ProblemError(problem("not-acceptable"))
            media_type, document = described
            await answer.whole(200, document, (b"content-type", media_type.encode()), (b"allow", b"OPTIONS"))
            return
        if raw_path != WADO:
            _sound(parse("OPTIONS", below, b""))
        methods = METHODS if raw_path == WADO else methods_of(below)
        await answer.start(204, None, (b"allow", ", ".join(methods).encode()))
        await answer.finish()

    async def _session(self, headers: list[tuple[bytes, bytes]]) -> Session:
        token = _sound(token_of(headers, cookie=asked_by_own_page(headers, self._wiring.page_origins)))
        session = self._wiring.sessions.hot(token) or await self._wiring.sessions.find(token)
        if session is None:
            raise ProblemError(problem("unauthenticated"))
        return session

    async def _refuse(self, error: Exception, answer: Answer, began_s: float) -> None:
        if isinstance(error, ReaderGoneError):
            return  # nobody is left to be told, and a client may leave
        if isinstance(error, JournalUnavailableError):
            answer.recorded.clear()  # what was not written has no outcome
        if isinstance(error, OriginInvalidError | DatasetInvalidError):
            self._wiring.alarm(Alarm.UPSTREAM_INVALID)
        if isinstance(error, OriginRefusedError):
            self._wiring.alarm(Alarm.CREDENTIALS_REFUSED)
        refusal = _problem_of(error)
        if refusal.name == "internal":
            # The text of an exception may hold what the request or a data set said; its place in the code may not.
            _LOG.error("unexpected %s at %s", type(error).__name__, _place(error))
        if answer.started:
            return  # not finishing makes the server cut the connection, so that nothing short looks whole (P10)
        if refusal.name == "not-found":
            await self._denials.wait(began_s)
        await answer.problem(refusal)


def _sound(read: _T | Problem) -> _T:
    if isinstance(read, Problem):
        raise ProblemError(read)
    return read


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, ProblemError):
        return error.problem
    return problem(next((name for kind, name in _PROBLEMS if isinstance(error, kind)), "internal"))


def _place(error: Exception) -> str:
    trace: Any = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "nowhere"
