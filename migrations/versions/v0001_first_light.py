"""first light."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_outcome",
        sa.Column("record_id", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body_bytes", sa.BigInteger(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_access_outcome")),
    )
    op.create_table(
        "access_record",
        sa.Column("row_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("record_id", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.LargeBinary(), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("study_uid", sa.Text(), nullable=True),
        sa.Column("action", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.Integer(), nullable=False),
        sa.Column("basis", sa.LargeBinary(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=True),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("row_id", name=op.f("pk_access_record")),
        sa.UniqueConstraint("record_id", name=op.f("uq_access_record_record_id")),
    )
    with op.batch_alter_table("access_record", schema=None) as batch_op:
        batch_op.create_index("ix_access_record_actor", ["actor", "row_id"], unique=False)
        batch_op.create_index(
            "ix_access_record_batch",
            ["batch_id"],
            unique=False,
            sqlite_where=sa.text("batch_id IS NOT NULL"),
            postgresql_where=sa.text("batch_id IS NOT NULL"),
        )
        batch_op.create_index("ix_access_record_patient", ["patient_key", "row_id"], unique=False)
        batch_op.create_index(
            "ix_access_record_unbatched",
            ["row_id", "at"],
            unique=False,
            sqlite_where=sa.text("batch_id IS NULL"),
            postgresql_where=sa.text("batch_id IS NULL"),
        )
        batch_op.create_index(
            "uq_access_record_seq",
            ["seq"],
            unique=True,
            sqlite_where=sa.text("seq IS NOT NULL"),
            postgresql_where=sa.text("seq IS NOT NULL"),
        )

    op.create_table(
        "access_request",
        sa.Column("request_id", sa.LargeBinary(), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("requester", sa.LargeBinary(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("consent_id", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_access_request")),
    )
    with op.batch_alter_table("access_request", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_access_request_patient_key"), ["patient_key"], unique=False)
        batch_op.create_index(batch_op.f("ix_access_request_requester"), ["requester"], unique=False)

    op.create_table(
        "directory_entry",
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organisation", sa.Text(), nullable=False),
        sa.Column("registration", sa.Text(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("entry_hash", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_directory_entry")),
    )
    op.create_table(
        "outbox_call",
        sa.Column("call_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reference", sa.LargeBinary(), nullable=False),
        sa.Column("target", sa.LargeBinary(), nullable=False),
        sa.Column("calldata", sa.LargeBinary(), nullable=False),
        sa.Column("gas_limit", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("account_nonce", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("mined_number", sa.BigInteger(), nullable=True),
        sa.Column("mined_hash", sa.LargeBinary(), nullable=True),
        sa.Column("mined_tx", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("call_id", name=op.f("pk_outbox_call")),
        sa.UniqueConstraint("account", "account_nonce", name="uq_outbox_call_account_nonce"),
        sa.UniqueConstraint("kind", "reference", name="uq_outbox_call_reference"),
    )
    with op.batch_alter_table("outbox_call", schema=None) as batch_op:
        batch_op.create_index("ix_outbox_call_state", ["state", "account"], unique=False)

    op.create_table(
        "patient",
        sa.Column("row_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("enrolled_at", sa.BigInteger(), nullable=False),
        sa.Column("erased_at", sa.BigInteger(), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("row_id", name=op.f("pk_patient")),
        sa.UniqueConstraint("patient_id", "issuer", name="uq_patient_subject"),
        sa.UniqueConstraint("patient_key", name=op.f("uq_patient_patient_key")),
    )
    with op.batch_alter_table("patient", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_patient_changed_at"), ["changed_at"], unique=False)

    op.create_table(
        "session",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("actor", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_session")),
    )
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_session_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "siwe_nonce",
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_siwe_nonce")),
    )
    with op.batch_alter_table("siwe_nonce", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_siwe_nonce_issued_at"), ["issued_at"], unique=False)

    op.create_table(
        "chain_batch",
        sa.Column("batch_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("call_id", sa.BigInteger(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("prev_head", sa.LargeBinary(), nullable=False),
        sa.Column("next_head", sa.LargeBinary(), nullable=False),
        sa.Column("oldest_at", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["call_id"], ["outbox_call.call_id"], name=op.f("fk_chain_batch_call_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_chain_batch")),
        sa.UniqueConstraint("call_id", name=op.f("uq_chain_batch_call_id")),
    )
    with op.batch_alter_table("chain_batch", schema=None) as batch_op:
        batch_op.create_index(
            "uq_chain_batch_first_seq",
            ["first_seq"],
            unique=True,
            sqlite_where=sa.text("released_at IS NULL"),
            postgresql_where=sa.text("released_at IS NULL"),
        )

    op.create_table(
        "consent_message",
        sa.Column("consent_id", sa.LargeBinary(), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("typed_data", sa.Text(), nullable=False),
        sa.Column("signer", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["outbox_call.call_id"], name=op.f("fk_consent_message_call_id")),
        sa.PrimaryKeyConstraint("consent_id", name=op.f("pk_consent_message")),
    )
    with op.batch_alter_table("consent_message", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consent_message_patient_key"), ["patient_key"], unique=False)

    op.create_table(
        "outbox_tx",
        sa.Column("tx_hash", sa.LargeBinary(), nullable=False),
        sa.Column("call_id", sa.BigInteger(), nullable=False),
        sa.Column("account_nonce", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("max_fee_wei", sa.Text(), nullable=False),
        sa.Column("priority_fee_wei", sa.Text(), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["outbox_call.call_id"], name=op.f("fk_outbox_tx_call_id")),
        sa.PrimaryKeyConstraint("tx_hash", name=op.f("pk_outbox_tx")),
    )
    with op.batch_alter_table("outbox_tx", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_outbox_tx_call_id"), ["call_id"], unique=False)

    op.create_table(
        "revocation_message",
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("consent_id", sa.LargeBinary(), nullable=False),
        sa.Column("typed_data", sa.Text(), nullable=False),
        sa.Column("signer", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("landed_at", sa.BigInteger(), nullable=True),
        sa.Column("call_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["outbox_call.call_id"], name=op.f("fk_revocation_message_call_id")),
        sa.PrimaryKeyConstraint("patient_key", "consent_id", name=op.f("pk_revocation_message")),
    )
    with op.batch_alter_table("revocation_message", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_revocation_message_landed_at"), ["landed_at"], unique=False)
