"""``python -m bench search``: searches over a generated archive, by callers who may see few, many and most of it.

The rows go straight into the index of the embedded archive; there are no DICOM files. The same rows are asked for
through a simulated remote PACS (``bench.simulated_pacs``), which only knows QIDO-RS with its own order. Answers are
made in this process, without a socket on the gateway's side: what is measured is planning, deciding, recording and
writing the answer.
"""

import argparse
import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.http_client import HttpOrigin
from app.pacs.origin import Origin
from app.pacs.remote import RemoteOrigin
from bench.ports import free_ports
from bench.running import running
from bench.search_archive import Spread, generate, uid_of
from bench.search_gateway import Caller, SearchGateway

_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Question:
    """Something to search for. ``pages``: as many following pages of it as there are rounds."""

    name: str
    target: str
    pages: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One question by one caller: how long it took, and what came back."""

    archive: str
    caller: str
    question: str
    p50_ms: float
    p99_ms: float
    rows: int
    status: int


def questions(studies: int, permitted: int) -> list[Question]:
    """A first page, a page far behind, the pages after one another, and filters that find much, little and one."""
    deep = max(0, permitted // 2 - _LIMIT)
    listed = [
        Question("first page", f"/studies?limit={_LIMIT}"),
        Question("following pages", f"/studies?limit={_LIMIT}", pages=True),
        Question(f"page at {deep:,}, at first", f"/studies?limit={_LIMIT}&offset={deep}"),
        Question(f"page at {deep:,}, again", f"/studies?limit={_LIMIT}&offset={deep + 1}"),
        Question("by name", f"/studies?limit={_LIMIT}&PatientName=*anna*"),
        Question("by date", f"/studies?limit={_LIMIT}&StudyDate=20200101-20200131"),
        Question("by patient", f"/studies?limit={_LIMIT}&PatientID=P{permitted // 2:07}"),
        Question("by study", f"/studies?StudyInstanceUID={uid_of(permitted // 2)}"),
        Question("by accession", f"/studies?AccessionNumber=A{studies // 2}"),
    ]
    return [question for question in listed if permitted > _LIMIT or "page at" not in question.name]


async def _ask(gateway: SearchGateway, caller: Caller, question: Question, rounds: int, archive: str) -> Found:
    times: list[float] = []
    rows = status = 0
    for number in range(1 if question.name.endswith("at first") else rounds):
        target = question.target + (f"&offset={number * _LIMIT}" if question.pages else "")
        began = time.perf_counter()
        status, body = await gateway.ask(target, caller)
        times.append((time.perf_counter() - began) * 1000)
        rows = len(json.loads(body)) if status == 200 else 0
    times.sort()
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    return Found(archive, caller.name, question.name, statistics.median(times), p99, rows, status)


async def _measure(
    archive: str, origin: Origin, folder: Path, studies: int, sizes: list[int], rounds: int
) -> list[Found]:
    found = []
    gateway = await SearchGateway.over(origin, folder)
    try:
        callers = await gateway.callers(studies, sizes)
        for caller in callers:
            for question in questions(studies, caller.permitted):
                _say(f"{archive}: {caller.name}, {question.name}")
                found.append(await _ask(gateway, caller, question, rounds, archive))
    finally:
        await gateway.aclose()
    return found


def _say(words: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{words:<78}\r", end="", file=sys.stderr, flush=True)


@contextmanager
def _simulated(index: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    with running(["bench.simulated_pacs", str(port), str(index)], port):
        yield f"http://127.0.0.1:{port}/dicom-web"


def main(arguments: list[str]) -> int:
    """The command line. Exit status 1 when a search found nothing that should."""
    parser = argparse.ArgumentParser(prog="python -m bench search", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--studies", type=int, default=20_000, help="studies in the archive (a million takes a while)")
    parser.add_argument("--rounds", type=int, default=20, help="times each is asked")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--only", choices=("archive", "remote"), help="one of the two archives")
    options = parser.parse_args(arguments)
    sizes = [3, max(10, options.studies // 1000), options.studies * 9 // 10]
    found: list[Found] = []
    with tempfile.TemporaryDirectory(prefix="consentry-bench-") as name:
        folder = Path(name)
        began = time.perf_counter()
        generate(folder / "index.sqlite", Spread(options.studies))
        made_s = time.perf_counter() - began
        if options.only != "remote":
            origin = ArchiveOrigin(folder, folder / "index.sqlite")
            found += asyncio.run(_measure("embedded", origin, folder / "a", options.studies, sizes, options.rounds))
        if options.only != "archive":
            with _simulated(folder / "index.sqlite") as url:
                remote = RemoteOrigin(HttpOrigin(url))
                found += asyncio.run(_measure("remote", remote, folder / "b", options.studies, sizes, options.rounds))
    if options.json:
        print(json.dumps([asdict(one) for one in found]))
    else:
        _print(found)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{options.studies:,} studies, made in {made_s:.0f} s; this process took {peak_mb:.0f} MB at the most")
    return 1 if any(one.status != 200 and "page at" not in one.question for one in found) else 0


def _print(found: list[Found]) -> None:
    print(f"{'':<34}{'p50 ms':>10}{'p99 ms':>10}{'rows':>7}{'status':>8}")
    head = ("", "")
    for one in found:
        if (one.archive, one.caller) != head:
            head = one.archive, one.caller
            print(f"{one.archive}, {one.caller}")
        print(f"  {one.question:<32}{one.p50_ms:>10.1f}{one.p99_ms:>10.1f}{one.rows:>7}{one.status:>8}")
