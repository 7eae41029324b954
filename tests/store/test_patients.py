"""Enrolled patients, the same on both databases."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from app.core.identifiers import PatientKey, Subject
from app.store.engine import Database
from app.store.erasures import Erasures
from app.store.journal import Journal
from app.store.patients import AlreadyEnrolledError, EnrolledPatient, Patients
from tests.support.accesses import random_entry

Opened = Callable[[str], Database]
ANNE = EnrolledPatient(PatientKey(b"1" * 32), Subject("4711", "HOSPITAL"), b"s" * 32)
BERT = EnrolledPatient(PatientKey(b"2" * 32), Subject("4711", ""), b"t" * 32)


@pytest.fixture
def made(opened: Opened, url: str) -> Iterator[Callable[[], Patients]]:
    """Patients as a gateway has them, each with a database of its own."""
    gateways: list[Patients] = []

    def make() -> Patients:
        gateways.append(Patients(opened(url), clock=lambda: 1_000))
        gateways[-1].load()
        return gateways[-1]

    yield make
    for patients in gateways:
        patients.close()


async def enrol(patients: Patients, patient: EnrolledPatient) -> None:
    assert await patients.enrol(patient.subject, patient.key, patient.salt) == patient


async def test_enrolled_patients_are_found_both_ways_and_after_a_restart(made: Callable[[], Patients]) -> None:
    patients = made()
    await enrol(patients, ANNE)
    await enrol(patients, BERT)
    for gateway in (patients, made()):
        assert gateway.by_subject(Subject("4711", "HOSPITAL")) == ANNE
        assert gateway.by_subject(Subject("4711", "")) == BERT
        assert gateway.by_subject(Subject("4711", "hospital")) is None
        assert gateway.by_key(BERT.key) == BERT
        assert sorted(one.key for one in gateway.all()) == [ANNE.key, BERT.key]


async def test_a_subject_and_a_key_are_enrolled_once_and_the_error_names_neither(made: Callable[[], Patients]) -> None:
    here, there = made(), made()
    await enrol(here, ANNE)
    for again in (
        EnrolledPatient(BERT.key, ANNE.subject, b"u" * 32),
        EnrolledPatient(ANNE.key, BERT.subject, b"u" * 32),
    ):
        with pytest.raises(AlreadyEnrolledError) as caught:
            await there.enrol(again.subject, again.key, again.salt)
        assert "4711" not in f"{caught.value!r} {caught.value.__context__!r}"
        assert there.by_key(BERT.key) is None


async def test_what_another_gateway_enrolled_or_erased_is_known_after_a_miss_or_a_refresh(
    made: Callable[[], Patients], opened: Opened, url: str
) -> None:
    here, there = made(), made()
    await enrol(here, ANNE)
    assert there.by_subject(ANNE.subject) is None  # this one has the database asked
    async with asyncio.timeout(60):
        while there.by_subject(ANNE.subject) is None:  # noqa: ASYNC110 - read in the background
            await asyncio.sleep(0.02)
    await Erasures(opened(url), here).finish(ANNE.key)
    await there.refresh()
    assert there.by_key(ANNE.key) is None
    assert there.by_subject(ANNE.subject) is None


async def test_erasure_leaves_nothing_in_any_table_that_names_the_patient_or_opens_a_record(
    made: Callable[[], Patients], database: Database, rng: object
) -> None:
    patients = made()
    await enrol(patients, ANNE)
    await enrol(patients, BERT)
    journal = Journal(database)
    journal.start()
    hers = random_entry(rng, patient=ANNE.key, study="1.2.3")  # type: ignore[arg-type]  # the fixture's Random
    his = random_entry(rng, patient=BERT.key, study="1.2.4")  # type: ignore[arg-type]
    await journal.append([hers, his])
    await asyncio.to_thread(journal.stop)
    await Erasures(database, patients).finish(ANNE.key)
    assert patients.by_subject(ANNE.subject) is None
    with database.engine.connect() as connection:
        left = repr(connection.execute(text("SELECT * FROM patient")).all())
        left += repr(connection.execute(text("SELECT * FROM access_record")).all())
    for secret in (ANNE.subject.issuer, ANNE.salt, hers.salt, hers.body, "1.2.3'"):
        assert (secret if isinstance(secret, str) else repr(secret)) not in left
    assert repr(his.salt) in left
    await enrol(patients, EnrolledPatient(PatientKey(b"3" * 32), ANNE.subject, b"v" * 32))
