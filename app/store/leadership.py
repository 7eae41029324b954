"""One of all gateways submits: the one that holds the lock. It is let go by the system when the process dies.

PostgreSQL keeps it as a session's advisory lock, SQLite's gateways (on one machine) as a lock on a file beside the
database. Two that both believe they lead for a moment do no harm: the outbox lets each nonce and each stretch of the
log be used once.
"""

import asyncio
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from app.store.engine import Database

if TYPE_CHECKING:
    import psycopg


class _Lock(Protocol):
    def hold(self) -> bool: ...
    def release(self) -> None: ...


class Leadership:
    """``name`` tells several locks of one database apart."""

    def __init__(self, database: Database, name: str) -> None:
        path = database.path
        self._lock: _Lock = (
            _AdvisoryLock(database, name) if path is None else _FileLock(path.with_name(f"{path.name}.{name}.lock"))
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"leader-{name}")

    async def hold(self) -> bool:
        """Takes the lock, or makes sure that it is still held. False when another holds it or nobody can say."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._lock.hold)

    async def release(self) -> None:
        """Lets another lead."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._lock.release)
        self._thread.shutdown()


class _FileLock:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def hold(self) -> bool:
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class _AdvisoryLock:
    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def hold(self) -> bool:
        try:
            if self._connection is None:
                return self._take()
            self._connection.execute("SELECT 1")
        except Exception:  # noqa: BLE001 - whatever is wrong with the connection, its lock may be another's by now
            self.release()
            return False
        return True

    def _take(self) -> bool:
        connection = self._database.postgres_connection()
        self._connection = connection
        connection.rollback()
        connection.autocommit = True
        row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [self._name]).fetchone()
        if row is None or not row[0]:
            self.release()
            return False
        return True

    def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
