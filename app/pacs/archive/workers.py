"""Where DICOM is parsed and decoded: processes of their own, with bounds that the system enforces.

A hostile file can at worst end a worker; the pool then starts another and the request is refused.
"""

import asyncio
import logging
import multiprocessing
import os
import resource
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from app.pacs.origin import OriginInvalidError, OriginTimeoutError

_P = ParamSpec("_P")
_T = TypeVar("_T")

MEMORY_LIMIT_BYTES = 4 * 1024**3
CALL_LIMIT_S = 60.0


def _prepare() -> None:
    """In a new worker: bound its memory, keep values out of warnings and logs, and leave when the gateway is gone."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    if sys.platform == "linux":  # elsewhere the system does not hold a process to it
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    parent = multiprocessing.parent_process()
    if parent is not None:

        def leave() -> None:
            parent.join()
            os._exit(0)

        threading.Thread(target=leave, name="parent-watch", daemon=True).start()


class Workers:
    """A small pool of worker processes, started when first needed."""

    def __init__(self, count: int = 2) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a module-level function in a worker.

        Raises OriginInvalidError when the file ended the worker, OriginTimeoutError when it took too long, and what the
        function raises.
        """
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, mp_context=context, initializer=_prepare)
        pool = self._pool
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                return await asyncio.wrap_future(pool.submit(function, *args, **kwargs))
        except BrokenProcessPool:
            if self._pool is pool:
                self._pool = None
            raise OriginInvalidError("a file could not be read") from None
        except TimeoutError:
            raise OriginTimeoutError("a file took too long to read") from None

    async def aclose(self) -> None:
        """End the workers."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown, cancel_futures=True)
