"""Consents, revocations, requests and the directory, the same on both databases."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import insert

from app.core.identifiers import Address, ConsentId, PatientKey, Signer
from app.store.access_requests import AccessRequests, RequestState
from app.store.consents import GRANT, REVOKE, Consents, SignedMessage
from app.store.directory import Directory, DirectoryEntry
from app.store.engine import ConflictError, Database
from app.store.outbox import CallState, NewCall, Outbox
from app.store.tables import OutboxCallRow, RevocationMessageRow

Opened = Callable[[str], Database]
RELAYER, TARGET, DOCTOR = Address(b"r" * 20), Address(b"t" * 20), Address(b"d" * 20)
ANNE, BERT = PatientKey(b"1" * 32), PatientKey(b"2" * 32)


def message(number: int, patient: PatientKey = ANNE, signature: bytes = b"sig") -> SignedMessage:
    return SignedMessage(ConsentId(bytes([number]) * 32), patient, '{"a": 1}', Signer(b"s" * 20), signature)


def call(kind: str, one: SignedMessage, calldata: bytes = b"data") -> NewCall:
    return NewCall(RELAYER, kind, one.consent_id, TARGET, calldata)


async def test_a_consent_is_kept_with_the_state_of_its_call(database: Database) -> None:
    consents, outbox = Consents(database), Outbox(database)
    one = message(1)
    submitted = await consents.submit_grant(one, call(GRANT, one))
    assert submitted.message == one
    assert submitted.call.state is CallState.QUEUED
    assert await consents.grant(one.consent_id) == submitted
    assert await consents.grants_of([ANNE]) == [submitted]
    assert await consents.grants_of([BERT]) == []
    assert await consents.grant(message(2).consent_id) is None
    await outbox.failed(submitted.call.call_id, "reverted")
    found = await consents.grant(one.consent_id)
    assert found is not None
    assert (found.call.state, found.call.error) == (CallState.FAILED, "reverted")


async def test_submitted_again_it_stays_as_it_is_unless_it_had_failed(database: Database) -> None:
    consents, outbox = Consents(database), Outbox(database)
    first, second = message(1), message(1, signature=b"other")
    submitted = await consents.submit_grant(first, call(GRANT, first))
    again = await consents.submit_grant(second, call(GRANT, second, b"new"))
    assert again == submitted
    await outbox.failed(submitted.call.call_id, "reverted")
    anew = await consents.submit_grant(second, call(GRANT, second, b"new"))
    assert anew.message == second
    assert (anew.call.state, anew.call.error, anew.call.call.calldata) == (CallState.QUEUED, None, b"new")


async def test_a_revocation_denies_before_it_is_stored_after_a_restart_and_until_it_has_landed(
    url: str, opened: Opened
) -> None:
    here, there = Consents(opened(url)), Consents(opened(url))
    one = message(1)
    key = (ANNE, one.consent_id)
    storing = asyncio.ensure_future(here.submit_revocation(one, call(REVOKE, one)))
    await asyncio.sleep(0)
    assert key in here.revoked_here
    submitted = await storing
    assert await here.revocation(*key) == submitted
    assert await here.revocation(BERT, one.consent_id) is None
    assert key not in there.revoked_here
    await there.refresh()
    assert key in there.revoked_here
    restarted = Consents(opened(url))
    restarted.load()
    assert restarted.revoked_here == {key}
    await restarted.landed([key, (BERT, one.consent_id)])
    assert restarted.revoked_here == frozenset()
    await there.refresh()
    assert there.revoked_here == frozenset()


async def test_a_reading_that_began_before_a_revocation_does_not_take_it_away(database: Database) -> None:
    consents = Consents(database)
    one = message(1)
    refreshing = asyncio.ensure_future(consents.refresh())
    await asyncio.sleep(0)
    await asyncio.gather(consents.submit_revocation(one, call(REVOKE, one)), refreshing)
    assert (ANNE, one.consent_id) in consents.revoked_here


async def test_a_request_is_decided_once(database: Database) -> None:
    requests = AccessRequests(database, clock=lambda: 5)
    asked = await requests.ask(ANNE, DOCTOR, '{"scope": "all"}', "please", b"a" * 32)
    assert await requests.find(asked.request_id) == asked
    assert await requests.of_patients([ANNE]) == [asked]
    assert await requests.by_requester(DOCTOR) == [asked]
    assert await requests.of_patients([BERT]) == []
    consent = ConsentId(b"c" * 32)
    decided = await asyncio.gather(
        requests.decide(asked.request_id, RequestState.GRANTED, consent),
        requests.decide(asked.request_id, RequestState.DECLINED),
    )
    (one,) = [found for found in decided if found is not None]
    assert one.state is not RequestState.OPEN
    assert one.decided_at == 5
    assert await requests.find(asked.request_id) == one
    assert await requests.find(b"0" * 16) is None
    assert await requests.decide(b"0" * 16, RequestState.DECLINED) is None


async def test_the_directory_says_who_somebody_is_and_forgets_in_time(url: str, opened: Opened) -> None:
    now = [0.0]
    here, there = (Directory(opened(url), clock=lambda: now[0], capacity=2) for _ in range(2))
    entries = [
        DirectoryEntry(Address(bytes([n]) * 20), f"Dr. {n}", "Hospital", str(n), b"s" * 32, b"h" * 32) for n in range(3)
    ]
    assert await there.find([entries[0].address], {}) == {}
    for entry in entries:
        await here.put(entry)
    assert await here.find([entry.address for entry in entries], {}) == {entry.address: entry for entry in entries}
    assert await here.all({}) == entries
    assert await there.find([entries[0].address], {}) == {}  # believed for a while
    now[0] = 31
    assert await there.find([entries[0].address], {}) == {entries[0].address: entries[0]}


async def test_a_text_on_its_way_takes_the_place_of_none_before_the_chain_says_so(url: str, opened: Opened) -> None:
    now = [0.0]
    directory = Directory(opened(url), clock=lambda: now[0])
    account = Address(b"a" * 20)
    old, new, third = (
        DirectoryEntry(account, name, "", "", b"s" * 32, name.encode().ljust(32)) for name in ("Old", "New", "Third")
    )
    await directory.put(old)
    now[0] = 10
    await directory.put(new)
    for on_chain, chosen in ((old.entry_hash, old), (new.entry_hash, new), (b"?" * 32, new)):
        assert await directory.find([account], {account: on_chain}) == {account: chosen}
        assert await directory.all({account: on_chain}) == [chosen]
    now[0] = 10 + 8 * 86_400
    await directory.put(third, [old.entry_hash])  # the other was not taken up in a week
    for on_chain, chosen in ((old.entry_hash, old), (new.entry_hash, third), (third.entry_hash, third)):
        assert await directory.find([account], {account: on_chain}) == {account: chosen}


async def test_more_than_one_statement_can_name_become_final_together(database: Database) -> None:
    many = 66_000  # some days without finality
    row: dict[str, object] = {
        "account": RELAYER,
        "kind": "batch",
        "target": TARGET,
        "calldata": b"",
        "state": CallState.MINED,
        "created_at": 0,
        "changed_at": 0,
    }
    rows = [{**row, "call_id": n, "reference": n.to_bytes(8)} for n in range(1, many + 1)]
    await database.writing(lambda transaction: transaction.connection().execute(insert(OutboxCallRow), rows))
    outbox = Outbox(database)
    with pytest.raises(ConflictError):
        await outbox.final(range(1, many + 2))
    assert not await outbox.in_state(RELAYER, CallState.FINAL)
    await outbox.final(range(1, many + 1))
    assert not await outbox.in_state(RELAYER, CallState.MINED)


async def test_more_revocations_than_one_statement_can_name_land_together(database: Database) -> None:
    many = 17_000  # two parameters each
    await database.writing(
        lambda transaction: transaction.connection().execute(
            insert(OutboxCallRow),
            [
                {
                    "call_id": 1,
                    "account": RELAYER,
                    "kind": REVOKE,
                    "reference": b"",
                    "target": TARGET,
                    "calldata": b"",
                    "state": CallState.QUEUED,
                    "created_at": 0,
                    "changed_at": 0,
                }
            ],
        )
    )
    row: dict[str, object] = {"patient_key": ANNE, "typed_data": "", "signer": b"", "signature": b"", "created_at": 0}
    rows = [{**row, "consent_id": n.to_bytes(32), "call_id": 1} for n in range(many)]
    await database.writing(lambda transaction: transaction.connection().execute(insert(RevocationMessageRow), rows))
    consents = Consents(database)
    await consents.refresh()
    assert len(consents.revoked_here) == many
    await consents.landed(list(consents.revoked_here))
    await consents.refresh()
    assert not consents.revoked_here
