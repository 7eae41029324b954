"""emergencies and their reviews."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "emergency",
        sa.Column("emergency_id", sa.LargeBinary(), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("reason_salt", sa.LargeBinary(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("signer", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("snapshot_age_s", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["outbox_call.call_id"], name=op.f("fk_emergency_call_id")),
        sa.PrimaryKeyConstraint("emergency_id", name=op.f("pk_emergency")),
    )
    with op.batch_alter_table("emergency", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_emergency_actor"), ["actor"], unique=False)
        batch_op.create_index(batch_op.f("ix_emergency_patient_key"), ["patient_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_emergency_valid_until"), ["valid_until"], unique=False)

    op.create_table(
        "emergency_review",
        sa.Column("emergency_id", sa.LargeBinary(), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("reviewer", sa.LargeBinary(), nullable=False),
        sa.Column("finding", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("note_salt", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["outbox_call.call_id"], name=op.f("fk_emergency_review_call_id")),
        sa.PrimaryKeyConstraint("emergency_id", name=op.f("pk_emergency_review")),
    )
    with op.batch_alter_table("emergency_review", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_emergency_review_patient_key"), ["patient_key"], unique=False)
