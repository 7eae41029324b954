"""The tables as written and the tables as migrated are the same, on both databases."""

import subprocess
import sys
from collections.abc import Callable

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, text

from app.core.patient_code import read_patient_code
from app.store.engine import Database
from app.store.migrate import configuration, upgrade
from app.store.tables import Row
from tests.support.needs import PROJECT


def test_tables_and_migrations_agree(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Row.metadata) == []


def test_upgrading_again_changes_nothing(database: Database) -> None:
    upgrade(database)
    with database.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM access_record")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1


def test_patients_who_are_enrolled_get_codes_and_requests_an_end(
    empty_url: str, opened: Callable[[str], Database]
) -> None:
    database = opened(empty_url)
    with database.engine.connect() as connection:
        command.upgrade(configuration(connection), "0001")
        patient = text(
            "INSERT INTO patient (patient_key, patient_id, issuer, salt, enrolled_at, erased_at, changed_at)"
            " VALUES (:key, :id, :issuer, :salt, 1, :erased, 1)"
        )
        for number, salt, erased in ((1, b"s", None), (2, b"t", None), (3, None, 5)):
            named = None if salt is None else str(number)
            values = {"key": bytes([number]), "id": named, "issuer": named, "salt": salt, "erased": erased}
            connection.execute(patient, values)
        request = text(
            "INSERT INTO access_request (request_id, patient_key, requester, terms, message, state, created_at)"
            " VALUES (:id, :id, :id, '{}', '', 'open', 1000)"
        )
        connection.execute(request, {"id": b"r"})
        connection.commit()
    upgrade(database)
    with database.engine.connect() as connection:
        codes = [row[0] for row in connection.execute(text("SELECT code FROM patient ORDER BY patient_key")).all()]
        (asked,) = connection.execute(text("SELECT asked, expires_at FROM access_request")).all()
    assert codes[2] is None
    assert [read_patient_code(code) for code in codes[:2]] == codes[:2]
    assert codes[0] != codes[1]
    assert (bytes(asked.asked), asked.expires_at) == (b"r", 1000 + 30 * 86_400)


def test_gateways_that_start_together_take_turns(empty_url: str, opened: Callable[[str], Database]) -> None:
    program = "import sys; from app.store import engine, migrate; migrate.upgrade(engine.open_database(sys.argv[1]))"
    gateways = [subprocess.Popen([sys.executable, "-c", program, empty_url], cwd=PROJECT) for _ in range(2)]
    assert [gateway.wait(timeout=60) for gateway in gateways] == [0, 0]
    with opened(empty_url).engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1


def test_every_constraint_has_a_name_to_be_altered_by() -> None:
    unnamed = [
        constraint
        for table in Row.metadata.tables.values()
        for constraint in table.constraints
        if not constraint.name and not isinstance(constraint, CheckConstraint)
    ]
    assert unnamed == []
