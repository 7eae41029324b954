"""The tables as written and the tables as migrated are the same, on both databases."""

import subprocess
import sys
from collections.abc import Callable

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, text

from app.store.engine import Database
from app.store.migrate import upgrade
from app.store.tables import Row
from tests.support.needs import PROJECT


def test_tables_and_migrations_agree(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Row.metadata) == []


def test_upgrading_again_changes_nothing(database: Database) -> None:
    upgrade(database)
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM access_record")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1


def test_gateways_that_start_together_take_turns(empty_url: str, opened: Callable[[str], Database]) -> None:
    program = "import sys; from app.store import engine, migrate; migrate.upgrade(engine.open_database(sys.argv[1]))"
    gateways = [subprocess.Popen([sys.executable, "-c", program, empty_url], cwd=PROJECT) for _ in range(2)]
    assert [gateway.wait(timeout=60) for gateway in gateways] == [0, 0]
    with opened(empty_url).engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1


def test_every_constraint_has_a_name_to_be_altered_by() -> None:
    unnamed = [
        constraint
        for table in Row.metadata.tables.values()
        for constraint in table.constraints
        if not constraint.name and not isinstance(constraint, CheckConstraint)
    ]
    assert unnamed == []
