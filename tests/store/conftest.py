"""Every test of the store runs on both databases, unless it is about one of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.store.engine import Database, open_database
from tests.support.postgres import PostgresCluster, postgres_cluster
from tests.support.stores import new_sqlite


@pytest.fixture(scope="session")
def cluster() -> Iterator[PostgresCluster]:
    with postgres_cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    running: PostgresCluster = request.getfixturevalue("cluster")
    return running.new_url()


@pytest.fixture
def opened() -> Iterator[Callable[[str], Database]]:
    """Opens databases, and closes them after the test: two of one URL are two gateways."""
    databases: list[Database] = []

    def open_one(url: str) -> Database:
        databases.append(open_database(url))
        return databases[-1]

    yield open_one
    for database in databases:
        database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the newest schema."""
    if request.param == "sqlite":
        return new_sqlite(tmp_path / "store.db")
    running: PostgresCluster = request.getfixturevalue("cluster")
    return running.migrated_url()


@pytest.fixture
def database(url: str, opened: Callable[[str], Database]) -> Database:
    return opened(url)
