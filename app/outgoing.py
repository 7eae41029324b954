"""The configured ways out of the house, to tell people: mail server and webhooks made into what delivers the outbox."""

from collections.abc import Callable

from app.api.wiring import Reach
from app.core.consent.mirror import Standing
from app.loops.telling import House, Post, Teller
from app.post.smtp import Mail, MailServer
from app.post.webhook import Webhooks
from app.settings import Settings
from app.store.contacts import Contacts
from app.store.engine import Database
from app.store.leadership import Leadership
from app.store.notices import Notices


def teller(settings: Settings, database: Database, site_key: bytes, standing: Callable[[], Standing | None]) -> Teller:
    """What delivers the outbox."""
    mail = None
    if settings.smtp_url:
        mail = Mail(MailServer.of(settings.smtp_url, local=settings.mail_server_is_local), settings.mail_from)
    webhooks = None if settings.webhooks == "off" else Webhooks(private=settings.webhooks == "private")
    return Teller(
        Notices(database),
        Contacts(database),
        Post(mail, webhooks),
        House(settings.origin_url, site_key, standing),
        Leadership(database, "tell"),
    )


def reach(settings: Settings) -> Reach:
    """Which of these ways people may choose."""
    return Reach(bool(settings.smtp_url), settings.webhooks != "off", settings.webhooks == "private")
