"""What all tables share. Times are Unix seconds (UTC); hashes, keys and addresses are raw bytes.

Every change to a table needs a migration beside it (``migrations/``); a test holds the two together.
"""

from sqlalchemy import BigInteger, MetaData
from sqlalchemy.ext.compiler import compiles
from sqlmodel import SQLModel


class RowId(BigInteger):
    """A 64-bit key that counts up by itself. SQLite does that only for a column declared exactly INTEGER."""


@compiles(RowId, "sqlite")
def _row_id_on_sqlite(_element: RowId, _compiler: object, **_options: object) -> str:
    return "INTEGER"


class Row(SQLModel):
    """What all tables share: a catalogue of their own, in which every constraint has a name to be altered by."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
