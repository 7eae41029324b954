"""From the outbox to the people: to whom, how, once, and what becomes of it when nobody takes it."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from app.core.consent.events import ControllerMoved, Event, GuardianSet, MoveStarted, PatientClaimed, PatientEnrolled
from app.core.consent.fold import fold_all
from app.core.consent.mirror import Standing
from app.core.consent.state import GENESIS, State
from app.core.identifiers import Address, BlockHash, BlockRef, PatientKey, Signer, UnixTime
from app.core.notices.kinds import ALWAYS, OPTIONAL, Channel, Due, NoticeKind
from app.core.notices.reaching import confirmation_token, webhook_secret, webhook_signature
from app.core.notices.retrying import GIVE_UP_AFTER_S
from app.loops.telling import House, Post, Teller
from app.post.smtp import Mail, MailServer
from app.post.webhook import Webhooks
from app.store.access_requests import AccessRequests
from app.store.contacts import Contacts, Wanted
from app.store.engine import Database, StoreUnavailableError
from app.store.leadership import Leadership
from app.store.notices import Notices, OutboxCount, tell
from app.store.tables import NoticeDeliveryRow
from tests.loops_notices.sinks import Hook, Mailbox, hook_server, mail_server, server_context
from tests.story.test_p17_canaries import found_in
from tests.support.certificates import Authority

NOW = 1_790_000_000
ORIGIN = "https://images.hospital.example.org"
SITE_KEY = b"k" * 32
ANNE, SPOUSE, DOCTOR, NEXT = (Address(bytes([n]) * 20) for n in (1, 2, 3, 4))
KEY = PatientKey(b"CANARY-PATIENT-KEY-0123456789ab!")
_LONG = UnixTime(NOW * 2)
STATE = fold_all(
    GENESIS,
    [
        PatientEnrolled(KEY, Address(b"\x09" * 20), _LONG),
        PatientClaimed(KEY, ANNE, Signer(ANNE)),
        GuardianSet(KEY, SPOUSE, Signer(SPOUSE), _LONG),
    ],
)
DUE = Due(NoticeKind.FIRST_ACCESS, KEY, KEY, b"CANARY-ACTOR-OF-THE-ACCESS")


@dataclass
class Town:
    """Everybody who can be reached, and the gateways that tell them. Time passes only where the test says so."""

    database: Database
    mailbox: Mailbox
    hook: Hook
    post: Post
    now: float = NOW
    state: State | None = STATE
    tellers: list[Teller] = field(default_factory=list)

    def gateway(self, database: Database | None = None, post: Post | None = None) -> Teller:
        used = database or self.database
        teller = Teller(
            Notices(used),
            Contacts(used),
            post or self.post,
            House(ORIGIN, SITE_KEY, self.standing),
            Leadership(used, "tell"),
            clock=lambda: self.now,
            chance=lambda: 0.0,
        )
        self.tellers.append(teller)
        return teller

    def standing(self) -> Standing | None:
        if self.state is None:
            return None
        return Standing(self.state, self.state, BlockRef(1, BlockHash(bytes(32))), UnixTime(NOW))

    def told(self, *dues: Due) -> None:
        self.database.write(lambda transaction: tell(transaction, dues, UnixTime(int(self.now))))

    async def reached(
        self,
        actor: Address,
        email: str = "",
        webhook: str = "",
        language: str = "en",
        muted: frozenset[NoticeKind] = frozenset(),
    ) -> None:
        """A contact that has confirmed all its addresses."""
        targets = {Channel.EMAIL: email, Channel.WEBHOOK: webhook}
        wanted = Wanted(actor, language, muted, {channel: at for channel, at in targets.items() if at}, ())

        def token(channel: Channel, target: str, nonce: bytes) -> str:
            return confirmation_token(SITE_KEY, actor, channel, target, nonce)

        contacts = Contacts(self.database)
        await contacts.put(wanted, UnixTime(int(self.now)), b"n" * 16, token)
        for channel, target in wanted.targets.items():
            await contacts.confirm(token(channel, target, b"n" * 16), UnixTime(int(self.now)))
        contact = await contacts.find(actor)
        assert contact is not None
        assert all(one.confirmed_at is not None for one in contact.reached)

    async def end(self, teller: Teller) -> None:
        """Its process is gone, and with it the system's lock."""
        self.tellers.remove(teller)
        await teller._leadership.release()

    def next_at(self) -> int:
        query = select(NoticeDeliveryRow.next_at).where(NoticeDeliveryRow.state == "waiting")
        return self.database.read(lambda one: min(one.exec(query).all()))

    @property
    def to(self) -> list[str]:
        return sorted(str(letter["To"]) for letter in self.mailbox.letters)


