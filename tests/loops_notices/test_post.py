"""Mail and webhooks against real servers: encryption, sign-in, refusals, redirects, where a name may lead."""

import asyncio
import hashlib
import hmac
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from app.core.identifiers import UnixTime
from app.core.notices.wording import Letter
from app.post.outcome import PostError, PostRefusedError
from app.post.smtp import Mail, MailServer
from app.post.webhook import Webhooks
from tests.loops_notices.sinks import hook_server, mail_server, server_context
from tests.support.certificates import Authority

NOW = UnixTime(1_790_000_000)
LETTER = Letter("Grüße", "Zu Ihrem Schutz.\n\nhttps://images.example.org")
SECRET = b"s" * 32


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "house")


@pytest.fixture
def inside(authority: Authority) -> ssl.SSLContext:
    return server_context(authority.issue("server", "127.0.0.1", "localhost", "hooks.example.org"))


@pytest.fixture
def trust(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.bundle)


def server(url: str, *, local: bool = True) -> MailServer:
    return MailServer.of(url, local=local)


async def send(mail: Mail, public_id: bytes = b"i" * 16) -> None:
    await mail.send(LETTER, "anne@example.org", public_id, NOW)


async def test_a_letter_arrives_as_it_was_written() -> None:
    async with mail_server() as mailbox:
        mail = Mail(server(f"smtp://127.0.0.1:{mailbox.port}"), "images@hospital.example.org")
        await send(mail)
        await send(mail)
        await send(mail, b"j" * 16)
    first, second, third = mailbox.letters
    assert first["To"] == "anne@example.org"
    assert first["From"] == "images@hospital.example.org"
    assert first["Subject"] == "Grüße"
    assert first.get_content().replace("\r\n", "\n").rstrip("\n") == LETTER.body
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Message-ID"] == second["Message-ID"], "a mailbox can tell that it is the same"
    assert first["Message-ID"] != third["Message-ID"]
    assert mailbox.encrypted == [False] * 3


@pytest.mark.parametrize("local", [True, False])
async def test_starttls_is_taken_wherever_it_is_offered(
    inside: ssl.SSLContext, trust: ssl.SSLContext, *, local: bool
) -> None:
    async with mail_server(starttls=inside) as mailbox:
        await send(Mail(server(f"smtp://127.0.0.1:{mailbox.port}", local=local), "a@example.org", trust))
    assert mailbox.encrypted == [True]


async def test_off_this_machine_nothing_is_sent_without_it(trust: ssl.SSLContext) -> None:
    async with mail_server(credentials=("user", "CANARYPASSWORD")) as mailbox:
        url = f"smtp://user:CANARYPASSWORD@127.0.0.1:{mailbox.port}"
        with pytest.raises(PostError) as caught:
            await send(Mail(server(url, local=False), "a@example.org", trust))
    assert not isinstance(caught.value, PostRefusedError), "the operator can mend it"
    assert mailbox.raw == []


async def test_a_certificate_of_somebody_else_is_not_believed(inside: ssl.SSLContext) -> None:
    async with mail_server(starttls=inside) as offering, mail_server(encrypted=inside) as encrypted:
        for url in (f"smtp://127.0.0.1:{offering.port}", f"smtps://127.0.0.1:{encrypted.port}"):
            with pytest.raises(PostError):
                await send(Mail(server(url), "a@example.org"))
    assert offering.raw == encrypted.raw == []


