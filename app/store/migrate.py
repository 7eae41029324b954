"""Brings a database to the newest schema, with the scripts in ``migrations/``."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from app.store.engine import Database, StoreUnavailableError, failure_name

_SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"
# Any fixed number: gateways that start together take turns at the schema.
_ADVISORY_LOCK = 0x636F6E73
# Alembic keeps what it works on in module globals.
_ALEMBIC = threading.Lock()


def upgrade(database: Database) -> None:
    """To the newest revision; does nothing when it is there. Blocks. Raises StoreUnavailableError."""
    try:
        with (
            _ALEMBIC,
            database.turn(),
            database.engine.connect().execution_options(consentry_writes=True) as connection,
        ):
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            command.upgrade(configuration(connection), "head")
            connection.commit()
    except SQLAlchemyError as error:
        raise StoreUnavailableError(failure_name(error)) from None


def is_newest(database: Database) -> bool:
    """Whether it has the newest schema. Blocks. Raises StoreUnavailableError."""
    try:
        with database.engine.connect() as connection:
            newest = ScriptDirectory.from_config(configuration(connection)).get_current_head()
            return MigrationContext.configure(connection).get_current_revision() == newest
    except SQLAlchemyError as error:
        raise StoreUnavailableError(failure_name(error)) from None


def configuration(connection: Connection) -> Config:
    """Alembic's settings, without a file of its own."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
