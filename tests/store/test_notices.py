"""The outbox of what people are told, on both databases: once, with its cause, and gone with the patient."""

import asyncio
import functools
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlmodel import Session

from app.core.consent.basis import GUARDIAN, SELF
from app.core.identifiers import Address, PatientKey, Subject, UnixTime
from app.core.notices.kinds import Channel, Due, NoticeKind, Settled
from app.core.notices.reaching import confirmation_token
from app.store.access_requests import AccessRequests, RequestState
from app.store.contacts import LINK_GOOD_FOR_S, LINK_PAUSE_S, Contacts, TooSoonError, Wanted, acts_for
from app.store.engine import Database
from app.store.erasures import Erasures
from app.store.first_accesses import OVERLAP_S, FirstAccesses
from app.store.journal import Journal
from app.store.migrate import configuration, upgrade
from app.store.notices import CHAIN, KEPT_S, DeliveryState, Notices, OutboxCount, read_up_to, settle_notices, tell
from app.store.patients import Patients
from tests.support.accesses import random_entry

NOW = UnixTime(1_790_000_000)
ANNE, DOCTOR, CHILDS_MOTHER = (Address(bytes([n]) * 20) for n in (1, 2, 3))
KEY, CHILD = PatientKey(b"\x07" * 32), PatientKey(b"\x08" * 32)
DUE = Due(NoticeKind.CONSENT_GRANTED, ANNE, KEY, b"consent")


def written(database: Database, *dues: Due, now: UnixTime = NOW) -> None:
    database.write(lambda transaction: tell(transaction, dues, now))


def token_of(actor: Address) -> Callable[[Channel, str, bytes], str]:
    return lambda channel, target, nonce: confirmation_token(bytes(32), actor, channel, target, nonce)


def wanted(actor: Address = ANNE, patients: tuple[PatientKey, ...] = (KEY,), **targets: str) -> Wanted:
    return Wanted(actor, "en", frozenset(), {Channel(name): target for name, target in targets.items()}, patients)


async def put(database: Database, what: Wanted, now: UnixTime = NOW, nonce: bytes = b"n" * 16) -> None:
    await Contacts(database).put(what, now, nonce, token_of(what.actor))


async def confirmed(database: Database, what: Wanted) -> None:
    await put(database, what)
    for channel, target in what.targets.items():
        token = token_of(what.actor)(channel, target, b"n" * 16)
        assert await Contacts(database).confirm(token, NOW)


def everything(database: Database) -> str:
    """Every row of every table that this is about."""
    tables = ("contact", "contact_channel", "contact_patient", "notice", "notice_delivery", "known_accessor")
    with database.engine.connect() as connection:
        return "\n".join(repr(connection.execute(text(f"SELECT * FROM {name}")).all()) for name in tables)


async def test_a_notice_is_written_once_however_often_it_is_noticed(
    database: Database, url: str, opened: Callable[[str], Database]
) -> None:
    there = opened(url)
    written(database, DUE, DUE, replace(DUE, recipient=DOCTOR))
    await asyncio.gather(*(gateway.writing(lambda one: tell(one, [DUE], NOW)) for gateway in (database, there) * 5))
    assert [one.recipient for one in await Notices(there).waiting(NOW, 10)] == [ANNE, DOCTOR]


async def test_a_request_and_its_notice_are_written_together_or_not_at_all(database: Database) -> None:
    requests = AccessRequests(database, clock=lambda: float(NOW))
    asked = await requests.ask(KEY, DOCTOR, "{}", "please")
    (notice,) = await Notices(database).waiting(NOW, 10)
    assert (notice.kind, notice.recipient, notice.of_patient) == (NoticeKind.ACCESS_REQUESTED, KEY, True)

    class Power(Exception):  # noqa: N818 - it fails
        pass

    def cut(transaction: Session) -> None:
        tell(transaction, [replace(DUE, about=b"never")], NOW)
        raise Power

    with pytest.raises(Power):
        await database.writing(cut)
    assert len(await Notices(database).waiting(NOW, 10)) == 1
    await requests.decide(asked.request_id, RequestState.DECLINED)
    await requests.decide(asked.request_id, RequestState.GRANTED)  # there is none open any more
    answers = [one for one in await Notices(database).waiting(NOW, 10) if one.kind is NoticeKind.REQUEST_ANSWERED]
    assert [(one.recipient, one.of_patient) for one in answers] == [(DOCTOR, False)]
    withdrawn = await requests.ask(KEY, DOCTOR, "{}", "no more")
    await requests.decide(withdrawn.request_id, RequestState.WITHDRAWN)
    assert [one.kind for one in await Notices(database).waiting(NOW, 10)].count(NoticeKind.REQUEST_ANSWERED) == 1


