"""Which databases are opened, and that their errors say nothing they should not."""

import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from app.store.engine import ConflictError, Database, StoreUnavailableError, UnfitDatabaseError, open_database
from app.store.tables import PatientRow

Opened = Callable[[str], Database]


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite://", "sqlite:///:memory:", "sqlite:///x.db?mode=ro", "mysql://u:secret@h/d"),
        *("secret", "sqlite+aiosqlite:///x.db?a=b", "nosuch:///secret"),
    ],
)
def test_a_url_that_cannot_keep_anything_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UnfitDatabaseError) as caught:
        open_database(url)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        open_database(f"postgresql://u:secret@/d?host={tmp_path}")
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreUnavailableError):
        open_database(f"sqlite:///{tmp_path}/nowhere/store.db")


@pytest.mark.postgres
@pytest.mark.parametrize("empty_url", ["postgres"], indirect=True)
def test_a_server_that_does_not_sync_is_refused(empty_url: str, opened: Opened) -> None:
    opened(empty_url).write(
        lambda transaction: transaction.connection().execute(text("ALTER ROLE postgres SET synchronous_commit = off"))
    )
    try:
        with pytest.raises(UnfitDatabaseError, match="synchronous_commit"):
            open_database(empty_url)
    finally:
        with psycopg.connect(empty_url, autocommit=True) as connection:
            connection.execute("ALTER ROLE postgres RESET synchronous_commit")


@pytest.mark.parametrize("held", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_new_file_that_another_gateway_is_setting_up_is_waited_for(tmp_path: Path, held: str) -> None:
    """SQLite itself does not wait for the first of the two before it changes to a write-ahead log."""
    file = tmp_path / "store.db"
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute(held)
        let_go = threading.Timer(0.3, other.execute, ["COMMIT"])
        let_go.start()
        open_database(f"sqlite:///{file}").close()
        let_go.join()


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
def test_only_its_owner_reads_the_file(empty_url: str, opened: Opened) -> None:
    database = opened(empty_url)
    database.write(lambda transaction: transaction.connection().execute(text("CREATE TABLE x (y)")))
    assert database.path is not None
    for path in database.path.parent.glob("store.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("empty_url", ["sqlite"], indirect=True)
def test_every_connection_syncs_and_checks_references(empty_url: str, opened: Opened) -> None:
    with opened(empty_url).engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1}


def test_a_conflict_and_a_failure_name_no_value(database: Database) -> None:
    def enrol(transaction: object) -> None:
        row = PatientRow(
            patient_key=b"k" * 32,
            patient_id="SECRET",
            issuer="",
            salt=b"",
            code=None,
            enrolled_at=0,
            erased_at=None,
            changed_at=0,
        )
        transaction.add(row)  # type: ignore[attr-defined]  # a session

    database.write(enrol)
    with pytest.raises(ConflictError) as conflict:
        database.write(enrol)
    with pytest.raises(StoreUnavailableError) as failure:
        database.read(lambda transaction: transaction.connection().execute(text("SELECT 'SECRET'::x, nosuch")))
    for caught in (conflict.value, failure.value):
        assert "SECRET" not in repr(caught)
        assert caught.__suppress_context__


def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    def half(transaction: object) -> None:
        transaction.connection().execute(text("INSERT INTO siwe_nonce VALUES ('n', '', 0, NULL)"))  # type: ignore[attr-defined]
        raise RuntimeError("on the way")

    with pytest.raises(RuntimeError):
        database.write(half)
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM siwe_nonce")).scalar() == 0
