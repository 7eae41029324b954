"""several texts of one account in the directory."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("directory_entry", schema=None) as batch_op:
        batch_op.drop_constraint("pk_directory_entry", type_="primary")
        batch_op.create_primary_key("pk_directory_entry", ["address", "entry_hash"])