async def test_what_is_due_later_waits_and_what_is_settled_is_told_to_nobody(database: Database) -> None:
    notices = Notices(database)
    review = Due(NoticeKind.REVIEW_DUE, ANNE, KEY, b"emergency", UnixTime(NOW + 100))
    written(database, review, replace(review, about=b"other"), replace(review, kind=NoticeKind.BREAK_GLASS))
    assert await notices.waiting(UnixTime(NOW + 99), 10) == []
    settled = Settled(NoticeKind.REVIEW_DUE, KEY, b"emergency")
    await database.writing(functools.partial(settle_notices, settled=settled, now=NOW))
    waiting = await notices.waiting(UnixTime(NOW + 100), 10)
    assert [one.kind for one in waiting] == [NoticeKind.REVIEW_DUE, NoticeKind.BREAK_GLASS]
    written(database, review)
    assert len(await notices.waiting(UnixTime(NOW + 100), 10)) == 2, "not told again by one that lags behind"


async def test_a_cursor_only_moves_on(database: Database) -> None:
    notices = Notices(database)
    assert await notices.cursor(CHAIN) is None
    for position, expected in ((5, 5), (9, 9), (7, 9)):
        await database.writing(functools.partial(read_up_to, source=CHAIN, position=position))
        assert await notices.cursor(CHAIN) == expected


async def test_a_delivery_is_claimed_by_one_and_comes_back_when_its_claimer_died(
    database: Database, url: str, opened: Callable[[str], Database]
) -> None:
    here, there = Notices(database), Notices(opened(url))
    written(database, DUE)
    (notice,) = await here.waiting(NOW, 10)
    to = {notice.notice_id: [(ANNE, Channel.EMAIL), (ANNE, Channel.WEBHOOK), (DOCTOR, Channel.EMAIL)]}
    await here.address(to, NOW)
    await there.address(to, NOW)  # a second leader, for a moment
    assert await here.waiting(NOW, 10) == []
    due = await here.due(NOW, 10)
    assert len(due) == 3
    assert len({one.public_id for one in due}) == 3
    one = due[0]
    claims = await asyncio.gather(
        *(gateway.claim(one.delivery_id, NOW, UnixTime(NOW + 120)) for gateway in (here, there) * 3)
    )
    assert claims.count(True) == 1
    assert one.delivery_id not in {found.delivery_id for found in await there.due(UnixTime(NOW + 119), 10)}
    (again,) = [found for found in await there.due(UnixTime(NOW + 120), 10) if found.delivery_id == one.delivery_id]
    assert again.public_id == one.public_id, "whoever gets it twice can tell"
    await here.failed(one.delivery_id, UnixTime(NOW + 500), NOW)
    assert [found.failures for found in await here.due(UnixTime(NOW + 500), 10)].count(1) == 1
    await here.ended(one.delivery_id, DeliveryState.GIVEN_UP, NOW)
    await here.ended(due[1].delivery_id, DeliveryState.DELIVERED, NOW)
    assert await there.count() == OutboxCount(waiting=1, given_up=1)
    assert not await here.claim(one.delivery_id, UnixTime(NOW + 9_999), UnixTime(NOW + 99_999))


async def test_what_was_told_long_ago_is_forgotten_and_what_nobody_was_asked_about_is_not(database: Database) -> None:
    notices = Notices(database)
    written(database, DUE)
    written(database, replace(DUE, about=b"unaddressed"))
    first, second = await notices.waiting(NOW, 10)
    await notices.address({first.notice_id: [(ANNE, Channel.EMAIL)]}, NOW)
    await notices.forget(UnixTime(NOW + KEPT_S))
    assert len(await notices.due(NOW, 10)) == 1
    await notices.forget(UnixTime(NOW + KEPT_S + 1))
    assert await notices.due(NOW, 10) == []
    assert await notices.waiting(NOW, 10) == [second]


# --- Contacts --------------------------------------------------------------------------------------------------------


