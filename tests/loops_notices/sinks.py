"""Where messages end up in tests: a real mail server and a real HTTPS server in this process that keep all they get."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope

from tests.support.certificates import Issued


@dataclass
class Mailbox:
    """``answer``: what the server says to a recipient, and to the message."""

    port: int = 0
    raw: list[bytes] = field(default_factory=list)
    rcpt_answer: str = "250 OK"
    data_answer: str = "250 OK"
    encrypted: list[bool] = field(default_factory=list)
    signed_in: list[bool] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's names
        self, _server: SMTP, _session: Any, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.rcpt_answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.rcpt_answer

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.original_content, bytes)
        self.raw.append(envelope.original_content)
        assert server.transport is not None
        self.encrypted.append(server.transport.get_extra_info("sslcontext") is not None)
        self.signed_in.append(bool(session.authenticated))
        return self.data_answer

    @property
    def letters(self) -> list[EmailMessage]:
        return [message_from_bytes(raw, policy=policy.default) for raw in self.raw]


def server_context(issued: Issued) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(issued.certificate, issued.key)
    return context


@asynccontextmanager
async def mail_server(
    *,
    starttls: ssl.SSLContext | None = None,
    encrypted: ssl.SSLContext | None = None,
    credentials: tuple[str, str] | None = None,
) -> AsyncIterator[Mailbox]:
    """``starttls`` offers it, ``encrypted`` is TLS from the first byte, ``credentials`` are the ones that are good."""
    mailbox = Mailbox()

    def authenticate(_server: SMTP, _session: Any, _envelope: Any, _mechanism: str, shown: Any) -> AuthResult:
        given = (shown.login.decode(), shown.password.decode())
        return AuthResult(success=given == credentials)

    def protocol() -> SMTP:
        return SMTP(
            mailbox,
            hostname="mail.example.org",
            tls_context=starttls,
            authenticator=authenticate if credentials else None,
            auth_require_tls=False,
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=encrypted)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()


@dataclass
class Hook:
    """``status`` and ``headers`` are the answer; ``delay_s`` passes before it. ``talks`` for ever after it: ``sent``
    bytes so far.
    """

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    talks: bool = False
    sent: int = 0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path_qs)
        self.got.append((dict(request.headers), await request.read()))
        await asyncio.sleep(self.delay_s)
        if not self.talks:
            return web.Response(status=self.status, headers=self.headers)
        answer = web.StreamResponse(status=self.status)
        await answer.prepare(request)
        with suppress(ConnectionError):
            while True:
                await answer.write(bytes(65_536))
                self.sent += 65_536
        return answer


@asynccontextmanager
async def hook_server(context: ssl.SSLContext, host: str = "127.0.0.1") -> AsyncIterator[Hook]:
    hook = Hook()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", hook.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    hook.url = f"https://{host}:{port}/hook?q=1"
    try:
        yield hook
    finally:
        await runner.cleanup()
