"""notices."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "contact",
        sa.Column("actor", sa.LargeBinary(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("muted", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("actor", name=op.f("pk_contact")),
    )
    op.create_table(
        "known_accessor",
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "actor", name=op.f("pk_known_accessor")),
    )
    op.create_table(
        "notice",
        sa.Column("notice_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("identity", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recipient", sa.LargeBinary(), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("about", sa.LargeBinary(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("addressed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("notice_id", name=op.f("pk_notice")),
        sa.UniqueConstraint("identity", name=op.f("uq_notice_identity")),
    )
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_notice_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_notice_patient_key"), ["patient_key"], unique=False)
        batch_op.create_index(
            "ix_notice_unaddressed",
            ["notice_id"],
            unique=False,
            sqlite_where=sa.text("addressed_at IS NULL"),
            postgresql_where=sa.text("addressed_at IS NULL"),
        )

    op.create_table(
        "notice_cursor",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_notice_cursor")),
    )
    op.create_table(
        "contact_channel",
        sa.Column("actor", sa.LargeBinary(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["actor"], ["contact.actor"], name=op.f("fk_contact_channel_actor"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("actor", "channel", name=op.f("pk_contact_channel")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_contact_channel_token_hash")),
    )
    op.create_table(
        "contact_patient",
        sa.Column("actor", sa.LargeBinary(), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["actor"], ["contact.actor"], name=op.f("fk_contact_patient_actor"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("actor", "patient_key", name=op.f("pk_contact_patient")),
    )
    with op.batch_alter_table("contact_patient", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_contact_patient_patient_key"), ["patient_key"], unique=False)

    op.create_table(
        "notice_delivery",
        sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("notice_id", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.LargeBinary(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("public_id", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["notice.notice_id"], name=op.f("fk_notice_delivery_notice_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_notice_delivery")),
        sa.UniqueConstraint("notice_id", "actor", "channel", name="uq_notice_delivery_once"),
    )
    with op.batch_alter_table("notice_delivery", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_notice_delivery_actor"), ["actor"], unique=False)
        batch_op.create_index("ix_notice_delivery_next", ["state", "next_at"], unique=False)

    # Whoever looked before this was kept is nobody new.
    op.execute("INSERT INTO known_accessor (patient_key, actor) SELECT DISTINCT patient_key, actor FROM access_record")
