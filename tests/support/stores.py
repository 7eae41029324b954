"""Databases with their tables for tests: the migrations run once in a run, and each test gets what they made."""

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import event

from app.store.engine import Database, open_database
from app.store.migrate import upgrade


@functools.cache
def _tables() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        database = open_database(f"sqlite:///{path}")
        upgrade(database)
        database.close()
        return path.read_bytes()


def new_sqlite(path: Path) -> str:
    """Makes an SQLite database with the newest schema and no rows there; its URL."""
    path.write_bytes(_tables())
    path.chmod(0o600)
    return f"sqlite:///{path}"


def opened_sqlite(path: Path) -> Database:
    """The same, opened. The caller closes it."""
    return open_database(new_sqlite(path))


@contextmanager
def statements_at(database: Database) -> Iterator[list[str]]:
    """Every statement that reaches the database meanwhile."""
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        said.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield said
    event.remove(database.engine, "before_cursor_execute", note)
