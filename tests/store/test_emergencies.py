"""Emergencies on both databases: counting at once, everywhere, within the quota, and forgotten when erased."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from app.core.consent.terms import Finding, Window
from app.core.identifiers import Address, ConsentId, EmergencyId, PatientKey, Signer, Subject, UnixTime
from app.store.consents import REVOKE, Consents, SignedMessage
from app.store.emergencies import (
    OPEN,
    REVIEW,
    Emergencies,
    QuotaReachedError,
    SignedOpening,
    SignedReview,
    TakenBack,
)
from app.store.engine import ConflictError, Database
from app.store.erasures import Erasures
from app.store.outbox import NewCall, Outbox
from app.store.patients import Patients

Opened = Callable[[str], Database]
RELAYER, TARGET = Address(b"r" * 20), Address(b"t" * 20)
RESCUER, AUDITOR = Address(b"e" * 20), Address(b"a" * 20)
ANNE, BERT = PatientKey(b"1" * 32), PatientKey(b"2" * 32)
DAY = 86_400
NOON = 20_000 * DAY + DAY // 2


def opening(number: int, *, patient: PatientKey = ANNE, at: int = NOON) -> SignedOpening:
    window = Window(UnixTime(at), UnixTime(at + 3600))
    identity = EmergencyId(bytes([number]) * 32)
    return SignedOpening(identity, patient, RESCUER, "why", b"s" * 32, window, Signer(RESCUER), b"sig", None)


def call(kind: str, number: int) -> NewCall:
    return NewCall(RELAYER, kind, bytes([number]) * 32, TARGET, b"data")


def store(database: Database, at: int = NOON) -> Emergencies:
    emergencies = Emergencies(database, clock=lambda: at)
    emergencies.load()
    return emergencies


async def opened_one(emergencies: Emergencies, number: int, **more: object) -> None:
    one = opening(number, **more)  # type: ignore[arg-type]
    await emergencies.open(one, call(OPEN, number), None, quota=10, landed=0)


async def test_it_counts_here_at_once_and_at_another_gateway_as_soon_as_that_looks(url: str, opened: Opened) -> None:
    here, there = store(opened(url)), store(opened(url))
    await opened_one(here, 1)
    assert here.opened[RESCUER][ANNE].emergency_id == bytes([1]) * 32
    assert there.opened == {}
    await there.refresh()
    assert there.opened == here.opened
    assert store(opened(url)).opened == here.opened, "and after a restart"


async def test_it_is_let_go_of_when_it_is_over(url: str, opened: Opened) -> None:
    await opened_one(store(opened(url)), 1)
    assert store(opened(url), NOON + 3600).opened, "clocks may differ"
    assert store(opened(url), NOON + 3700).opened == {}


async def test_looking_again_without_news_keeps_the_same_objects(database: Database) -> None:
    """Running answers see by identity that nothing changed."""
    emergencies = store(database)
    await opened_one(emergencies, 1)
    before = emergencies.opened
    await emergencies.refresh()
    assert emergencies.opened is before


async def test_what_the_contract_refuses_opens_nothing(database: Database) -> None:
    emergencies = store(database)
    await opened_one(emergencies, 1)
    found = await emergencies.find(EmergencyId(bytes([1]) * 32))
    assert found is not None
    await Outbox(database).failed(found.call.call_id, "reverted")
    await emergencies.refresh()
    assert emergencies.opened == {}


async def test_an_enrolment_is_queued_before_what_needs_it(database: Database) -> None:
    emergencies = store(database)
    await emergencies.open(opening(1), call(OPEN, 1), call("enrol", 9), quota=1, landed=0)
    found = await emergencies.find(EmergencyId(bytes([1]) * 32))
    enrolment = await Outbox(database).find("enrol", bytes([9]) * 32)
    assert found is not None
    assert enrolment is not None
    assert enrolment.call_id < found.call.call_id


async def test_the_quota_counts_what_is_stored_and_what_has_landed_in_one_utc_day(database: Database) -> None:
    emergencies = store(database)
    for number in (1, 2):
        await emergencies.open(opening(number), call(OPEN, number), None, quota=2, landed=0)
    with pytest.raises(QuotaReachedError):
        await emergencies.open(opening(3), call(OPEN, 3), None, quota=2, landed=0)
    with pytest.raises(QuotaReachedError):
        await emergencies.open(opening(4, at=NOON + DAY), call(OPEN, 4), None, quota=2, landed=2)
    await emergencies.open(opening(5, at=NOON + DAY), call(OPEN, 5), None, quota=2, landed=1)
    await emergencies.open(replace(opening(6), actor=AUDITOR), call(OPEN, 6), None, quota=2, landed=0)
    assert len(await emergencies.all()) == 4


async def test_two_gateways_at_one_moment_do_not_pass_the_quota(url: str, opened: Opened) -> None:
    gateways = [store(opened(url)) for _ in range(4)]
    tries = [
        gateway.open(opening(number), call(OPEN, number), None, quota=3, landed=0)
        for number, gateway in enumerate(gateways * 2, start=1)
    ]
    came = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, QuotaReachedError) for one in came) == 5, came
    assert len(await gateways[0].all()) == 3


async def test_the_same_twice_is_stored_once(database: Database) -> None:
    emergencies = store(database)
    await opened_one(emergencies, 1)
    with pytest.raises(ConflictError):
        await opened_one(emergencies, 1)
    assert len(await emergencies.all()) == 1


@pytest.mark.parametrize("finding", list(Finding))
async def test_a_review_ends_it_where_it_was_unjustified(database: Database, finding: Finding) -> None:
    emergencies, consents = store(database), Consents(database)
    taken_back = TakenBack(consents, emergencies)
    await opened_one(emergencies, 1)
    await opened_one(emergencies, 2, patient=BERT)
    assert taken_back.now() is consents.revoked_here
    review = SignedReview(EmergencyId(bytes([1]) * 32), ANNE, AUDITOR, finding, "note", b"n" * 32)
    await emergencies.review(review, call(REVIEW, 1))
    ended = finding is Finding.NOT_JUSTIFIED
    assert set(emergencies.opened[RESCUER]) == ({BERT} if ended else {ANNE, BERT})
    assert taken_back.now() == ({(ANNE, bytes([1]) * 32)} if ended else set())
    with pytest.raises(ConflictError):
        await emergencies.review(replace(review, note="other"), call(REVIEW, 2))
    found = await emergencies.find(review.emergency_id)
    assert found is not None
    assert found.review is not None
    assert found.review.review == review


async def test_a_review_that_the_contract_refused_can_be_made_again(database: Database) -> None:
    emergencies = store(database)
    await opened_one(emergencies, 1)
    review = SignedReview(EmergencyId(bytes([1]) * 32), ANNE, AUDITOR, Finding.JUSTIFIED, "", b"")
    stored = await emergencies.review(review, call(REVIEW, 1))
    await Outbox(database).failed(stored.call.call_id, "reverted")
    again = await emergencies.review(replace(review, note="again"), call(REVIEW, 1))
    assert again.review.note == "again"


async def test_both_sets_are_one_object_while_neither_changes(database: Database) -> None:
    emergencies, consents = store(database), Consents(database)
    taken_back = TakenBack(consents, emergencies)
    await opened_one(emergencies, 1)
    review = SignedReview(EmergencyId(bytes([1]) * 32), ANNE, AUDITOR, Finding.NOT_JUSTIFIED, "", b"")
    await emergencies.review(review, call(REVIEW, 1))
    assert taken_back.now() is taken_back.now()
    consent = ConsentId(b"c" * 32)
    message = SignedMessage(consent, BERT, "{}", Signer(b"p" * 20), b"sig")
    await consents.submit_revocation(message, NewCall(RELAYER, REVOKE, consent, TARGET, b"data"))
    assert taken_back.now() == {(ANNE, review.emergency_id), (BERT, consent)}


async def test_erasure_forgets_reason_and_note(database: Database) -> None:
    emergencies, patients = store(database), Patients(database)
    await patients.enrol(Subject("P-1", ""), ANNE, b"x" * 32)
    await opened_one(emergencies, 1)
    review = SignedReview(EmergencyId(bytes([1]) * 32), ANNE, AUDITOR, Finding.JUSTIFIED, "note", b"n" * 32)
    await emergencies.review(review, call(REVIEW, 1))
    await Erasures(database, patients).finish(ANNE)
    patients.close()
    found = await emergencies.find(review.emergency_id)
    assert found is not None
    assert found.review is not None
    assert (found.opening.reason, found.opening.reason_salt) == ("", b"")
    assert (found.review.review.note, found.review.review.note_salt) == ("", b"")
