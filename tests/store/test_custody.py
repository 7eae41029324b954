"""Recoveries, erasures and names of guardians, the same on both databases."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from app.core.identifiers import Address, PatientKey, Signer, Subject, UnixTime
from app.store.access_requests import AccessRequests, RequestState
from app.store.engine import Database
from app.store.erasures import BY_TRANSACTION, ERASE, Erasures
from app.store.guardian_names import GuardianNames
from app.store.journal import Journal
from app.store.outbox import CallState, NewCall, Outbox
from app.store.passkeys import Passkey, Passkeys
from app.store.patients import Patients
from app.store.recoveries import LASTS_S, START_MOVE, Ended, Recoveries
from tests.support.accesses import random_entry

Opened = Callable[[str], Database]
ANNE, BERT = PatientKey(b"1" * 32), PatientKey(b"2" * 32)
DESK, RELAYER, DOCTOR = (Address(bytes([n]) * 20) for n in (1, 2, 3))
NEW = Signer(b"n" * 84)


def _call(kind: str, reference: bytes) -> NewCall:
    return NewCall(RELAYER, kind, reference, RELAYER, b"data")


@pytest.fixture
def patients(database: Database) -> Iterator[Patients]:
    made = Patients(database, clock=lambda: 1_000)
    made.load()
    yield made
    made.close()


# --- Recoveries -------------------------------------------------------------------------------------------------------


async def test_a_code_works_once_in_its_time_and_one_is_open_for_each_patient(database: Database) -> None:
    now = [100.0]
    recoveries = Recoveries(database, clock=lambda: now[0])
    first = await recoveries.begin(ANNE, DESK, b"a" * 32)
    other = await recoveries.begin(BERT, DESK, b"b" * 32)
    second = await recoveries.begin(ANNE, DESK, b"c" * 32)
    assert await recoveries.waiting_with(b"a" * 32) is None
    found = await recoveries.find(first.recovery_id)
    assert found is not None
    assert (found.ended, found.ended_at) == (Ended.REPLACED, 100)
    now[0] = 100 + LASTS_S - 1
    assert await recoveries.waiting_with(b"c" * 32) == second
    claims = await asyncio.gather(
        *(recoveries.claim(b"c" * 32, NEW, _call(START_MOVE, second.recovery_id)) for _ in range(3))
    )
    (claimed,) = [one for one in claims if one is not None]
    assert claimed.controller == NEW
    assert claimed.call is not None
    assert claimed.call.call.kind == START_MOVE
    assert [one.recovery_id for one in await recoveries.running()] == [second.recovery_id]
    assert [one.recovery_id for one in await recoveries.towards([NEW])] == [second.recovery_id]
    now[0] = 100 + LASTS_S
    assert await recoveries.claim(b"b" * 32, NEW, _call(START_MOVE, other.recovery_id)) is None
    assert {one.recovery_id for one in await recoveries.of_patients([ANNE])} == {first.recovery_id, second.recovery_id}
    assert len(await recoveries.all()) == 3


async def test_a_recovery_ends_once(database: Database) -> None:
    recoveries = Recoveries(database, clock=lambda: 7)
    begun = await recoveries.begin(ANNE, DESK, b"a" * 32)
    assert await recoveries.claim(b"a" * 32, NEW, _call(START_MOVE, begun.recovery_id))
    await recoveries.seen(begun.recovery_id, 4)
    await recoveries.ended(begun.recovery_id, Ended.VETOED)
    await recoveries.ended(begun.recovery_id, Ended.FINISHED)
    await recoveries.seen(begun.recovery_id, 5)
    found = await recoveries.find(begun.recovery_id)
    assert found is not None
    assert (found.move_nonce, found.ended, found.ended_at) == (4, Ended.VETOED, 7)
    assert await recoveries.running() == []


# --- Erasures ---------------------------------------------------------------------------------------------------------


async def test_an_erasure_begins_once_and_shuts_out_at_once_and_elsewhere(
    database: Database, patients: Patients, url: str, opened: Opened
) -> None:
    await patients.enrol(Subject("P", "S"), ANNE, b"s" * 32)
    there = Patients(opened(url), clock=lambda: 1_000)
    there.load()
    assert there.by_key(ANNE) is not None
    erasures = Erasures(database, patients, clock=lambda: 1_050)
    begun = await erasures.begin(ANNE, DESK, "patient-request", _call(ERASE, ANNE))
    assert begun.call is not None
    assert (patients.by_key(ANNE), patients.by_subject(Subject("P", "S")), patients.all()) == (None, None, [])
    assert [one.key for one in patients.being_erased()] == [ANNE]
    there.load()
    assert (there.by_key(ANNE), [one.key for one in there.being_erased()]) == (None, [ANNE])
    restarted = Patients(opened(url), clock=lambda: 1_000)
    restarted.load()
    assert (restarted.by_key(ANNE), [one.subject for one in restarted.being_erased()]) == (None, [Subject("P", "S")])
    again = await erasures.begin(ANNE, DOCTOR, "legal-order", _call(ERASE, ANNE))
    assert again == begun, "who began it and why does not change"
    await Outbox(database).failed(begun.call.call_id, "the contract refuses")
    anew = await erasures.begin(ANNE, DESK, "patient-request", _call(ERASE, ANNE))
    assert anew.call is not None
    assert (anew.call.call_id, anew.call.state) == (begun.call.call_id, CallState.QUEUED)
    assert await erasures.unfinished() == [ANNE]
    await erasures.finish(ANNE)
    assert await erasures.unfinished() == []
    for gateway in (patients, there, restarted):
        gateway.load()
        assert gateway.being_erased() == []
        gateway.close()


async def test_one_that_came_by_a_transaction_is_on_record_too(database: Database, patients: Patients) -> None:
    erasures = Erasures(database, patients, clock=lambda: 50)
    await patients.enrol(Subject("P", "S"), ANNE, b"s" * 32)
    await erasures.finish(ANNE)
    await erasures.finish(ANNE)
    (found,) = await erasures.all()
    assert (found.registrar, found.reason, found.erased_at, found.call) == (None, BY_TRANSACTION, 50, None)
    assert await erasures.find(ANNE) == found
    assert await erasures.find(BERT) is None


async def test_what_a_running_answer_writes_last_is_swept_away(
    database: Database, patients: Patients, rng: object
) -> None:
    now = [50.0]
    erasures = Erasures(database, patients, clock=lambda: now[0])
    await patients.enrol(Subject("P", "S"), ANNE, b"s" * 32)
    await erasures.finish(ANNE)

    async def write() -> None:
        journal = Journal(database)
        journal.start()
        await journal.append([random_entry(rng, patient=ANNE, study="1.2.3")])  # type: ignore[arg-type]  # a Random
        await asyncio.to_thread(journal.stop)

    def left() -> int:
        with database.engine.connect() as connection:
            return len(connection.execute(text("SELECT row_id FROM access_record WHERE study_uid = '1.2.3'")).all())

    await write()
    assert left() == 1
    await erasures.sweep()
    assert left() == 0
    now[0] = 650
    await erasures.sweep()
    await write()
    await erasures.sweep()
    assert left() == 1, "no answer runs for so long: it is not looked for any more"


async def test_requests_that_were_not_answered_are_nobodys_then(database: Database, patients: Patients) -> None:
    requests, erasures = AccessRequests(database, clock=lambda: 5), Erasures(database, patients)
    made = [await requests.ask(ANNE, DOCTOR, "{}", "please", bytes([n]) * 32) for n in range(4)]
    his = await requests.ask(BERT, DOCTOR, "{}", "please", b"x" * 32)
    await requests.decide(made[0].request_id, RequestState.GRANTED)
    await requests.decide(made[1].request_id, RequestState.DECLINED)
    await requests.decide(made[2].request_id, RequestState.WITHDRAWN)
    await erasures.finish(ANNE)
    assert await requests.of_patients([ANNE]) == []
    assert await requests.of_patients([BERT]) == [his]
    left = await requests.by_requester(DOCTOR)
    assert {one.request_id for one in left} == {made[2].request_id, made[3].request_id, his.request_id}
    assert len({one.patient for one in left}) == 3, "each is under a key of its own"


async def test_names_of_guardians(database: Database, patients: Patients) -> None:
    names = GuardianNames(database, clock=lambda: 5)
    assert await names.find(ANNE, NEW) is None
    await names.put(ANNE, NEW, "May")
    await names.put(ANNE, NEW, "Aunt May")
    await names.put(BERT, NEW, "Ben")
    assert await names.find(ANNE, NEW) == "Aunt May"
    await Erasures(database, patients, clock=lambda: UnixTime(9)).finish(ANNE)
    assert (await names.find(ANNE, NEW), await names.find(BERT, NEW)) == (None, "Ben")


async def test_what_passkeys_are_called_names_nobody_afterwards(database: Database, patients: Patients) -> None:
    """Those of whoever acts when it begins, as long as the chain says who; and of whoever signed, was named or was to
    take over, however it came about.
    """
    passkeys, recoveries = Passkeys(database), Recoveries(database)
    signers = {who: Signer(bytes([n]) * 84) for n, who in enumerate(("controller", "guardian", "heir", "other"))}
    for n, (who, signer) in enumerate(signers.items()):
        made = Passkey(bytes([n]), signer, b"u", f"{who}'s phone", 0)
        await passkeys.add(made, DOCTOR, UnixTime(1))

    async def names() -> dict[str, str]:
        found = {who: await passkeys.of_signer(signer) for who, signer in signers.items()}
        return {who: one.name for who, one in found.items() if one is not None}

    erasures = Erasures(database, patients, clock=lambda: 9)
    await erasures.begin(ANNE, DESK, "patient-request", _call(ERASE, ANNE), [signers["controller"]])
    called = {who: f"{who}'s phone" for who in signers}
    assert await names() == called | {"controller": "Consentry"}
    await GuardianNames(database).put(ANNE, signers["guardian"], "May")
    begun = await recoveries.begin(ANNE, DESK, b"h" * 32)
    assert await recoveries.claim(b"h" * 32, signers["heir"], _call(START_MOVE, begun.recovery_id))
    for n, maker in enumerate((begun.recovery_id, (await recoveries.begin(BERT, DESK, b"i" * 32)).recovery_id)):
        by_code = Passkey(bytes([9, n]), Signer(bytes([9, n]) * 42), b"u", f"by code {n}", 0)
        await passkeys.add(by_code, maker, UnixTime(1))
    await erasures.finish(ANNE)
    assert await names() == {**dict.fromkeys(signers, "Consentry"), "other": "other's phone"}
    with_codes = [await passkeys.find(bytes([9, n])) for n in range(2)]
    assert [one.name for one in with_codes if one is not None] == ["Consentry", "by code 1"]
