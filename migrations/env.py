"""How Alembic reaches the tables: the caller hands over a connection; its transaction is the migration's."""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from app.store.tables import Row, RowId


def _render(kind: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    # A migration stays as it was written, so it names no type of ours that may change.
    if kind == "type" and isinstance(item, RowId):
        return 'sa.BigInteger().with_variant(sa.Integer(), "sqlite")'
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    render_as_batch=True,  # SQLite alters a table by making it anew
    render_item=_render,
)
context.run_migrations()
