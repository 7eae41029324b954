"""From a real chain to the outbox: nothing skipped and nothing twice, across reorganisations, restarts and outages."""

import asyncio
import random
from collections.abc import Callable

import pytest
from sqlmodel import select

from app.chain.anvil import DEVELOPMENT_KEYS
from app.core.identifiers import PatientKey, Signer, UnixTime
from app.core.notices.kinds import NoticeKind
from app.core.signing.messages import MoveAcceptance
from app.core.signing.typed_data import digest, words_hash
from app.loops.follow import Follower
from app.loops.noticing import ChainNotices, notice_first_accesses
from app.store.contacts import Contacts, Wanted
from app.store.engine import Database, StoreUnavailableError
from app.store.first_accesses import FirstAccesses
from app.store.journal import Journal
from app.store.notices import CHAIN, Notices
from app.store.tables import ContactPatientRow, NoticeRow
from tests.loops_follow.following import actor_of, rules
from tests.support.accesses import random_entry
from tests.support.chain import CAST, MOVE_DELAY_S, Chain, signer
from tests.support.consents import ChainPatient, claimed, domains, grant, revoke, signed, terms

KEY = PatientKey(b"\x06" * 32)
LATER = 10  # confirmations: so deep a block is final


class Gateway:
    """A follower that tells its listener, and the listener's writing: both stepped by hand."""

    def __init__(self, chain: Chain, database: Database, confirmations: int = 0) -> None:
        self.chain = chain
        self.database = database
        self.listener = ChainNotices(database)
        self.follower = Follower(
            chain.nodes,
            chain.deployment,
            rules(confirmations, may_go_back=True),
            progress=lambda _done, _total: None,
            listener=self.listener,
        )

    async def started(self) -> "Gateway":
        await self.listener.load()
        await self.step()
        return self

    async def step(self) -> None:
        await self.follower.step()
        await self.listener.write()


def told(database: Database) -> list[tuple[str, bytes]]:
    rows = database.read(lambda one: list(one.exec(select(NoticeRow).order_by(NoticeRow.notice_id)).all()))  # type: ignore[arg-type]
    return [(row.kind, row.recipient) for row in rows]


def kinds(database: Database) -> list[str]:
    return [kind for kind, _ in told(database)]


async def moved(chain: Chain, key: PatientKey = KEY, to: str = "patient2") -> None:
    await chain.send(signer("registrar"), chain.contracts.patients.start_move(key, Signer(bytes(actor_of(to)))))


async def move_finished(chain: Chain, to: str = "patient2") -> None:
    """The new controller accepts, once the delay is over."""
    await chain.rpc("evm_increaseTime", 2 * MOVE_DELAY_S)
    await chain.mine()
    until = UnixTime(await chain.time() + 600)
    accepted = digest(MoveAcceptance(KEY, Signer(bytes(actor_of(to))), 1, until), "words", domains(chain))
    signature = signed(accepted, DEVELOPMENT_KEYS[CAST.index(to)])
    call = chain.contracts.patients.finish_move(KEY, signature, until, words_hash("words"))
    await chain.send(signer("relayer"), call)


async def patient_of(chain: Chain) -> ChainPatient:
    return await claimed(chain, KEY)


async def test_what_was_there_before_the_first_start_is_no_news(
    chain: Chain, database: Database, rng: random.Random
) -> None:
    patient = await patient_of(chain)
    await grant(chain, patient, terms(patient, "physician1", rng))
    gateway = await Gateway(chain, database).started()
    assert told(database) == []
    assert await Notices(database).cursor(CHAIN) == await chain.height()
    await grant(chain, patient, terms(patient, "physician2", rng))
    await gateway.step()
    assert told(database) == [("consent-granted", KEY), ("consent-granted", actor_of("physician2"))]


async def test_a_consent_is_told_once_final_and_a_revocation_too(
    chain: Chain, database: Database, rng: random.Random
) -> None:
    patient = await patient_of(chain)
    gateway = await Gateway(chain, database, LATER).started()
    await chain.mine(LATER)
    await gateway.step()
    consent = await grant(chain, patient, terms(patient, "physician1", rng))
    await gateway.step()
    assert told(database) == []
    await chain.mine(LATER - 1)
    await gateway.step()
    assert told(database) == []
    await chain.mine()
    await gateway.step()
    assert kinds(database) == ["consent-granted"] * 2
    await revoke(chain, patient, consent)
    await chain.mine(LATER)
    await gateway.step()
    await gateway.step()
    assert kinds(database) == ["consent-granted"] * 2 + ["consent-revoked"] * 2


async def test_the_start_of_a_recovery_is_told_at_the_head_and_not_again_when_final(
    chain: Chain, database: Database
) -> None:
    await patient_of(chain)
    await chain.mine(LATER)
    gateway = await Gateway(chain, database, LATER).started()
    await moved(chain)
    await gateway.step()
    expected = [("recovery-started", actor_of("patient1")), ("recovery-started", actor_of("registrar"))]
    assert told(database) == expected
    await chain.mine(LATER + 1)
    await gateway.step()
    assert told(database) == expected
    assert await Notices(database).cursor(CHAIN) == await chain.height() - LATER


