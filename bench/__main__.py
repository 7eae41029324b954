"""``python -m bench``: starts everything itself on the loopback, runs interleaved rounds, prints one table.

What stands side by side: the archive (nginx serving files) asked directly; through nginx as a plain proxy; through
Consentry, which decides and writes a synced record for each request; and through nginx's auth_request with FastAPI,
which inserts its record into SQLite: written as most would (SQLModel), and as lean as it gets. Rates move by tens of
percent between runs on a small machine: the processor time per request is the steadier figure.

``python -m bench search`` measures searches instead (bench/search.py).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import search
from bench.archive_files import ArchiveFiles, Served, write_files
from bench.cpu import cpu_s
from bench.load import Tally
from bench.nginx import NginxMissingError, Ports, running_nginx
from bench.ports import free_ports
from bench.running import running
from bench.table import Measured, print_ratios, print_table
from bench.usual import TOKEN

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the archive: where it listens, what to show it, and the processes that do its work."""

    name: str
    port: int
    token: str | None
    pids: list[int]


@dataclass(frozen=True, slots=True)
class Case:
    """One load. ``rounds_each`` downloads per connection for bulk; None for small requests over a time."""

    name: str
    served: Served
    connections: int
    downloads: int | None = None


def _first_line(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


@contextmanager
def _ways(folder: Path, files: ArchiveFiles, consents: int) -> Iterator[list[Way]]:
    *given, gateway = free_ports(7)
    ports = Ports(*given)
    with ExitStack() as stack:
        nginx = stack.enter_context(running_nginx(folder, ports, files))
        usual, lean = (
            stack.enter_context(running([f"bench.{name}", str(port), str(folder / name)], port))
            for name, port in (("usual", ports.usual_checker), ("usual_lean", ports.lean_checker))
        )
        url = f"http://127.0.0.1:{ports.archive}/dicom-web"
        consentry = stack.enter_context(
            running(["bench.gateway", str(gateway), url, str(folder), str(consents)], gateway)
        )
        token = _first_line(consentry)
        yield [
            Way("direct", ports.archive, None, [nginx]),
            Way("nginx proxy", ports.proxy, None, [nginx]),
            Way("Consentry", gateway, token, [consentry.pid]),
            Way("auth_request + FastAPI", ports.usual, TOKEN, [nginx, usual.pid]),
            Way("the same without an ORM", ports.lean, TOKEN, [nginx, lean.pid]),
        ]


def _measure(case: Case, way: Way, seconds: float) -> tuple[Tally, float | None]:
    """One round, with the processor time that the way's own processes used for each answer, in seconds."""
    kind, amount = ("small", str(seconds)) if case.downloads is None else ("bulk", str(case.downloads))
    command = [sys.executable, "-m", "bench.load", kind, str(way.port), case.served.path, str(case.connections), amount]
    before = cpu_s(way.pids)
    finished = subprocess.run([*command, *([way.token] if way.token else [])], check=True, stdout=subprocess.PIPE)
    after = cpu_s(way.pids)
    tally = Tally(**json.loads(finished.stdout))
    used = (after - before) / tally.answers if before is not None and after is not None and tally.answers else None
    return tally, used


def _run(case: Case, ways: list[Way], rounds: int, seconds: float) -> list[Measured]:
    taken: dict[str, list[tuple[Tally, float | None]]] = {way.name: [] for way in ways}
    for number in range(rounds):
        for way in ways:
            _say(f"{case.name}: round {number + 1} of {rounds}, {way.name}")
            taken[way.name].append(_measure(case, way, seconds))
    _say("")
    measured = [_median(case, name, results) for name, results in taken.items()]
    direct = measured[0].requests_per_s
    return [
        Measured(**{**asdict(one), "of_direct": one.requests_per_s / direct if direct else 0.0}) for one in measured
    ]


def _say(words: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{words:<78}\r", end="", file=sys.stderr, flush=True)


def _median(case: Case, way: str, results: list[tuple[Tally, float | None]]) -> Measured:
    tallies = [tally for tally, _ in results]
    used = [one for _, one in results if one is not None]
    return Measured(
        case=case.name,
        way=way,
        requests_per_s=statistics.median(tally.answers / tally.seconds for tally in tallies),
        mb_per_s=statistics.median(tally.body_bytes / tally.seconds / _MB for tally in tallies),
        p50_ms=statistics.median(tally.p50_ms for tally in tallies),
        p99_ms=statistics.median(tally.p99_ms for tally in tallies),
        cpu_us=statistics.median(used) * 1e6 if used else None,
        failed=sum(tally.failed for tally in tallies),
    )


def main() -> int:
    """The command line. Exit status 1 when any answer failed or nginx is missing."""
    if sys.argv[1:2] == ["search"]:
        return search.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one short round of each, and less bulk")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    parser.add_argument("--consents", type=int, default=20_000, help="consents in the gateway's state")
    parser.add_argument("--only", default="", metavar="WORD", help="the loads whose name begins so")
    options = parser.parse_args()
    rounds, seconds = (1, 1.0) if options.quick else (3, 2.0)
    bulk_bytes = 20 * _MB if options.quick else 200 * _MB
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="consentry-bench-") as name:
        folder = Path(name)
        files = write_files(folder, 500_000, bulk_bytes)
        cases = [
            *(Case(f"metadata 2 KB x {n}", files.metadata, n) for n in (1, 16, 64)),
            *(Case(f"instance 2 KB x {n}", files.instance, n) for n in (1, 16, 64)),
            Case("frame 500 KB x 16", files.frame, 16),
            Case(f"bulk {bulk_bytes // _MB} MB x 4", files.bulk, 4, downloads=2),
        ]
        cases = [case for case in cases if case.name.startswith(options.only)]
        try:
            with _ways(folder, files, options.consents) as ways:
                for case in cases:
                    measured.extend(_run(case, ways, rounds, seconds))
        except NginxMissingError as missing:
            print(missing, file=sys.stderr)
            return 1
    if options.json:
        print(json.dumps([asdict(one) for one in measured]))
    else:
        print_table(measured)
        print_ratios(
            measured, "Consentry", ("direct", "nginx proxy", "auth_request + FastAPI", "the same without an ORM")
        )
    return 1 if any(one.failed for one in measured) else 0


if __name__ == "__main__":
    sys.exit(main())