async def test_an_address_counts_once_its_link_was_opened_in_time(database: Database) -> None:
    contacts = Contacts(database)
    await put(database, wanted(email="anne@example.org"))
    token = token_of(ANNE)(Channel.EMAIL, "anne@example.org", b"n" * 16)
    assert token not in everything(database), "who reads the database cannot confirm"
    assert not await contacts.confirm("x" * 43, NOW)
    assert not await contacts.confirm(token, UnixTime(NOW + LINK_GOOD_FOR_S))
    assert await contacts.confirm(token, UnixTime(NOW + LINK_GOOD_FOR_S - 1))
    assert not await contacts.confirm(token, NOW), "once"
    contact = await contacts.find(ANNE)
    assert contact is not None
    reached = contact.by(Channel.EMAIL)
    assert reached is not None
    assert reached.confirmed_at == NOW + LINK_GOOD_FOR_S - 1
    assert contact.by(Channel.WEBHOOK) is None


async def test_an_address_stays_confirmed_until_it_changes_and_is_not_asked_again_and_again(database: Database) -> None:
    contacts = Contacts(database)
    await confirmed(database, wanted(email="anne@example.org"))
    asked = len(await Notices(database).due(NOW, 10))
    await put(database, replace(wanted(email="anne@example.org"), language="de"), nonce=b"m" * 16)
    kept = await contacts.find(ANNE)
    assert kept is not None
    assert kept.language == "de"
    assert kept.reached[0].confirmed_at is not None
    assert len(await Notices(database).due(NOW, 10)) == asked
    with pytest.raises(TooSoonError):
        await put(database, wanted(email="other@example.org"), UnixTime(NOW + LINK_PAUSE_S - 1))
    assert (await contacts.find(ANNE)) == kept, "all of it or nothing"
    await put(database, wanted(email="other@example.org"), UnixTime(NOW + LINK_PAUSE_S), b"m" * 16)
    changed = await contacts.find(ANNE)
    assert changed is not None
    assert [(one.target, one.confirmed_at) for one in changed.reached] == [("other@example.org", None)]


async def test_what_is_told_always_cannot_be_muted(database: Database) -> None:
    await put(database, replace(wanted(email="a@example.org"), muted=frozenset(NoticeKind)))
    contact = await Contacts(database).find(ANNE)
    assert contact is not None
    assert NoticeKind.FIRST_ACCESS in contact.muted
    assert NoticeKind.RECOVERY_STARTED not in contact.muted
    assert NoticeKind.CONFIRM_CONTACT not in contact.muted


async def test_what_was_still_to_be_sent_goes_with_an_address(database: Database) -> None:
    notices = Notices(database)
    await confirmed(database, wanted(email="anne@example.org", webhook="https://hooks.example.org/"))
    assert {one.channel for one in await notices.due(NOW, 10)} == {Channel.EMAIL, Channel.WEBHOOK}
    await put(database, wanted(email="anne@example.org"))
    assert {one.channel for one in await notices.due(NOW, 10)} == {Channel.EMAIL}
    await Contacts(database).remove(ANNE)
    assert await notices.due(NOW, 10) == []
    assert "anne@" not in everything(database)


async def test_erasure_takes_the_contacts_of_all_who_acted_and_every_notice(database: Database) -> None:
    patients = Patients(database)
    await patients.enrol(Subject("4711", ""), KEY, b"s" * 32)
    await confirmed(database, wanted(email="anne@example.org"))
    await confirmed(database, wanted(CHILDS_MOTHER, (CHILD,), email="mother@example.org"))
    await confirmed(database, wanted(DOCTOR, (), email="doctor@example.org"))
    # A contact that was there before its owner came to act for the patient
    database.write(lambda one: acts_for(one, [(KEY, CHILDS_MOTHER), (KEY, Address(b"\x09" * 20))]))
    written(database, DUE, replace(DUE, patient=CHILD, about=b"hers"))
    to = {one.notice_id: [(DOCTOR, Channel.EMAIL)] for one in await Notices(database).waiting(NOW, 10)}
    await Notices(database).address(to, NOW)
    await Erasures(database, patients).finish(KEY)
    patients.close()
    left = everything(database)
    assert "anne@" not in left
    assert "mother@" not in left, "an address that stayed would tie the key to a person"
    assert "doctor@" in left
    assert repr(KEY)[2:-1] not in left
    kinds = [(one.kind, one.actor) for one in await Notices(database).due(NOW, 10)]
    assert kinds.count((NoticeKind.CONSENT_GRANTED, DOCTOR)) == 1, "of another patient"


