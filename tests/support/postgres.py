"""A PostgreSQL of the tests' own: a fresh cluster in a temporary folder, reached by a socket in it only."""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.support.needs import postgres_folder

_STOP_SECONDS = 30


@dataclass
class PostgresCluster:
    """A running server. ``new_database`` gives the URL of an empty database."""

    programs: Path
    folder: Path
    user: str | None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def new_database(self) -> str:
        name = f"consentry_{next(self._numbers)}"
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of PostgreSQL's programs as the account that owns the cluster (it refuses root)."""
        subprocess.run(
            [self.programs / program, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            user=self.user,
            cwd=self.folder,
            timeout=60,
        )

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c max_connections=60"
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """``mode``: fast, or immediate for a crash."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-t", str(_STOP_SECONDS), "-m", mode, "stop")

    def _dsn(self, database: str) -> str:
        return f"host={self.folder} user=postgres dbname={database}"


@contextmanager
def postgres_cluster() -> Iterator[PostgresCluster]:
    """A cluster that lives as long as the context. Raises LookupError where PostgreSQL is not installed."""
    programs = postgres_folder()
    if programs is None:
        raise LookupError("PostgreSQL is not installed; mark the test with `postgres`")
    # Not below pytest's folder: that one is closed to the account PostgreSQL must run as, and sockets need short paths.
    folder = Path(tempfile.mkdtemp(prefix="consentry-pg-"))
    user = None
    if os.geteuid() == 0:
        user = "postgres"
        account = pwd.getpwnam(user)
        os.chown(folder, account.pw_uid, account.pw_gid)
    cluster = PostgresCluster(programs, folder, user)
    try:
        cluster.run("initdb", "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop("immediate")  # it is thrown away
    finally:
        shutil.rmtree(folder)
