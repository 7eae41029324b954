"""Takes the outbox to the people: says who is to be told, and delivers, from one gateway at a time."""

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from app.core.consent.mirror import Standing
from app.core.identifiers import Address, PatientKey, UnixTime
from app.core.notices.from_chain import acting_for
from app.core.notices.kinds import Channel, NoticeKind
from app.core.notices.reaching import confirmation_token, webhook_secret
from app.core.notices.retrying import is_given_up, next_attempt
from app.core.notices.wording import Letter, confirmation, letter
from app.post.outcome import PostError, PostRefusedError
from app.store.contacts import Contact, Contacts, Reached
from app.store.engine import StoreUnavailableError
from app.store.leadership import Leadership
from app.store.notices import Delivery, DeliveryState, Notice, Notices, OutboxCount

_LOG = logging.getLogger(__name__)

_INTERVAL_S: Final = 1.0
_AT_ONCE: Final = 8
_SOME: Final = 200
# Longer than any attempt takes: until then nobody else makes it.
_CLAIM_S: Final = 120
_FORGET_S: Final = 3_600
CONFIRMATION_PATH: Final = "/contact"


class Mailing(Protocol):
    """Sends a letter (``app.post.smtp``)."""

    async def send(self, letter: Letter, to: str, public_id: bytes, at: UnixTime) -> None: ...


class Calling(Protocol):
    """Calls a webhook (``app.post.webhook``)."""

    async def send(self, url: str, body: bytes, secret: bytes, at: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Post:
    """The ways there are out of the house; None where the settings name none."""

    mail: Mailing | None
    webhooks: Calling | None


@dataclass(frozen=True, slots=True)
class House:
    """What messages need to know of the place they come from."""

    origin_url: str
    site_key: bytes
    standing: Callable[[], Standing | None]


class Teller:
    """``run`` until cancelled."""

    def __init__(
        self,
        notices: Notices,
        contacts: Contacts,
        post: Post,
        house: House,
        leadership: Leadership,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._notices = notices
        self._contacts = contacts
        self._post = post
        self._house = house
        self._leadership = leadership
        self._clock = clock
        self._chance = chance
        self._forgot_at = 0.0
        self._count = OutboxCount(0, 0)

    def count(self) -> OutboxCount:
        """As of the last look. Costs nothing."""
        return self._count

    async def run(self) -> NoReturn:
        """Never ends by itself. On cancellation lets another gateway deliver."""
        try:
            while True:
                try:
                    await self.step()
                except StoreUnavailableError as error:
                    _LOG.error("people wait to be told: %s", error)
                await asyncio.sleep(_INTERVAL_S)
        finally:
            await self._leadership.release()

    async def step(self) -> None:
        """Addresses what is new and attempts what is due, if this gateway leads. Raises StoreUnavailableError."""
        self._count = await self._notices.count()
        if not await self._leadership.hold():
            return
        await self._address()
        turns = asyncio.Semaphore(_AT_ONCE)

        async def attempt(delivery: Delivery) -> None:
            async with turns:
                try:
                    await self._attempt(delivery)
                except StoreUnavailableError as error:  # what is claimed is due again later
                    _LOG.error("a message waits for the database: %s", error)

        async with asyncio.TaskGroup() as tasks:
            for delivery in await self._notices.due(self._now(), _SOME):
                tasks.create_task(attempt(delivery))
        if self._clock() - self._forgot_at >= _FORGET_S:
            await self._notices.forget(self._now())
            self._forgot_at = self._clock()

    async def _address(self) -> None:
        waiting = await self._notices.waiting(self._now(), _SOME)
        standing = self._house.standing()
        to: dict[int, list[tuple[Address, Channel]]] = {}
        for notice in waiting:
            people = _people(notice, standing, self._now())
            if people is not None:  # else the chain must be known first
                to[notice.notice_id] = [one for person in people for one in await self._ways(person, notice.kind)]
        if to:
            await self._notices.address(to, self._now())

    async def _ways(self, person: Address, kind: NoticeKind) -> list[tuple[Address, Channel]]:
        contact = await self._contacts.find(person)
        if contact is None or kind in contact.muted:
            return []
        return [(person, one.channel) for one in contact.reached if one.confirmed_at is not None]

    async def _attempt(self, delivery: Delivery) -> None:
        now = self._now()
        if not await self._notices.claim(delivery.delivery_id, now, UnixTime(now + _CLAIM_S)):
            return
        contact = await self._contacts.find(delivery.actor)
        reached = None if contact is None else contact.by(delivery.channel)
        if contact is None or reached is None or not _still_wanted(delivery, contact, reached):
            await self._notices.ended(delivery.delivery_id, DeliveryState.DROPPED, now)
            return
        try:
            await self._send(delivery, contact, reached)
        except PostError as error:
            await self._failed(delivery, error)
        except Exception as error:  # noqa: BLE001 - no message, however odd, may end the loop that all depend on
            await self._failed(delivery, PostError(type(error).__name__))
        else:
            await self._notices.ended(delivery.delivery_id, DeliveryState.DELIVERED, self._now())

    async def _send(self, delivery: Delivery, contact: Contact, reached: Reached) -> None:
        now = self._now()
        link = None
        if delivery.kind is NoticeKind.CONFIRM_CONTACT:
            token = confirmation_token(
                self._house.site_key, delivery.actor, delivery.channel, reached.target, reached.nonce
            )
            # Behind the #: no server and no log on the way sees it
            link = f"{self._house.origin_url}{CONFIRMATION_PATH}#{token}"
        if delivery.channel is Channel.EMAIL:
            if self._post.mail is None:
                raise PostError("no mail server is named in the settings")
            if link is None:
                message = letter(delivery.kind, contact.language, self._house.origin_url)
            else:
                message = confirmation(contact.language, link)
            await self._post.mail.send(message, reached.target, delivery.public_id, now)
            return
        if self._post.webhooks is None:
            raise PostError("webhooks are turned off in the settings")
        said = {"id": delivery.public_id.hex(), "kind": delivery.kind.value, "sign_in": self._house.origin_url}
        body = json.dumps(said if link is None else {**said, "confirm": link}).encode()
        secret = webhook_secret(self._house.site_key, delivery.actor, reached.target, reached.nonce)
        await self._post.webhooks.send(reached.target, body, secret, now)

    async def _failed(self, delivery: Delivery, error: PostError) -> None:
        now = self._now()
        if isinstance(error, PostRefusedError) or is_given_up(delivery.created_at, now):
            _LOG.error(
                "ALARM: a message by %s was given up after %d failures (%s)",
                delivery.channel.value,
                delivery.failures + 1,
                error,
            )
            await self._notices.ended(delivery.delivery_id, DeliveryState.GIVEN_UP, now)
            return
        _LOG.warning("a message by %s could not be delivered: %s", delivery.channel.value, error)
        again = next_attempt(now, delivery.failures + 1, self._chance())
        await self._notices.failed(delivery.delivery_id, again, now)

    def _now(self) -> UnixTime:
        return UnixTime(int(self._clock()))


def _people(notice: Notice, standing: Standing | None, now: UnixTime) -> list[Address] | None:
    """Whom the notice is for; None while the chain's state is not known well enough to say."""
    if not notice.of_patient:
        return [Address(notice.recipient)]
    if standing is None:
        return None
    return acting_for(standing.head.patient(PatientKey(notice.recipient)), now)


def _still_wanted(delivery: Delivery, contact: Contact, reached: Reached) -> bool:
    if delivery.kind is NoticeKind.CONFIRM_CONTACT:
        return reached.confirmed_at is None
    return reached.confirmed_at is not None and delivery.kind not in contact.muted
