"""Makes gateways that can be killed: it imports everything once and forks a gateway for each line on its input.

Settings come from the environment. The pid of each gateway is printed; it serves until it is killed.
"""

import asyncio
import os
import signal
import sys

from app.chain.deployment import load as load_deployment
from app.main import running, serve
from app.settings import load


async def run() -> None:
    settings = load(dotenv=None)
    async with running(settings, load_deployment(settings.deployment_path), lambda _text: None) as gateway:
        await serve(gateway)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are not waited for
    for _line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(run())
            os._exit(0)
        print(pid, flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
