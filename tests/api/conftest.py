"""The API over a fresh store, in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store.engine import open_database
from app.store.migrate import upgrade
from tests.api.in_process import InProcess


@pytest.fixture
def api(tmp_path: Path) -> Iterator[InProcess]:
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    upgrade(database)
    yield InProcess(database)
    database.close()
