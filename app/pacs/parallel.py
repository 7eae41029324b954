"""Several questions at once, within a bound."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence


async def in_parallel(calls: Sequence[Callable[[], Awaitable[None]]], limit: int) -> None:
    """Run all, at most ``limit`` at a time. The first failure ends the others and is raised as it is."""
    if len(calls) == 1:
        await calls[0]()
        return
    remaining = iter(calls)

    async def work() -> None:
        for call in remaining:
            await call()

    workers = [asyncio.create_task(work()) for _ in range(min(limit, len(calls)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
