"""A PostgreSQL of the tests' own: a fresh cluster in a temporary folder, reached by a socket in it only."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from app.store.engine import open_database
from app.store.migrate import upgrade
from tests.support.needs import postgres_folder

_WAIT_S = 60
# What a test began and left must neither be waited for nor reach the next one: gone with its locks, in milliseconds
_END_OTHERS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# Every row, whichever refers to which, and every counter; but for the revision
_EMPTY = """
    DO $$ DECLARE name regclass; BEGIN
        SET LOCAL session_replication_role = replica;
        FOR name IN SELECT relid FROM pg_stat_user_tables WHERE relname <> 'alembic_version' LOOP
            EXECUTE format('DELETE FROM %s', name);
        END LOOP;
        PERFORM setval(quote_ident(schemaname) || '.' || quote_ident(sequencename), start_value, false)
        FROM pg_sequences;
    END $$
"""


@dataclass
class PostgresCluster:
    """A running server.

    ``new_url`` gives an empty schema of the one database: a database each would cost 300 files. ``migrated_url`` gives
    a database with the newest schema, the same each time: emptied, and taken from whoever still has it open. The
    migrations take half a second, a copy of what they made as long again to write.
    """

    programs: Path
    folder: Path
    user: str | None
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _is_migrated: bool = False
    _server: "subprocess.Popen[bytes] | None" = None

    def new_url(self) -> str:
        name = f"site_{next(self._numbers)}"
        with psycopg.connect(self._dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self._url('postgres')}&options=-csearch_path%3D{name}"

    def migrated_url(self) -> str:
        name = "migrated"
        if not self._is_migrated:
            with psycopg.connect(self._dsn(), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            database = open_database(self._url(name))
            upgrade(database)
            database.close()
            self._is_migrated = True
        with psycopg.connect(self._dsn(name)) as connection:
            connection.execute(_END_OTHERS)
            connection.execute(_EMPTY)
        return self._url(name)

    def start(self) -> None:
        """Starts the server and returns once it answers."""
        options = [
            "-c",
            "listen_addresses=",
            "-c",
            f"unix_socket_directories={self.folder}",
            "-c",
            "max_connections=60",
        ]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self.programs / "postgres", "-D", self.folder / "data", *options],
                stderr=log,
                user=self.user,
                cwd=self.folder,
            )
        until = time.monotonic() + _WAIT_S
        while True:
            try:
                psycopg.connect(self._dsn()).close()
            except psycopg.OperationalError:
                assert self._server.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < until, "PostgreSQL does not start"
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Cuts every connection and ends the server: with SIGINT in order, with SIGQUIT as a power cut would."""
        assert self._server is not None
        self._server.send_signal(how)
        self._server.wait(_WAIT_S)

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def _dsn(self, database: str = "postgres") -> str:
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
        options = ("-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            user=user,
            cwd=folder,
            timeout=_WAIT_S,
        )
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop(signal.SIGQUIT)  # it is thrown away
    finally:
        shutil.rmtree(folder)
