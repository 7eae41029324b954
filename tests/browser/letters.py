"""A real mail server for browser tests, in a thread of its own: Playwright keeps the test's thread to itself."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage

from tests.loops_notices.sinks import Mailbox, mail_server

SENDER = "images@hospital.example.org"


@contextmanager
def post_office() -> Iterator[Mailbox]:
    """What is sent to 127.0.0.1 at the mailbox's port is in it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="post office")
    thread.start()
    serving = mail_server()
    try:
        yield asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(30)
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def settings(mailbox: Mailbox) -> dict[str, str]:
    """Those of a gateway that sends its mail there."""
    return {"CONSENTRY_SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}", "CONSENTRY_MAIL_FROM": SENDER}


def to(mailbox: Mailbox, address: str) -> list[EmailMessage]:
    """The letters to that address, the oldest first."""
    return [letter for letter in mailbox.letters if letter["To"] == address]


def words(letter: EmailMessage) -> str:
    """What it says, lines joined as they were written."""
    text = letter.get_content()
    assert isinstance(text, str)
    return text.replace("\r\n", "\n")


def link_in(letter: EmailMessage) -> str:
    """The one link that it has."""
    (found,) = re.findall(r"https?://\S+", words(letter))
    return str(found)