async def test_tls_from_the_first_byte_and_sign_in(
    inside: ssl.SSLContext, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.post.smtp._TIMEOUT_S", 2.0)
    async with mail_server(encrypted=inside, credentials=("user", "p:@ss/")) as mailbox:
        await send(Mail(server(f"smtps://user:p%3A%40ss%2F@127.0.0.1:{mailbox.port}", local=False), "a@b.org", trust))
        with pytest.raises(PostError) as caught:
            await send(Mail(server(f"smtps://user:wrong@127.0.0.1:{mailbox.port}", local=False), "a@b.org", trust))
    assert not isinstance(caught.value, PostRefusedError)
    assert (mailbox.encrypted, mailbox.signed_in) == ([True], [True])


@pytest.mark.parametrize(
    ("rcpt", "data", "for_good"),
    [
        ("550 5.1.1 no such mailbox CANARY", "250 OK", True),
        ("450 4.2.1 busy CANARY", "250 OK", False),
        ("250 OK", "554 5.7.1 spam CANARY", True),
        ("250 OK", "452 4.3.1 full CANARY", False),
    ],
)
async def test_what_the_server_refuses(rcpt: str, data: str, *, for_good: bool) -> None:
    async with mail_server() as mailbox:
        mailbox.rcpt_answer, mailbox.data_answer = rcpt, data
        with pytest.raises(PostError) as caught:
            await send(Mail(server(f"smtp://127.0.0.1:{mailbox.port}"), "a@example.org"))
    assert isinstance(caught.value, PostRefusedError) is for_good
    assert "CANARY" not in f"{caught.value!r}{caught.value.__cause__!r}"
    assert "anne" not in f"{caught.value!r}"


async def test_a_mail_server_that_is_away_or_silent_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(PostError):
        await send(Mail(server(f"smtp://127.0.0.1:{port}"), "a@example.org"))
    monkeypatch.setattr("app.post.smtp._TIMEOUT_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(PostError):
            await send(Mail(server(f"smtp://127.0.0.1:{silent.getsockname()[1]}"), "a@example.org"))


def test_credentials_are_in_no_text_of_the_server() -> None:
    assert "CANARY" not in repr(server("smtps://CANARYUSER:CANARYPASS@mail.example.org"))
    assert server("smtps://mail.example.org").port == 465
    assert server("smtp://mail.example.org").port == 587


# --- Webhooks --------------------------------------------------------------------------------------------------------


async def test_a_webhook_can_check_what_it_gets(inside: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    body = json.dumps({"kind": "first-access"}).encode()
    async with hook_server(inside) as hook:
        await Webhooks(private=True, trust=trust).send(hook.url, body, SECRET, NOW)
    ((headers, got),) = hook.got
    assert (got, hook.paths) == (body, ["/hook?q=1"])
    at, mac = (part.partition("=")[2] for part in headers["Consentry-Signature"].split(","))
    assert int(at) == NOW
    assert mac == hmac.new(SECRET, f"{NOW}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Content-Type"] == "application/json"
    assert not {"Cookie", "Authorization"} & set(headers)


@pytest.mark.parametrize(
    ("status", "for_good"),
    [(301, False), (302, False), (307, False), (400, False), (404, False), (410, True), (429, False), (503, False)],
)
async def test_anything_but_success_is_a_failure_and_a_redirect_is_not_followed(
    inside: ssl.SSLContext, trust: ssl.SSLContext, status: int, *, for_good: bool
) -> None:
    async with hook_server(inside) as hook:
        hook.status, hook.headers = status, {"Location": hook.url + "&elsewhere"}
        with pytest.raises(PostError) as caught:
            await Webhooks(private=True, trust=trust).send(hook.url, b"{}", SECRET, NOW)
    assert len(hook.got) == 1
    assert isinstance(caught.value, PostRefusedError) is for_good


async def test_a_silent_webhook_takes_no_time(
    inside: ssl.SSLContext, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.post.webhook._TIMEOUT_S", 0.4)
    async with hook_server(inside) as hook:
        hook.delay_s = 1.5
        with pytest.raises(PostError, match="in time"):
            await Webhooks(private=True, trust=trust).send(hook.url, b"{}", SECRET, NOW)


async def test_of_a_webhook_that_talks_for_ever_no_more_than_the_beginning_is_read(
    inside: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    async with hook_server(inside) as hook:
        hook.status, hook.talks = 200, True
        async with asyncio.timeout(30):
            await Webhooks(private=True, trust=trust).send(hook.url, b"{}", SECRET, NOW)
        # What the system's buffers on the way hold counts too
        assert hook.sent < 20_000_000


async def test_a_certificate_that_nobody_trusted_signed_is_not_believed(inside: ssl.SSLContext) -> None:
    async with hook_server(inside) as hook:
        with pytest.raises(PostError):
            await Webhooks(private=True).send(hook.url, b"{}", SECRET, NOW)
    assert hook.got == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433"])
async def test_this_machine_is_reached_by_no_name_unless_the_settings_say_so(
    inside: ssl.SSLContext, trust: ssl.SSLContext, host: str
) -> None:
    async with hook_server(inside, host) as hook:
        with pytest.raises(PostRefusedError):
            await Webhooks(private=False, trust=trust).send(hook.url, b"{}", SECRET, NOW)
    assert hook.got == []


@pytest.mark.parametrize(
    ("leads_to", "private", "reached"),
    [
        (["127.0.0.1"], True, True),
        (["127.0.0.1"], False, False),
        (["10.0.0.1"], False, False),
        (["169.254.169.254"], True, False),
        (["93.184.216.34", "127.0.0.1"], False, False),
    ],
)
async def test_a_name_is_judged_by_where_it_leads_and_called_there_and_nowhere_else(
    inside: ssl.SSLContext,
    trust: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    leads_to: list[str],
    *,
    private: bool,
    reached: bool,
) -> None:
    """A name that leads elsewhere when it is asked again (DNS rebinding) is not asked again."""
    asked: list[str] = []

    async def looked_up(_loop: Any, host: Any, port: Any, **_more: Any) -> Any:
        asked.append(host)
        answers = leads_to if len(asked) == 1 else ["127.0.0.1"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in answers]

    real = asyncio.BaseEventLoop.getaddrinfo

    async def by_name(loop: Any, host: Any, port: Any, **more: Any) -> Any:
        if host == "hooks.example.org":
            return await looked_up(loop, host, port, **more)
        return await real(loop, host, port, **more)

    async with hook_server(inside, "hooks.example.org") as hook:
        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", by_name, raising=False)
        sending = Webhooks(private=private, trust=trust).send(hook.url, b"{}", SECRET, NOW)
        if reached:
            await sending
        else:
            with pytest.raises(PostRefusedError):
                await sending
    assert len(asked) == 1
    assert len(hook.got) == int(reached)
