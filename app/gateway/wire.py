"""The server's side of the wire: uvicorn's httptools protocol, which sees only messages that `framing` has let in.

One message at a time goes to the parser, so that nothing smuggled behind a body or a pipelined request reaches it
unchecked. A refused message is answered as a problem document and the connection is closed. Slow senders and readers
that stand still are cut.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.core.http.problem import MEDIA_TYPE, problem
from app.gateway.corked import CorkedTransport
from app.gateway.framing import ChunkedBody, FramingError, LengthBody, check_head, check_partial_head


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Bounds on what one connection may cost.

    ``head_s``: a message head must be whole this long after its first byte (the first one: after connecting).
    ``body_s``: in each span of this length at least ``body_bytes_per_span`` must come. ``stall_s``: a reader that took
    nothing for this long is cut. ``pipelined_bytes``: what may arrive ahead of the answer to the request before.
    ``unwanted_bytes``: of a body whose request was answered before it was read, so that the answer can be.
    ``linger_s``: how long a refused peer may take to read why.
    """

    head_bytes: int = 16 * 1024
    fields: int = 100
    head_s: float = 10.0
    body_s: float = 10.0
    body_bytes_per_span: int = 1024
    stall_s: float = 120.0
    pipelined_bytes: int = 64 * 1024
    unwanted_bytes: int = 64 * 1024 * 1024
    linger_s: float = 1.0


class GuardedProtocol(HttpToolsProtocol):
    """One connection. See the module's words."""

    limits: ClassVar[WireLimits] = WireLimits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._pending = b""  # a head that is not whole yet, or messages that came before the answer to the last one
        self._body: LengthBody | ChunkedBody | None = None
        self._body_bytes = 0  # of the running body, since the deadline was set
        self._held_back = False  # since then it was not read for a while
        self._unwanted_bytes = 0
        self._refused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        # Pause at the first byte the kernel does not take: a rest below the mark would keep the whole piece it is the
        # end of, with the next one beside it (P18).
        self.transport.set_write_buffer_limits(high=0)
        self._deadline = self.loop.call_later(self.limits.head_s, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._refused = True
        self._clear_deadline()
        self._clear_stall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._pending:
            data = self._pending + data
            self._pending = b""
        try:
            self._advance(data)
        except FramingError as error:
            self._refuse(error.name)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        # The task that runs the application has been made, and has not run yet.
        self.cycle.transport = CorkedTransport(self.transport, self.loop)  # type: ignore[assignment]

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._pending and not self._refused and not self.transport.is_closing():
            self.loop.call_soon(self.data_received, b"")

    def send_400_response(self, msg: str) -> None:
        """What the parser itself refuses is answered in the same shape."""
        del msg
        self._refuse("invalid-framing")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._arm_stall(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._clear_stall()
        super().resume_writing()

    @property
    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request, whatever its annotation says
        return cycle is not None and not cycle.response_complete

    def _advance(self, data: bytes) -> None:
        while data:
            if self._body is not None:
                data = self._advance_body(self._body, data)
                if self._refused:
                    return
                continue
            if self._answering:
                self._hold(data)
                return
            end = data.find(b"\r\n\r\n") + 4
            if end == 3:
                check_partial_head(data, self.limits.head_bytes)
                self._pending = data
                self._unset_keepalive_if_required()
                if self._deadline is None:
                    self._deadline = self.loop.call_later(self.limits.head_s, self.transport.abort)
                return
            head = check_head(data if end == len(data) else data[:end], self.limits.head_bytes, self.limits.fields)
            data = data[end:]
            self._clear_deadline()
            self._body = head.body
            super().data_received(head.raw)
            if self._refused:
                return
            if self._body is not None:
                self._body_bytes = self._unwanted_bytes = 0
                self._held_back = False
                self._deadline = self.loop.call_later(self.limits.body_s, self._check_body_pace)

    def _advance_body(self, body: LengthBody | ChunkedBody, data: bytes) -> bytes:
        taken = body.take(data)
        self._body_bytes += taken
        if body.complete:
            self._body = None
            self._clear_deadline()
        if not self._answering:
            self._unwanted_bytes += taken
            if self._unwanted_bytes > self.limits.unwanted_bytes:
                self._refused = True
                self.transport.abort()
                return b""
        super().data_received(data if taken == len(data) else data[:taken])
        self._held_back |= self.flow.read_paused
        return data[taken:]

    def _hold(self, data: bytes) -> None:
        if len(data) > self.limits.pipelined_bytes:
            self._refused = True
            self.transport.abort()
            return
        self._pending = data
        self.flow.pause_reading()

    def _check_body_pace(self) -> None:
        # A sender is not to blame for a span in which it was not listened to, were it only at the beginning.
        if not self._held_back and self._body_bytes < self.limits.body_bytes_per_span:
            self.transport.abort()
            return
        self._body_bytes = 0
        self._held_back = self.flow.read_paused
        self._deadline = self.loop.call_later(self.limits.body_s, self._check_body_pace)

    def _arm_stall(self, waiting_bytes: int) -> None:
        self._clear_stall()
        self._stall = self.loop.call_later(self.limits.stall_s, self._check_stall, waiting_bytes)

    def _check_stall(self, waiting_bytes: int) -> None:
        now_waiting = self.transport.get_write_buffer_size()
        if now_waiting >= waiting_bytes:
            self.transport.abort()
        else:
            self._arm_stall(now_waiting)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _clear_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _refuse(self, name: str) -> None:
        self._refused = True
        self._pending = b""
        self._clear_deadline()
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        if self._answering:
            cycle = self.cycle
            started = cycle.response_started
            cycle.disconnected = True  # the application's answer to a broken message goes nowhere
            cycle.message_event.set()
            if started:
                self.transport.close()
                return
        self.transport.write(self._refusal(name))
        # Closing while the peer still sends makes the kernel reset the connection, which would eat the answer.
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(self.limits.linger_s, self.transport.close)
        else:
            self.transport.close()

    def _refusal(self, name: str) -> bytes:
        answer = problem(name)
        body = answer.body()
        fields = [STATUS_LINE[answer.status]]
        for field_name, value in self.server_state.default_headers:
            fields += (field_name, b": ", value, b"\r\n")
        fields += (
            b"content-type: " + MEDIA_TYPE.encode() + b"\r\n",
            b"content-length: %d\r\n" % len(body),
            b"cache-control: no-store\r\nconnection: close\r\n\r\n",
            body,
        )
        return b"".join(fields)


def guarded_protocol(limits: WireLimits) -> type[GuardedProtocol]:
    """The protocol class with these limits, for ``uvicorn.Config(http=…)``, which takes a class and no arguments."""
    return type("LimitedProtocol", (GuardedProtocol,), {"limits": limits})
