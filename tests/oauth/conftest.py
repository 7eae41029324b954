"""Sign-in for programs in this process, with a program and somebody who is signed in."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.engine import open_database
from tests.oauth.program import Programs
from tests.support.stores import new_sqlite


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, to copy."""
    path = tmp_path_factory.mktemp("oauth") / "empty.db"
    new_sqlite(path)
    return path


@pytest.fixture
def programs(tmp_path: Path, empty: Path) -> Iterator[Programs]:
    shutil.copy(empty, tmp_path / "store.db")
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    yield Programs(database)
    database.close()
