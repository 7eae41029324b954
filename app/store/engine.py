"""Opens the database and runs short pieces of work on it in threads, off the event loop.

SQLite for one gateway, PostgreSQL for several. Both are set so that a commit that returns is on the disk: SQLite in
WAL mode syncs each commit only with ``synchronous=FULL``; PostgreSQL does unless ``fsync`` or ``synchronous_commit``
is off, which is refused.

What a driver says in an error may hold values (PostgreSQL quotes the key of a duplicate): no such text leaves here.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlmodel import Session

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

BUSY_TIMEOUT_MS = 5_000
_TURN_S = 0.02
# A statement takes 32,766 parameters in SQLite as it is usually built and 65,535 in PostgreSQL, which also runs out of
# stack over a few thousand pairs.
_MOST_NAMED = 1_000
_WRITES = "consentry_writes"
_THREADS = 4


class StoreUnavailableError(Exception):
    """The database could not be read or written. The text names the kind of failure and no value."""


class ConflictError(Exception):
    """A row that must be unique is already there."""


class UnfitDatabaseError(Exception):
    """The database is not one that can keep what it acknowledges, or the URL names none."""


class Database:
    """One database. Thread-safe; ``close`` it at the end."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer at a time and makes others poll for their turn; inside a process a lock is fairer.
        self._turn: AbstractContextManager[Any] = threading.Lock() if self.is_sqlite else nullcontext()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")

    @property
    def path(self) -> Path | None:
        """Where an SQLite database lies; None for PostgreSQL."""
        return Path(self.engine.url.database or "") if self.is_sqlite else None

    def turn(self) -> AbstractContextManager[Any]:
        """The right to write: held by whoever writes, inside this process."""
        return self._turn

    def sqlite_connection(self) -> sqlite3.Connection:
        """A fresh connection of the driver's own, set up as all others are, not of the pool. The caller closes it."""
        return cast("sqlite3.Connection", self._detached())

    def postgres_connection(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """The same for PostgreSQL."""
        return cast("psycopg.Connection[tuple[Any, ...]]", self._detached())

    def read(self, work: Callable[[Session], T]) -> T:
        """Runs ``work`` in a transaction that is rolled back. Blocks. Raises StoreUnavailableError."""
        return self._run(work, writes=False)

    def write(self, work: Callable[[Session], T]) -> T:
        """Runs ``work`` in a transaction and commits it, synced. Blocks.

        Raises StoreUnavailableError, ConflictError.
        """
        with self._turn:
            return self._run(work, writes=True)

    async def reading(self, work: Callable[[Session], T]) -> T:
        """``read``, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read, work)

    async def writing(self, work: Callable[[Session], T]) -> T:
        """``write``, off the event loop. Once begun it ends, whether or not the caller still waits."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.write, work)

    async def forget_overwritten(self) -> None:
        """Empties SQLite's write-ahead log, which still holds the pages as they were, as far as no reader needs it now.
        PostgreSQL keeps such things at its administrator's discretion (docs/THREAT_MODEL.md).
        """
        if self.is_sqlite:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._empty_log)

    def close(self) -> None:
        """Lets running work end, then closes all connections."""
        self._threads.shutdown()
        self.engine.dispose()

    def _empty_log(self) -> None:
        try:
            with self._turn:
                connection = self.sqlite_connection()
                try:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                finally:
                    connection.close()
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreUnavailableError(failure_name(error)) from None

    def _detached(self) -> object:
        pooled = self.engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        return connection

    def _run(self, work: Callable[[Session], T], *, writes: bool) -> T:
        try:
            with (
                self.engine.connect().execution_options(**{_WRITES: writes}) as connection,
                Session(connection, expire_on_commit=False) as session,
            ):
                result = work(session)
                if writes:
                    session.commit()
                return result
        except IntegrityError:
            raise ConflictError("a row with this key is already there") from None
        except SQLAlchemyError as error:
            raise StoreUnavailableError(failure_name(error)) from None


def portions(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values a thousand at a time: no more than one statement can name, in pairs too."""
    return (values[at : at + _MOST_NAMED] for at in range(0, len(values), _MOST_NAMED))


def failure_name(error: BaseException) -> str:
    """A name for a database failure without the driver's text: the class and, where there is one, the driver's code."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__} {code}" if code else type(cause).__name__


def open_database(url: str) -> Database:
    """Opens ``sqlite:///<file>`` (made if missing, readable by its owner only) or ``postgresql://…``.

    Raises UnfitDatabaseError for any other URL and for a server that does not sync, StoreUnavailableError when it
    cannot be reached.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            engine = _open_sqlite(parsed)
        elif parsed.get_backend_name() == "postgresql":
            engine = _open_postgres(parsed)
        else:
            raise UnfitDatabaseError("the database must be SQLite or PostgreSQL")
    except (SQLAlchemyError, NoSuchModuleError) as error:
        raise UnfitDatabaseError(f"the database URL cannot be used ({type(error).__name__})") from None
    database = Database(engine)
    try:
        with engine.connect() as connection:
            _require_durable(connection)
    except SQLAlchemyError as error:
        database.close()
        raise StoreUnavailableError(failure_name(error)) from None
    except UnfitDatabaseError:
        database.close()
        raise
    return database


def _open_sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:" or url.query:
        raise UnfitDatabaseError("an SQLite database must be a plain file, so that it outlives the process")
    try:
        # It holds PatientIDs: only the owner reads it. SQLite gives its side files the same mode.
        os.close(os.open(url.database, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnavailableError(f"the database file cannot be opened ({type(error).__name__})") from None
    engine = create_engine(url.set(drivername="sqlite+pysqlite"), hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so, below
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        _write_ahead(connection)
        for pragma in (
            "synchronous=FULL",
            "fullfsync=ON",  # macOS: fsync alone does not reach the platter there
            "foreign_keys=ON",
            "secure_delete=ON",  # an erased patient is not to be read from free pages
            "trusted_schema=OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A write that begins as a read and then upgrades can fail at once, whatever the busy timeout.
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Makes the file one with a write-ahead log, which it then stays.

    SQLite does not wait for the file's lock there, whatever the busy timeout, so two gateways that start together on a
    new file are told to by turns; raises sqlite3.OperationalError after that time.
    """
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_TURN_S)
        else:
            return


def _open_postgres(url: URL) -> Engine:
    options = "-c lock_timeout=5s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s"
    if given := url.query.get("options"):
        options = f"{options} {given if isinstance(given, str) else ' '.join(given)}"  # what the operator says wins
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "tcp_user_timeout": 10_000, "options": options},
    )


def _require_durable(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
            raise UnfitDatabaseError("SQLite cannot keep a write-ahead log here (a network file system?)")
        return
    for setting in ("fsync", "synchronous_commit"):
        if connection.exec_driver_sql(f"SHOW {setting}").scalar() == "off":
            raise UnfitDatabaseError(f"PostgreSQL has {setting} off: what it acknowledges could be lost")
