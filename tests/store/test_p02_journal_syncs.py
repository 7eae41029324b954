"""P2: a record is on the disk before anyone is told so; where it cannot be, nobody is."""

import random
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlmodel import select

from app.store.engine import open_database
from app.store.tables import AccessRecordRow
from tests.support.needs import PROJECT, require_program
from tests.support.stores import new_sqlite

Said = list[tuple[str, str]]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return new_sqlite(tmp_path / "store.db")


def program(url: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "tests.store.journal_process", url, *options]


def said(output: str) -> Said:
    """Whole lines only: the last one may be cut by a kill."""
    return [
        (word, name)
        for line in output.splitlines(keepends=True)
        if line.endswith("\n")
        for word, name in [line.split()]
    ]


def stored(url: str) -> set[str]:
    database = open_database(url)
    rows = database.read(lambda transaction: transaction.exec(select(AccessRecordRow.record_id)).all())
    database.close()
    return {row.hex() for row in rows}


def traced(url: str, trace: Path, inject: str | None, *options: str) -> Said:
    command = [str(require_program("strace")), "-f", "--seccomp-bpf", "-y", "-o", str(trace)]
    command += ["-e", "trace=fdatasync,fsync,write,pwrite64"]
    if inject:
        command += ["-e", f"inject={inject}"]
    done = subprocess.run(
        [*command, *program(url, *options)], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60
    )
    return said(done.stdout)


def events(trace: Path) -> list[str]:
    """The trace as BEGIN and ACK of records and ``sync <file>`` of syncs that have returned 0, in their order."""
    found = []
    begun: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        thread, call = line.split(maxsplit=1)
        if told := re.match(r'write\(1<.*>, "(BEGIN|ACK|FAIL) ', call):
            found.append(told[1])
        elif sync := re.match(r"(?:fdatasync|fsync)\(\d+<(.*?)>", call):
            begun[thread] = sync[1]
        if re.match(r"(?:<\.\.\. )?(?:fdatasync|fsync)\b.*= 0$", call):
            found.append("sync " + begun[thread].rsplit("/", 1)[-1])
    return found


@pytest.mark.strace
def test_p02_the_log_is_synced_between_a_records_beginning_and_its_acknowledgement(
    sqlite_url: str, tmp_path: Path
) -> None:
    told = traced(sqlite_url, tmp_path / "trace", None, "--rounds", "12")
    assert [word for word, _ in told] == ["BEGIN", "ACK"] * 12
    seen = [event for event in events(tmp_path / "trace") if event in {"BEGIN", "ACK", "sync store.db-wal"}]
    between = " ".join(seen).split("BEGIN")[1:]
    assert len(between) == 12
    assert all(part.split()[0] == "sync" and "ACK" in part for part in between)


@pytest.mark.strace
def test_p02_callers_at_the_same_time_share_a_sync(sqlite_url: str, tmp_path: Path) -> None:
    told = traced(sqlite_url, tmp_path / "trace", None, "--rounds", "3", "--callers", "100")
    assert sum(word == "ACK" for word, _ in told) == 300
    assert 3 <= events(tmp_path / "trace").count("sync store.db-wal") <= 15


@pytest.mark.strace
@pytest.mark.parametrize(
    "inject",
    [
        "fdatasync,fsync:error=EIO:when=4..9",
        "pwrite64:error=EROFS:when=12..25",
    ],
)
def test_p02_a_failing_disk_acknowledges_nothing_and_is_used_again_once_it_works(
    sqlite_url: str, tmp_path: Path, inject: str
) -> None:
    told = traced(sqlite_url, tmp_path / "trace", inject, "--rounds", "30")
    outcomes = [word for word, _ in told if word != "BEGIN"]
    assert len(outcomes) == 30
    assert "FAIL" in outcomes
    assert outcomes[-1] == "ACK"
    assert {name for word, name in told if word == "ACK"} <= stored(sqlite_url)


@pytest.mark.strace
def test_p02_after_a_failed_sync_the_whole_log_is_moved_and_synced_before_anything_new(
    sqlite_url: str, tmp_path: Path
) -> None:
    """A sync that failed once may succeed the next time without having written what it lost."""
    traced(sqlite_url, tmp_path / "trace", "fdatasync,fsync:error=EIO:when=5", "--rounds", "20")
    seen = events(tmp_path / "trace")
    failed = seen.index("FAIL")
    again = seen.index("ACK", failed)
    assert "sync store.db" in seen[failed - 1 : again]


def test_p02_a_full_disk_acknowledges_nothing_and_is_used_again_once_there_is_room(sqlite_url: str) -> None:
    done = subprocess.run(
        program(sqlite_url, "--rounds", "9", "--full-from", "3", "--full-until", "6"),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = said(done.stdout)
    assert [word for word, _ in told if word != "BEGIN"] == ["ACK"] * 3 + ["FAIL"] * 3 + ["ACK"] * 3
    assert {name for word, name in told if word == "ACK"} <= stored(sqlite_url)


def test_p02_what_was_acknowledged_survives_kill_9(
    url: str, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    acknowledged: set[str] = set()
    for _ in range(run_size(2, 300)):
        options = ("--rounds", "1000000", "--callers", "20", "--seed", str(rng.getrandbits(32)))
        with subprocess.Popen(program(url, *options), cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            time.sleep(rng.random() * 0.2)
            process.kill()
            with suppress(ValueError):
                acknowledged |= {name for word, name in said(first + process.stdout.read()) if word == "ACK"}
    assert len(acknowledged) > 20
    assert acknowledged <= stored(url)
