"""A request's body on its way to the archive: a piece when the one before was taken, none once it has answered."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any


class BodySender(asyncio.Protocol):
    """The sending side of one connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self.last_activity = 0.0
        self.sending = False  # a body that is not out yet
        self._writable: asyncio.Future[None] | None = None  # while the archive takes no more of it

    async def send_body(self, pieces: AsyncGenerator[bytes], answered: "asyncio.Future[Any]") -> None:
        """Send all of it; an archive that answers before it has read everything is not sent the rest."""
        async with aclosing(pieces):
            async for piece in pieces:
                if self._transport is None or answered.done():
                    return
                self._transport.write(piece)
                self.last_activity = self._loop.time()
                if self._writable is not None:
                    await self._writable
        self.sending = False

    def abort(self) -> None:
        """Close at once, dropping what is on the way."""
        if self._transport is not None:
            self._transport.abort()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        self.last_activity = self._loop.time()
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)