@pytest.fixture
async def town(database: Database, tmp_path: Path) -> AsyncIterator[Town]:
    authority = Authority(tmp_path, "house")
    inside = server_context(authority.issue("server", "127.0.0.1"))
    async with mail_server() as mailbox, hook_server(inside) as hook:
        mail = Mail(MailServer.of(f"smtp://127.0.0.1:{mailbox.port}", local=True), "images@hospital.example.org")
        webhooks = Webhooks(private=True, trust=ssl.create_default_context(cafile=authority.bundle))
        made = Town(database, mailbox, hook, Post(mail, webhooks))
        yield made
        for teller in list(made.tellers):
            await made.end(teller)


async def test_whoever_acts_for_the_patient_is_told_as_they_asked_and_once(town: Town) -> None:
    await town.reached(ANNE, email="anne@example.org", webhook=town.hook.url)
    await town.reached(SPOUSE, email="spouse@example.org", language="de")
    await town.reached(DOCTOR, email="doctor@example.org")
    gateway = town.gateway()
    town.told(DUE)
    await gateway.step()
    await gateway.step()
    town.told(DUE)
    await gateway.step()
    assert town.to == ["anne@example.org", "spouse@example.org"]
    german = next(letter for letter in town.mailbox.letters if letter["To"] == "spouse@example.org")
    assert "noch nie" in german.get_content()
    ((headers, body),) = town.hook.got
    said = json.loads(body)
    assert set(said) == {"id", "kind", "sign_in"}
    assert (said["kind"], said["sign_in"]) == ("first-access", ORIGIN)
    secret = webhook_secret(SITE_KEY, ANNE, town.hook.url, b"n" * 16)
    assert headers["Consentry-Signature"] == webhook_signature(secret, NOW, body)
    assert gateway.count().waiting == 0


async def test_nothing_is_sent_to_an_address_before_its_link_was_opened(town: Town) -> None:
    wanted = Wanted(ANNE, "en", frozenset(), {Channel.EMAIL: "anne@example.org", Channel.WEBHOOK: town.hook.url}, ())

    def token(channel: Channel, target: str, nonce: bytes) -> str:
        return confirmation_token(SITE_KEY, ANNE, channel, target, nonce)

    await Contacts(town.database).put(wanted, UnixTime(NOW), b"m" * 16, token)
    town.told(DUE)
    gateway = town.gateway()
    await gateway.step()
    (letter,) = town.mailbox.letters
    link = letter.get_content().split()[-1]
    assert link == f"{ORIGIN}/contact#{token(Channel.EMAIL, 'anne@example.org', b'm' * 16)}"
    ((_, body),) = town.hook.got
    assert json.loads(body)["confirm"] == f"{ORIGIN}/contact#{token(Channel.WEBHOOK, town.hook.url, b'm' * 16)}"
    assert await Contacts(town.database).confirm(link.partition("#")[2], UnixTime(NOW))
    town.told(Due(NoticeKind.FIRST_ACCESS, KEY, KEY, b"another"))
    await gateway.step()
    assert len(town.mailbox.letters) == 2
    assert len(town.hook.got) == 1


@pytest.mark.parametrize("kind", [kind for kind in NoticeKind if kind is not NoticeKind.CONFIRM_CONTACT])
async def test_what_was_muted_is_not_told_unless_it_is_told_always(town: Town, kind: NoticeKind) -> None:
    await town.reached(ANNE, email="anne@example.org", muted=frozenset(OPTIONAL))
    town.told(Due(kind, ANNE, KEY, b"about"))
    await town.gateway().step()
    assert len(town.mailbox.letters) == int(kind in ALWAYS)


async def test_muting_and_removing_also_stop_what_is_under_way(town: Town) -> None:
    town.mailbox.rcpt_answer = "450 busy"
    await town.reached(ANNE, email="anne@example.org")
    await town.reached(SPOUSE, email="spouse@example.org")
    town.told(DUE)
    gateway = town.gateway()
    await gateway.step()
    await town.reached(ANNE, email="anne@example.org", muted=frozenset(OPTIONAL))
    await Contacts(town.database).remove(SPOUSE)
    town.mailbox.rcpt_answer = "250 OK"
    town.now += 600
    await gateway.step()
    assert town.mailbox.letters == []
    assert (await Notices(town.database).count()).waiting == 0


