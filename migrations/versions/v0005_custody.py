"""custody: patients' codes, requests that expire, guardians' names, recoveries, erasures."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MONTH_S = 30 * 86400


def upgrade() -> None:
    op.create_table(
        "guardian_name",
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("guardian", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("patient_key", "guardian", name=op.f("pk_guardian_name")),
    )
    op.create_table(
        "recovery",
        sa.Column("recovery_id", sa.LargeBinary(), nullable=False),
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("registrar", sa.LargeBinary(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("controller", sa.LargeBinary(), nullable=True),
        sa.Column("claimed_at", sa.BigInteger(), nullable=True),
        sa.Column("started_call", sa.BigInteger(), nullable=True),
        sa.Column("move_nonce", sa.BigInteger(), nullable=True),
        sa.Column("ended", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["started_call"], ["outbox_call.call_id"], name=op.f("fk_recovery_started_call")),
        sa.PrimaryKeyConstraint("recovery_id", name=op.f("pk_recovery")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_recovery_code_hash")),
    )
    for column in ("created_at", "ended_at", "patient_key"):
        op.create_index(op.f(f"ix_recovery_{column}"), "recovery", [column], unique=False)
    op.create_table(
        "erasure",
        sa.Column("patient_key", sa.LargeBinary(), nullable=False),
        sa.Column("registrar", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.BigInteger(), nullable=True),
        sa.Column("erased_at", sa.BigInteger(), nullable=True),
        sa.Column("swept_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["call_id"], ["outbox_call.call_id"], name=op.f("fk_erasure_call_id")),
        sa.PrimaryKeyConstraint("patient_key", name=op.f("pk_erasure")),
    )
    for column in ("asked_at", "swept_at"):
        op.create_index(op.f(f"ix_erasure_{column}"), "erasure", [column], unique=False)
    _patients_get_codes()
    _requests_expire()


def _patients_get_codes() -> None:
    with op.batch_alter_table("patient", schema=None) as batch_op:
        batch_op.add_column(sa.Column("code", sa.Text(), nullable=True))
        batch_op.create_unique_constraint(op.f("uq_patient_code"), ["code"])
    patient = sa.table("patient", sa.column("row_id", sa.BigInteger()), sa.column("salt"), sa.column("code", sa.Text()))
    connection = op.get_bind()
    for row_id in connection.execute(sa.select(patient.c.row_id).where(patient.c.salt.is_not(None))).scalars().all():
        connection.execute(patient.update().where(patient.c.row_id == row_id).values(code=_code()))


def _requests_expire() -> None:
    with op.batch_alter_table("access_request", schema=None) as batch_op:
        batch_op.add_column(sa.Column("asked", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("expires_at", sa.BigInteger(), nullable=True))
    request = sa.table(
        "access_request",
        sa.column("request_id", sa.LargeBinary()),
        sa.column("asked", sa.LargeBinary()),
        sa.column("created_at", sa.BigInteger()),
        sa.column("expires_at", sa.BigInteger()),
    )
    # How they were named is not known any more: each counts for itself.
    op.get_bind().execute(
        request.update().values(asked=request.c.request_id, expires_at=request.c.created_at + _MONTH_S)
    )
    with op.batch_alter_table("access_request", schema=None) as batch_op:
        batch_op.alter_column("asked", existing_type=sa.LargeBinary(), nullable=False)
        batch_op.alter_column("expires_at", existing_type=sa.BigInteger(), nullable=False)
        batch_op.create_index(op.f("ix_access_request_expires_at"), ["expires_at"], unique=False)


def _code() -> str:
    """As app/core/patient_code.py made them when this was written."""
    number = secrets.randbits(50)
    number = number * 1024 + -number * 1024 % 1021
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(12)))
