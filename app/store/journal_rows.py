"""What the journal says to its database, in each database's quickest words, on a connection of its own."""

import sqlite3
from typing import TYPE_CHECKING, Any, Protocol

from app.store.engine import Database

if TYPE_CHECKING:
    import psycopg

# record_id, at, actor, patient_key, study_uid, action, purpose, basis, block_number, block_hash, salt, body, commitment
RecordRow = tuple[bytes, int, bytes, bytes, str | None, int, int, bytes, int, bytes, bytes, bytes, bytes]
# record_id, status, body_bytes, complete, at
OutcomeRow = tuple[bytes, int, int, bool, int]

_RECORD_COLUMNS = (
    "record_id, at, actor, patient_key, study_uid, action, purpose, basis, block_number, block_hash, "
    "salt, body, commitment"
)
_OUTCOME_COLUMNS = "record_id, status, body_bytes, complete, at"
_BACKLOG = """
SELECT
  (SELECT count(*) FROM access_record WHERE batch_id IS NULL),
  (SELECT min(at) FROM access_record WHERE batch_id IS NULL),
  coalesce(sum(b.count), 0),
  min(b.oldest_at)
FROM outbox_call c JOIN chain_batch b ON b.call_id = c.call_id
WHERE c.state IN ('queued', 'signed') AND b.released_at IS NULL
"""


class JournalRows(Protocol):
    """A connection that only the journal's thread uses. Any method may raise; the connection is then of no more use."""

    def write(self, records: list[RecordRow], outcomes: list[OutcomeRow]) -> None:
        """Writes all in one transaction; returns once it is committed and synced."""

    def backlog(self) -> tuple[int, int | None]:
        """How many records no block holds yet, and when the oldest was made."""

    def close(self) -> None:
        """Never raises."""


def open_rows(database: Database) -> JournalRows:
    """A connection ready to write. Raises the driver's errors, and OSError-like ones from opening."""
    if database.is_sqlite:
        with database.turn():
            return _SqliteRows(database.sqlite_connection())
    return _PostgresRows(database.postgres_connection())


class _SqliteRows:
    def __init__(self, connection: sqlite3.Connection) -> None:
        # The write-ahead log may end in frames whose sync once failed: they are in the page cache, perhaps not on the
        # disk, and whatever is appended after them would be lost with them. So everything is moved to the database
        # file, synced, and the log begun anew, before anything new is acknowledged.
        self._connection = connection
        try:
            blocked, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if blocked:
                raise sqlite3.OperationalError("the write-ahead log is in use")
        except sqlite3.Error:
            self.close()
            raise

    def write(self, records: list[RecordRow], outcomes: list[OutcomeRow]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_SQLITE_RECORDS, records)
        if outcomes:
            connection.executemany(_SQLITE_OUTCOMES, outcomes)
        connection.execute("COMMIT")

    def backlog(self) -> tuple[int, int | None]:
        return _sum(self._connection.execute(_BACKLOG).fetchone())

    def close(self) -> None:
        try:
            self._connection.close()
        except sqlite3.Error:  # it was given up for an error already
            return


class _PostgresRows:
    def __init__(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        self._connection = connection
        try:
            connection.execute("SET statement_timeout = '10s'")
            connection.commit()
        except Exception:
            self.close()
            raise

    def write(self, records: list[RecordRow], outcomes: list[OutcomeRow]) -> None:
        with self._connection.cursor() as cursor:
            if records:
                cursor.execute(_POSTGRES_RECORDS, [list(column) for column in zip(*records, strict=True)])
            if outcomes:
                cursor.execute(_POSTGRES_OUTCOMES, [list(column) for column in zip(*outcomes, strict=True)])
        self._connection.commit()

    def backlog(self) -> tuple[int, int | None]:
        row = self._connection.execute(_BACKLOG).fetchone()
        self._connection.commit()
        assert row is not None  # noqa: S101 - an aggregate always has one row
        return _sum(row)

    def close(self) -> None:
        self._connection.close()


def _sum(row: tuple[Any, ...]) -> tuple[int, int | None]:
    unbatched, oldest_unbatched, batched, oldest_batched = row
    oldest = [at for at in (oldest_unbatched, oldest_batched) if at is not None]
    return int(unbatched) + int(batched), min(oldest, default=None)


_SQLITE_RECORDS = f"INSERT INTO access_record ({_RECORD_COLUMNS}) VALUES ({','.join('?' * 13)})"  # noqa: S608 - constants
_SQLITE_OUTCOMES = f"INSERT OR IGNORE INTO access_outcome ({_OUTCOME_COLUMNS}) VALUES (?,?,?,?,?)"  # noqa: S608 - constants
_POSTGRES_RECORDS = (
    f"INSERT INTO access_record ({_RECORD_COLUMNS}) SELECT * FROM unnest("  # noqa: S608 - constants
    "%b::bytea[], %b::bigint[], %b::bytea[], %b::bytea[], %b::text[], %b::int[], %b::int[], %b::bytea[],"
    " %b::bigint[], %b::bytea[], %b::bytea[], %b::bytea[], %b::bytea[])"
)
_POSTGRES_OUTCOMES = (
    f"INSERT INTO access_outcome ({_OUTCOME_COLUMNS})"  # noqa: S608 - constants
    " SELECT * FROM unnest(%b::bytea[], %b::int[], %b::bigint[], %b::bool[], %b::bigint[]) ON CONFLICT DO NOTHING"
)