async def test_who_acts_is_asked_of_the_chain_and_waits_until_it_is_known(town: Town) -> None:
    town.state = None
    await town.reached(NEXT, email="next@example.org")
    await town.reached(DOCTOR, email="doctor@example.org")
    town.told(DUE, Due(NoticeKind.REQUEST_ANSWERED, DOCTOR, KEY, b"request"))
    gateway = town.gateway()
    await gateway.step()
    assert town.to == ["doctor@example.org"], "a person is known without the chain"
    moved: list[Event] = [MoveStarted(KEY, Signer(NEXT), UnixTime(5)), ControllerMoved(KEY, NEXT, Signer(NEXT))]
    town.state = fold_all(STATE, moved)
    await gateway.step()
    assert town.to == ["doctor@example.org", "next@example.org"]


async def test_a_request_to_nobody_is_told_to_nobody(town: Town) -> None:
    await town.reached(ANNE, email="anne@example.org")
    requests = AccessRequests(town.database)
    await requests.ask(PatientKey(b"\x55" * 32), DOCTOR, "{}", "CANARY-REASON")
    await requests.ask(KEY, DOCTOR, "{}", "CANARY-REASON")
    await town.gateway().step()
    assert town.to == ["anne@example.org"]


async def test_what_fails_is_tried_again_more_and_more_rarely_and_loudly_given_up_after_a_day(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    town.mailbox.rcpt_answer = "450 4.2.1 busy CANARYANSWER"
    await town.reached(ANNE, email="canaryaddress@example.org")
    town.told(DUE)
    gateway, attempts = town.gateway(), []
    with caplog.at_level(logging.WARNING):
        while True:
            attempts.append(town.now)
            await gateway.step()
            if (await Notices(town.database).count()).given_up:
                break
            town.now = town.next_at()
    gaps = [after - before for before, after in pairwise(attempts)]
    assert gaps[:3] == [15, 30, 60]
    assert max(gaps) <= 1815
    assert NOW + GIVE_UP_AFTER_S <= town.now <= NOW + GIVE_UP_AFTER_S + 1900
    assert [one for one in caplog.records if one.levelno == logging.ERROR and "ALARM" in one.getMessage()]
    await gateway.step()
    assert gateway.count() == OutboxCount(waiting=0, given_up=1)
    assert "CANARY" not in caplog.text
    assert "canaryaddress" not in caplog.text


async def test_what_will_never_be_taken_is_given_up_at_once(town: Town) -> None:
    town.mailbox.rcpt_answer = "550 no such mailbox"
    town.hook.status = 410
    await town.reached(ANNE, email="anne@example.org", webhook=town.hook.url)
    town.told(DUE)
    await town.gateway().step()
    assert await Notices(town.database).count() == OutboxCount(waiting=0, given_up=2)


async def test_a_channel_that_is_turned_off_and_an_odd_failure_end_nothing(town: Town) -> None:
    class Odd:
        async def send(self, *_of: Any) -> None:
            raise ZeroDivisionError("CANARY")

    await town.reached(ANNE, email="anne@example.org", webhook=town.hook.url)
    town.told(DUE)
    for post in (Post(None, None), Post(Odd(), Odd())):
        gateway = town.gateway(post=post)
        await gateway.step()
        await town.end(gateway)
        town.now += 60
    assert (await Notices(town.database).count()).waiting == 2
    await town.gateway().step()
    assert (len(town.mailbox.letters), len(town.hook.got)) == (1, 1)


@pytest.mark.parametrize("channel", list(Channel))
async def test_killed_between_delivery_and_mark_it_is_delivered_again_with_the_same_id(
    town: Town, monkeypatch: pytest.MonkeyPatch, channel: Channel
) -> None:
    """At least once: the other side has taken it, and the gateway dies before it can write that down."""
    by_mail = channel is Channel.EMAIL
    await town.reached(ANNE, email="anne@example.org" if by_mail else "", webhook="" if by_mail else town.hook.url)
    dying = town.gateway()
    await dying.step()
    town.told(DUE)

    class Killed(BaseException):
        pass

    async def never(*_of: object) -> None:
        raise Killed

    def ids() -> list[str]:
        mailed = [str(letter["Message-ID"]) for letter in town.mailbox.letters]
        return mailed if by_mail else [json.loads(body)["id"] for _, body in town.hook.got]

    with monkeypatch.context() as dead:
        dead.setattr(Notices, "ended", never)
        with pytest.raises(BaseExceptionGroup):
            await dying.step()
    await town.end(dying)
    assert len(ids()) == 1
    another = town.gateway()
    await another.step()
    assert len(ids()) == 1, "what is claimed is left alone"
    town.now += 120
    await another.step()
    await another.step()
    first, second = ids()
    assert first == second


async def test_two_gateways_on_one_database_tell_once(town: Town, url: str, opened: Callable[[str], Database]) -> None:
    await town.reached(ANNE, email="anne@example.org", webhook=town.hook.url)
    here, there = town.gateway(), town.gateway(opened(url))
    for at in range(20):
        town.told(Due(NoticeKind.FIRST_ACCESS, KEY, KEY, bytes([at])))
        await asyncio.gather(here.step(), there.step())
    await asyncio.gather(here.step(), there.step())
    assert len(town.mailbox.letters) == len(town.hook.got) == 20
    assert len({letter["Message-ID"] for letter in town.mailbox.letters}) == 20
    # The one that leads is gone: the other goes on
    await town.end(here)
    town.told(Due(NoticeKind.FIRST_ACCESS, KEY, KEY, b"later"))
    await there.step()
    await there.step()
    assert len(town.mailbox.letters) == 21


async def test_two_that_both_believe_they_lead_tell_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    async def yes(_self: object) -> bool:
        return True

    monkeypatch.setattr(Leadership, "hold", yes)
    await town.reached(ANNE, email="anne@example.org")
    gateways = [town.gateway() for _ in range(3)]
    for at in range(10):
        town.told(Due(NoticeKind.FIRST_ACCESS, KEY, KEY, bytes([at])))
    for _ in range(2):
        await asyncio.gather(*(gateway.step() for gateway in gateways))
    assert len(town.mailbox.letters) == 10


async def test_p17_nothing_about_anybody_is_in_anything_that_is_sent_or_logged(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    """Every kind, by every channel, in every language, with canaries in all that a notice is made of."""
    caplog.set_level(logging.DEBUG)
    canaries = {
        "patient key": bytes(KEY),
        "cause": b"CANARY-ACTOR-OF-THE-ACCESS",
        "reason": b"CANARY-REASON-OF-REQUEST",
        "terms": b"CANARY-TERMS-OF-REQUEST",
        "actor": b"CANARY-WALLET-ANNE!!",
        "site key": SITE_KEY,
    }
    anne = Address(canaries["actor"])
    for language in ("en", "de"):
        await town.reached(anne, email="anne@example.org", webhook=town.hook.url, language=language)
        about = canaries["cause"] + language.encode()
        town.told(*(Due(kind, anne, KEY, about) for kind in NoticeKind if kind is not NoticeKind.CONFIRM_CONTACT))
        gateway = town.gateway()
        await gateway.step()
        await town.end(gateway)
    await AccessRequests(town.database).ask(KEY, anne, canaries["terms"].decode(), canaries["reason"].decode())
    kinds = len(NoticeKind) - 1
    assert (len(town.mailbox.raw), len(town.hook.got)) == (2 * kinds, 2 * kinds)
    sent = b"\n".join(
        [letter.as_bytes() + str(letter.get_content()).encode() for letter in town.mailbox.letters]
        + [body + repr(headers).encode() for headers, body in town.hook.got]
    )
    assert found_in(sent, canaries) == []
    logged = "\n".join(one.getMessage() for one in caplog.records if one.name != "mail.log")  # the sink's own
    assert found_in(logged.encode(), canaries | {"address": b"anne@example.org", "hook": town.hook.url.encode()}) == []


@asynccontextmanager
async def running(teller: Teller) -> AsyncIterator[None]:
    task = asyncio.create_task(teller.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_runs_by_itself_outlives_the_database_and_lets_another_lead_at_its_end(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.loops.telling._INTERVAL_S", 0.02)
    await town.reached(ANNE, email="anne@example.org")
    gateway = town.gateway()
    town.tellers.remove(gateway)
    real = Notices.count
    failures = iter([True, True])

    async def shaky(self: Notices) -> OutboxCount:
        if next(failures, False):
            raise StoreUnavailableError("away")
        return await real(self)

    monkeypatch.setattr(Notices, "count", shaky)
    async with running(gateway):
        town.told(DUE)
        async with asyncio.timeout(20):
            while not town.mailbox.letters:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    other = Leadership(town.database, "tell")
    async with asyncio.timeout(20):
        # PostgreSQL lets a lock go a moment after its connection is closed
        while not await other.hold():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await other.release()
