"""What a server's processes have used of the processor."""

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pids: list[int]) -> float | None:
    """Seconds of processor time of these processes and their children so far; None where /proc is missing."""
    if not Path("/proc/self/stat").exists():
        return None
    return sum(_of_one(pid) for one in pids for pid in (one, *_children(one)))


def _of_one(pid: int) -> float:
    # The name in parentheses may hold spaces: the numbers begin after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]
