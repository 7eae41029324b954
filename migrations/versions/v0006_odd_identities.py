"""odd identities."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identity_resolution",
        sa.Column("resolution_id", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("alias_patient_id", sa.Text(), nullable=True),
        sa.Column("alias_issuer", sa.Text(), nullable=True),
        sa.Column("study_uid", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_by", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_by", sa.LargeBinary(), nullable=True),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("resolution_id", name=op.f("pk_identity_resolution")),
    )
    in_force = sa.text("withdrawn_at IS NULL")
    with op.batch_alter_table("identity_resolution", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_identity_resolution_patient_key"), ["patient_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_identity_resolution_changed_at"), ["changed_at"], unique=False)
        batch_op.create_index(
            "uq_identity_resolution_alias",
            ["alias_patient_id", "alias_issuer"],
            unique=True,
            sqlite_where=in_force,
            postgresql_where=in_force,
        )
        batch_op.create_index(
            "uq_identity_resolution_study",
            ["study_uid"],
            unique=True,
            sqlite_where=in_force,
            postgresql_where=in_force,
        )

    op.create_table(
        "odd_study",
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("oddity", sa.Text(), nullable=False),
        sa.Column("identities", sa.Integer(), nullable=False),
        sa.Column("instances", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", name=op.f("pk_odd_study")),
    )
    with op.batch_alter_table("odd_study", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_odd_study_oddity"), ["oddity"], unique=False)
        batch_op.create_index(batch_op.f("ix_odd_study_last_seen"), ["last_seen"], unique=False)

    op.create_table(
        "odd_identity",
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("identity_hash", sa.LargeBinary(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("blank", sa.Boolean(), nullable=False),
        sa.Column("instances", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("study_uid", "identity_hash", name=op.f("pk_odd_identity")),
    )
    with op.batch_alter_table("odd_identity", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_odd_identity_identity_hash"), ["identity_hash"], unique=False)

    op.create_table(
        "identity_scan",
        sa.Column("scan_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.Column("started_by", sa.LargeBinary(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("scan_id", name=op.f("pk_identity_scan")),
    )
