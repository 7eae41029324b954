"""Makes submitters that can be killed: it imports everything once and forks a submitter for each line on its input.

A line is ``<n>``: the submitter kills itself with SIGKILL at the n-th effect it has on the world (a commit of the
database or a broadcast), alternately just before and just after it; 0 lives on. The pid is printed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from app.chain import deployment as deployment_file
from app.chain.contracts import Contracts
from app.chain.nodes import Nodes
from app.loops import lane_chain
from app.store.engine import Database, open_database
from app.store.journal import Journal
from tests.loops_submit.conftest import make_submitter


class Fuse:
    """Counts effects and kills the process at one of them."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._count = 0

    def _burn(self, *, after: bool) -> None:
        if self._count == self._at and bool(self._at % 2) is after:
            os.kill(os.getpid(), signal.SIGKILL)

    def around_write(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(database: Database, work: Callable[..., Any]) -> Any:
            self._count += 1
            self._burn(after=False)
            result = write(database, work)
            self._burn(after=True)
            return result

        return counted

    def around_broadcast(self, broadcast: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*arguments: Any) -> Any:
            self._count += 1
            self._burn(after=False)
            result = await broadcast(*arguments)
            self._burn(after=True)
            return result

        return counted


async def submit(url: str, rpc_url: str, path: str, die_at: int) -> None:
    fuse = Fuse(die_at)
    Database.write = fuse.around_write(Database.write)  # type: ignore[method-assign]
    broadcast = fuse.around_broadcast(lane_chain.NodesChain.broadcast)
    lane_chain.NodesChain.broadcast = broadcast  # type: ignore[method-assign,assignment]
    deployment = deployment_file.load(Path(path))
    async with Nodes.of([rpc_url]) as nodes:
        database = open_database(url)
        submitter = make_submitter(database, nodes, deployment, Contracts.of(deployment), Journal(database))
        await submitter.run()


def main() -> None:
    url, rpc_url, path = sys.argv[1:]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are not waited for
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(submit(url, rpc_url, path, int(line)))
        print(pid, flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
