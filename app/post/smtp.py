"""Mail through the hospital's SMTP server (RFC 5321), encrypted wherever it leaves this machine."""

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import aiosmtplib

from app.core.identifiers import UnixTime
from app.core.notices.wording import Letter
from app.post.outcome import PostError, PostRefusedError

# For one answer, and for all of it.
_TIMEOUT_S = 20.0
_WHOLE_S = 60.0
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class MailServer:
    """``encrypted``: TLS from the first byte; otherwise STARTTLS, which only a server on this machine may lack."""

    host: str
    port: int
    encrypted: bool
    local: bool
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str, *, local: bool) -> "MailServer":
        """``smtp(s)://user:password@host:port``, checked by the settings; ``local``: the host is loopback."""
        parts = urlsplit(url)
        return cls(
            host=parts.hostname or "",
            port=parts.port or _PORTS[parts.scheme],
            encrypted=parts.scheme == "smtps",
            local=local,
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )


class Mail:
    """``trust``: whom to trust instead of the authorities that the system does."""

    def __init__(self, server: MailServer, sender: str, trust: ssl.SSLContext | None = None) -> None:
        self._server = server
        self._sender = sender
        self._trust = trust or ssl.create_default_context()

    async def send(self, letter: Letter, to: str, public_id: bytes, at: UnixTime) -> None:
        """One letter. Its Message-ID is made of ``public_id``, so that a mailbox can drop what arrives twice.

        Raises PostRefusedError when the server will not take it for that address, PostError for everything else.
        """
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.encrypted,
            # None takes STARTTLS where it is offered; True fails without it
            start_tls=False if server.encrypted else None if server.local else True,
            tls_context=self._trust,
            timeout=_TIMEOUT_S,
        )
        try:
            async with asyncio.timeout(_WHOLE_S), client:
                if server.username:
                    await client.login(server.username, server.password)
                await client.send_message(self._message(letter, to, public_id, at))
        except aiosmtplib.SMTPRecipientsRefused as error:
            refusal = error.recipients[0].code if error.recipients else 0
            raise _refused(refusal) from None
        except aiosmtplib.SMTPResponseException as error:
            # What the server says of itself (no sign-in, no STARTTLS) is the operator's to mend, so it is tried again
            own = isinstance(error, aiosmtplib.SMTPDataError)
            raise (_refused(error.code) if own else PostError(f"the mail server answered {error.code}")) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise PostError(f"the mail server cannot be used ({type(error).__name__})") from None

    def _message(self, letter: Letter, to: str, public_id: bytes, at: UnixTime) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = to
        message["Subject"] = letter.subject
        message["Date"] = format_datetime(datetime.fromtimestamp(at, UTC))
        message["Message-ID"] = f"<{public_id.hex()}@{self._sender.rpartition('@')[2].rstrip('>')}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic answer, please
        message.set_content(letter.body, cte="quoted-printable")
        return message


def _refused(code: int) -> PostError:
    if 500 <= code < 600:  # RFC 5321 §4.2.1: permanent
        return PostRefusedError(f"the mail server answered {code}")
    return PostError(f"the mail server answered {code}")
