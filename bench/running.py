"""A module of the benchmark as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench.ports import wait_until_open


@contextmanager
def running(arguments: list[str], port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """``python -m`` with the arguments, once it listens on the port."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE)
    try:
        wait_until_open(port, process)
        yield process
    finally:
        process.terminate()
        process.wait(20)