# --- First accesses --------------------------------------------------------------------------------------------------


async def recorded(
    database: Database, rng: random.Random, *whose: tuple[PatientKey, Address], **fields: object
) -> None:
    journal = Journal(database)
    journal.start()
    fields = {"at": NOW, **fields}
    await journal.append([random_entry(rng, patient=patient, actor=actor, **fields) for patient, actor in whose])
    await asyncio.to_thread(journal.stop)


async def newcomers(database: Database) -> list[bytes]:
    return [one.recipient for one in await Notices(database).waiting(NOW, 1_000) if one.kind is NoticeKind.FIRST_ACCESS]


async def test_somebody_new_is_told_of_once(database: Database, rng: random.Random) -> None:
    accesses = FirstAccesses(database)
    await recorded(database, rng, (KEY, DOCTOR), (KEY, DOCTOR), (CHILD, DOCTOR))
    swept = await accesses.sweep(None, NOW)
    assert sorted(await newcomers(database)) == [KEY, CHILD]
    await recorded(database, rng, (KEY, DOCTOR))
    assert (await accesses.sweep(swept.upto, NOW)).upto > swept.upto
    assert len(await newcomers(database)) == 2
    await recorded(database, rng, (KEY, CHILDS_MOTHER))
    await accesses.sweep(swept.upto, NOW)
    assert len(await newcomers(database)) == 3


@pytest.mark.parametrize("basis", [SELF, GUARDIAN])
async def test_looking_at_what_is_ones_own_is_no_news(database: Database, rng: random.Random, basis: bytes) -> None:
    await recorded(database, rng, (KEY, ANNE), basis=basis)
    await FirstAccesses(database).sweep(None, NOW)
    assert await newcomers(database) == []


async def test_a_row_that_committed_late_is_found(database: Database, rng: random.Random) -> None:
    """Its number was given before those that are read already."""
    await recorded(database, rng, (KEY, DOCTOR), (CHILD, DOCTOR))
    with database.engine.begin() as connection:  # the first row is not committed yet
        (first,) = connection.execute(text("SELECT min(row_id) FROM access_record")).one()
        connection.execute(text("CREATE TABLE aside AS SELECT * FROM access_record WHERE row_id = :at"), {"at": first})
        connection.execute(text("DELETE FROM access_record WHERE row_id = :at"), {"at": first})
    accesses = FirstAccesses(database)
    await accesses.sweep(None, NOW)
    assert await newcomers(database) == [CHILD]
    with database.engine.begin() as connection:
        connection.execute(text("INSERT INTO access_record SELECT * FROM aside"))
        connection.execute(text("DROP TABLE aside"))
    await accesses.sweep(None, UnixTime(NOW + OVERLAP_S))
    assert sorted(await newcomers(database)) == [KEY, CHILD]
    # What is old enough is read for good
    await accesses.sweep(None, UnixTime(NOW + OVERLAP_S + 1))
    assert await Notices(database).cursor("accesses") == first + 1


async def test_more_newcomers_than_one_sweep_takes_are_all_found(database: Database, rng: random.Random) -> None:
    pairs = [(KEY, Address(rng.randbytes(20))) for _ in range(501)]
    await recorded(database, rng, *pairs)
    accesses, sweeps = FirstAccesses(database), 1
    swept = await accesses.sweep(None, UnixTime(NOW + 9_999))
    assert await Notices(database).cursor("accesses") is None, "not all of it was looked at"
    while swept.more:
        swept, sweeps = await accesses.sweep(None, UnixTime(NOW + 9_999)), sweeps + 1
    assert sweeps == 2
    assert len(await newcomers(database)) == 501


async def test_who_looked_before_this_was_kept_is_nobody_new(
    empty_url: str, opened: Callable[[str], Database], rng: random.Random
) -> None:
    database = opened(empty_url)
    with database.engine.connect().execution_options(consentry_writes=True) as connection:
        config = configuration(connection)
        before = ScriptDirectory.from_config(config).get_revision("0004").down_revision
        assert isinstance(before, str)
        command.upgrade(config, before)
        connection.commit()
    await recorded(database, rng, (KEY, DOCTOR))
    upgrade(database)
    await recorded(database, rng, (KEY, DOCTOR), (CHILD, DOCTOR))
    await FirstAccesses(database).sweep(None, NOW)
    assert await newcomers(database) == [CHILD]
