"""The API over a fresh store, in this process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.in_process import InProcess
from tests.support.stores import opened_sqlite


@pytest.fixture
def api(tmp_path: Path) -> Iterator[InProcess]:
    database = opened_sqlite(tmp_path / "store.db")
    yield InProcess(database)
    database.close()
