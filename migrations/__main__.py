"""``python -m migrations 0002 "what changes"`` drafts the migration from the last one to ``tables.py``."""

import sys
import tempfile
from pathlib import Path

from alembic import command

from app.store.engine import open_database
from app.store.migrate import configuration, upgrade


def draft(revision: str, message: str) -> None:
    """Compares the tables with a fresh database at the newest revision and writes the difference as a new one."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'draft.db'}")
        upgrade(database)
        with database.engine.connect() as connection:
            command.revision(configuration(connection), message=message, rev_id=revision, autogenerate=True)
        database.close()


if len(sys.argv) != 3:
    sys.exit('usage: python -m migrations 0002 "what changes"')
draft(*sys.argv[1:])
