"""One answer on its way out: its headers, what of its body was sent, and whether it was sent whole."""

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Send

from app.core.http.problem import MEDIA_TYPE, Problem
from app.gateway.compressing import LEAST_BYTES, compressed, is_text
from app.store.journal import Outcome

if TYPE_CHECKING:
    from app.core.identifiers import AccessRecordId

# Every answer may hold something of a patient, the refusals included: that there is nothing is news too.
_GUARDING = (
    (b"cache-control", b"private, no-store"),
    (b"vary", b"Authorization, Cookie, Accept-Encoding"),
    (b"x-content-type-options", b"nosniff"),
    # No page of another origin may take an answer into itself: the browser would send the portal's cookie for it
    (b"cross-origin-resource-policy", b"same-origin"),
)
# Ids of 33 bytes in one header: proxies take 4 KB of headers without being told to.
MOST_NAMED = 100


class ReaderGoneError(Exception):
    """The client closed the connection; there is nobody to answer."""


class Answer:
    """Sends one answer over ASGI. An answer that was begun and not finished is cut by the server, unterminated (P10).

    ``recorded``: the access records that this answer stands on. ``modified``: those of what was changed before it, the
    first of which are named whatever is answered. ``head_only``: it has no body (HEAD). ``coding``: the content coding
    that the client takes, None for none.
    """

    __slots__ = (
        "_gone",
        "_receive",
        "_send",
        "body_bytes",
        "coding",
        "complete",
        "head_only",
        "modified",
        "recorded",
        "status",
    )

    def __init__(self, receive: Receive, send: Send, *, head_only: bool = False, coding: str | None = None) -> None:
        self.head_only = head_only
        self.coding = coding
        self.recorded: list[AccessRecordId] = []
        self.modified: list[AccessRecordId] = []
        self._receive = receive
        self._send = send
        self._gone: asyncio.Task[None] | None = None
        self.status = 0
        self.body_bytes = 0
        self.complete = False

    @property
    def started(self) -> bool:
        return self.status != 0

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.status, self.body_bytes, self.complete)

    async def start(self, status: int, length: int | None, *headers: tuple[bytes, bytes]) -> None:
        """The head. What is disclosed names its access records."""
        sent = [*_GUARDING, *headers]
        if length is not None:
            sent.append((b"content-length", b"%d" % length))
        named = self.recorded if status < 300 else []
        if self.modified:
            named = self.modified[:MOST_NAMED]
        if named:
            sent.append((b"access-record-id", ",".join([record_id.hex() for record_id in named]).encode()))
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    async def finish(self, body: bytes = b"") -> None:
        """The last piece of the body."""
        await self._send({"type": "http.response.body", "body": body})
        self.body_bytes += len(body)
        self.complete = self._gone is None or not self._gone.done()

    async def piece(self, body: bytes) -> None:
        """A piece with more to come; returns when the connection can take more. Raises ReaderGoneError."""
        if self._gone is None:
            # Some servers swallow what is sent to a client that left. Watching costs a task, so only long answers do.
            self._gone = asyncio.create_task(self._watch())
        elif self._gone.done():
            raise ReaderGoneError
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        self.body_bytes += len(body)

    async def whole(self, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
        """An answer that is in memory, in the content coding that the client takes where it is worth it."""
        coding = self.coding if status == 200 and len(body) >= LEAST_BYTES else None
        if coding is None or not any(name == b"content-type" and is_text(value) for name, value in headers):
            await self.start(status, len(body), *headers)
            await self.finish(b"" if self.head_only else body)
            return
        coded = (*headers, (b"content-encoding", coding.encode("ascii")))
        if self.head_only:
            await self.start(status, None, *coded)
            await self.finish()
            return
        last: bytes | None = None
        async for piece in compressed(coding, body):
            if last is not None:
                if not self.started:
                    await self.start(status, None, *coded)
                await self.piece(last)
            last = piece
        last = last or b""
        if not self.started:
            await self.start(status, len(last), *coded)
        await self.finish(last)

    async def problem(self, problem: Problem) -> None:
        """A refusal, in its own words."""
        more = [(name.lower().encode(), value.encode()) for name, value in problem.headers]
        await self.whole(problem.status, problem.body(), (b"content-type", MEDIA_TYPE.encode()), *more)

    def close(self) -> None:
        """Stop watching. Never raises."""
        if self._gone is not None:
            self._gone.cancel()

    async def _watch(self) -> None:
        while True:
            message: dict[str, Any] = dict(await self._receive())
            if message["type"] == "http.disconnect":
                return
