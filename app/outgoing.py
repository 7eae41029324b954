"""The configured ways out of the house, to tell people: what notices things, and what delivers by mail and webhook."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from app.api.wiring import Reach
from app.core.consent.mirror import Standing
from app.loops.noticing import ChainNotices, notice_first_accesses
from app.loops.telling import House, Post, Teller
from app.post.smtp import Mail, MailServer
from app.post.webhook import Webhooks
from app.settings import Settings
from app.store.contacts import Contacts
from app.store.engine import Database
from app.store.first_accesses import FirstAccesses
from app.store.leadership import Leadership
from app.store.notices import Notices


@dataclass(frozen=True, slots=True)
class Outgoing:
    """``listener`` is for the follower; ``reach`` says which of the ways out people may choose."""

    listener: ChainNotices
    first_accesses: FirstAccesses
    teller: Teller
    contacts: Contacts
    reach: Reach

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """What is to run as long as the gateway does."""
        return [self.listener.run(), notice_first_accesses(self.first_accesses), self.teller.run()]


async def outgoing(
    settings: Settings, database: Database, site_key: bytes, standing: Callable[[], Standing | None]
) -> Outgoing:
    """Ready to listen. Raises StoreUnavailableError."""
    listener, contacts = ChainNotices(database), Contacts(database)
    await listener.load()
    mail = None
    if settings.smtp_url:
        mail = Mail(MailServer.of(settings.smtp_url, local=settings.mail_server_is_local), settings.mail_from)
    webhooks = None if settings.webhooks == "off" else Webhooks(private=settings.webhooks == "private")
    house = House(settings.origin_url, site_key, standing)
    teller = Teller(Notices(database), contacts, Post(mail, webhooks), house, Leadership(database, "tell"))
    reach = Reach(mail is not None, webhooks is not None, settings.webhooks == "private")
    return Outgoing(listener, FirstAccesses(database), teller, contacts, reach)
