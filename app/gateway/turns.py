"""Taking turns: what is done under one key is done by one at a time."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Turns(Generic[K]):
    """A lock for each key that somebody holds or waits for. Belongs to one event loop."""

    __slots__ = ("_locks", "_wanted")

    def __init__(self) -> None:
        self._locks: dict[K, asyncio.Lock] = {}
        self._wanted: dict[K, int] = {}

    @asynccontextmanager
    async def of(self, key: K) -> AsyncIterator[None]:
        """Inside, nobody else is."""
        self._wanted[key] = self._wanted.get(key, 0) + 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                yield
        finally:
            self._wanted[key] -= 1
            if not self._wanted[key]:
                del self._wanted[key], self._locks[key]
