"""A transport that sends an answer's head together with the first piece of its body: one system call, one packet."""

import asyncio

# Larger pieces are not copied to be joined: by then a second system call is little.
_JOINED_BYTES = 64 * 1024


class CorkedTransport:
    """Stands before the real transport for one request and response; has what uvicorn's cycle uses of it."""

    __slots__ = ("_began", "_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._began = False

    def write(self, data: bytes) -> None:
        """The first write is the head: it waits for the second, but no longer than this turn of the loop."""
        if not self._began:
            self._began = True
            self._head = data
            self._loop.call_soon(self.flush)
            return
        head = self._head
        if head:
            self._head = b""
            if len(data) <= _JOINED_BYTES:
                data = head + data
            else:
                self._transport.write(head)
        self._transport.write(data)

    def flush(self) -> None:
        """Send what waits."""
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
