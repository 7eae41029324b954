"""Starts gateways quickly: it imports everything once and forks `consentry serve` for each order on its input.

An order is a line of JSON: ``environment`` (the settings) and ``log`` (a file for what the gateway says). The pid of
each gateway is printed; it serves until it is killed.
"""

import json
import os
import signal
import sys


def main() -> None:
    # Imported here: the archive's worker processes import this file once more, and need nothing of it.
    from app.commands.output import CommandError  # noqa: PLC0415
    from app.commands.running import serve  # noqa: PLC0415
    from app.gateway.serving import MALLOC_ENVIRONMENT  # noqa: PLC0415

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead are not waited for
    os.environ.update(MALLOC_ENVIRONMENT)  # or each gateway would start Python again for their sake
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _redirect(order["log"])
            os.environ.update(order["environment"])
            try:
                serve()
            except CommandError as error:
                print(error, file=sys.stderr, flush=True)  # noqa: T201 - the log
            os._exit(1)
        print(pid, flush=True)  # noqa: T201 - the parent reads it


def _redirect(log: str) -> None:
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(written, 1)
    os.dup2(written, 2)


if __name__ == "__main__":
    main()