@pytest.mark.parametrize("again", [True, False])
async def test_what_a_reorganisation_takes_away_is_not_told_unless_it_comes_back(
    chain: Chain, database: Database, rng: random.Random, *, again: bool
) -> None:
    patient = await patient_of(chain)
    await chain.mine(LATER)
    gateway = await Gateway(chain, database, LATER).started()
    wanted = terms(patient, "physician1", rng)
    await grant(chain, patient, wanted)
    await moved(chain)
    await gateway.step()
    await chain.reorg(4)
    await gateway.step()
    if again:
        await grant(chain, patient, wanted)
        await moved(chain)
    await chain.mine(LATER + 4)
    await gateway.step()
    assert kinds(database) == ["recovery-started"] * 2 + (["consent-granted"] * 2 if again else [])


async def test_what_happened_while_no_gateway_ran_is_told_by_the_next_with_the_people_of_that_moment(
    chain: Chain, database: Database, rng: random.Random
) -> None:
    patient = await patient_of(chain)
    await (await Gateway(chain, database).started()).step()
    await grant(chain, patient, terms(patient, "physician1", rng))
    await moved(chain)
    await move_finished(chain)
    await Gateway(chain, database).started()
    assert kinds(database) == ["consent-granted"] * 2 + ["recovery-started"] * 2 + ["recovery-finished"] * 3
    finished = {recipient for kind, recipient in told(database) if kind == "recovery-finished"}
    assert finished == {actor_of("patient1"), actor_of("patient2"), actor_of("registrar")}, "the old one above all"
    before = told(database)
    await Gateway(chain, database).started()
    assert told(database) == before


async def test_two_gateways_on_one_database_tell_once_also_where_one_lags(
    chain: Chain, url: str, opened: Callable[[str], Database], rng: random.Random
) -> None:
    patient = await patient_of(chain)
    here = await Gateway(chain, opened(url)).started()
    there = await Gateway(chain, opened(url)).started()
    for at, grantee in enumerate(("physician1", "physician2", "auditor")):
        await grant(chain, patient, terms(patient, grantee, rng))
        await here.step()
        if at == 1:
            await there.step()
    await asyncio.gather(here.step(), there.step())
    assert kinds(here.database) == ["consent-granted"] * 6
    assert await Notices(there.database).cursor(CHAIN) == await chain.height()


async def test_what_the_database_does_not_take_is_kept_and_a_lost_mirror_skips_nothing(
    chain: Chain, database: Database, rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = await patient_of(chain)
    gateway = await Gateway(chain, database).started()

    async def down(_work: object) -> None:
        raise StoreUnavailableError("down")

    with monkeypatch.context() as outage:
        outage.setattr(Database, "writing", lambda _self, work: down(work))
        await grant(chain, patient, terms(patient, "physician1", rng))
        with pytest.raises(StoreUnavailableError):
            await gateway.step()
        gateway.follower._distrust()  # the mirror is rebuilt while what was final is not written
        await grant(chain, patient, terms(patient, "physician2", rng))
        with pytest.raises(StoreUnavailableError):
            await gateway.step()
    assert told(database) == []
    await gateway.step()
    assert kinds(database) == ["consent-granted"] * 4


async def test_random_histories_tell_what_is_final_in_the_end_and_each_of_it_once(
    chain: Chain, database: Database, rng: random.Random
) -> None:
    """Grants, reorganisations, restarts and steps in any order, against what the chain holds at the end."""
    patient = await patient_of(chain)
    await chain.mine(LATER)
    gateway = await Gateway(chain, database, LATER).started()
    for _ in range(30):
        move = rng.choice(["grant", "grant", "mine", "reorg", "step", "restart"])
        if move == "grant":
            await grant(chain, patient, terms(patient, "physician1", rng))
        elif move == "mine":
            await chain.mine(rng.randrange(1, 4))
        elif move == "reorg":
            await chain.reorg(rng.randrange(1, 4))
        elif move == "restart":
            gateway = await Gateway(chain, database, LATER).started()
        else:
            await gateway.step()
    await chain.mine(LATER)
    await gateway.step()
    standing = gateway.follower.standing()
    assert standing is not None
    final = standing.final.patient(KEY)
    assert final is not None
    held = [consent.id for consent in final.live_consents()]
    assert kinds(database).count("consent-granted") == 2 * len(held)


async def test_for_whom_an_owner_of_a_contact_comes_to_act_is_noted_for_erasure(
    chain: Chain, database: Database
) -> None:
    gateway = await Gateway(chain, database).started()
    mother = actor_of("patient1")
    await Contacts(database).put(Wanted(mother, "en", frozenset(), {}, ()), 0, b"", lambda *_: "")  # type: ignore[arg-type]
    await patient_of(chain)
    await gateway.step()
    rows = database.read(lambda one: list(one.exec(select(ContactPatientRow)).all()))
    assert [(row.actor, row.patient_key) for row in rows] == [(mother, KEY)]


async def test_first_accesses_are_found_as_they_come(database: Database, rng: random.Random) -> None:
    journal = Journal(database)
    journal.start()
    now = 1_790_000_000.0
    looking = asyncio.create_task(notice_first_accesses(FirstAccesses(database), clock=lambda: now))
    try:
        await journal.append([random_entry(rng, patient=KEY, actor=actor_of("physician1"))])
        async with asyncio.timeout(30):
            while NoticeKind.FIRST_ACCESS.value not in kinds(database):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await asyncio.to_thread(journal.stop)
