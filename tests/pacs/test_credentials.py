"""How the gateway signs in to an archive: what it shows, also after a renewal, and that nobody else sees it."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from app.core.dicom.dicomweb import Level, Representation, Search
from app.pacs.credentials import CredentialsError, TokenFile, basic_authorization, bearer_authorization
from app.pacs.http_client import HttpClient, HttpLimits, HttpOrigin
from app.pacs.origin import OriginRefusedError
from app.pacs.remote import RemoteOrigin
from tests.pacs.asking import AS_STORED, retrieval
from tests.pacs.breaking_server import BreakingServer, Exchange, Script, breaking_server

LIMITS = HttpLimits(connect_s=0.5, first_byte_s=2.0, silence_s=2.0, idle_s=0.5)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer\r\nContent-Length: 3\r\n\r\nPHI"


def _accepting(accepted: Callable[[], str], server: list[BreakingServer]) -> Script:
    async def script(exchange: Exchange) -> None:
        while head := await exchange.request():
            server[0].requests.append(head)
            shown = [line for line in head.split(b"\r\n") if line.lower().startswith(b"authorization:")]
            right = shown == [b"Authorization: Bearer " + accepted().encode()]
            await exchange.send(OK if right else REFUSED)

    return script


async def test_a_renewed_token_is_read_from_its_file(tmp_path: Path) -> None:
    """By its time, and at once where the archive refuses the one before; once, not for ever."""
    file, accepted, now = tmp_path / "token", ["first"], [0.0]
    file.write_text("first\n")
    held: list[BreakingServer] = []
    async with breaking_server(_accepting(lambda: accepted[0], held)) as server:
        held.append(server)
        client = HttpClient(HttpOrigin(server.url, TokenFile(file, lambda: now[0])), LIMITS)

        async def status() -> int:
            answer = await client.get(b"/studies", b"*/*")
            await answer.aclose()
            return answer.status

        assert await status() == 200
        accepted[0] = "second"
        assert await status() == 401
        assert len(server.requests) == 2, "asked again with the same token"
        _swap(file, "second")
        assert await status() == 200
        assert len(server.requests) == 4, "the refusal was not met with the new token"
        accepted[0] = "third"
        _swap(file, "third")
        now[0] += 2
        assert await status() == 200
        assert len(server.requests) == 5, "the new token was not seen by its time"
        await client.aclose()


def _swap(file: Path, token: str) -> None:
    """As a projected secret is renewed: another file takes the name."""
    new = file.with_suffix(".new")
    new.write_text(token)
    new.replace(file)


@pytest.mark.parametrize("content", [None, "", "two words", "näh", "x\r\nX-Evil: 1", "t" * 70_000])
def test_a_file_that_holds_no_token_leaves_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    file, now = tmp_path / "token", [0.0]
    file.write_text("good-token")
    held = TokenFile(file, lambda: now[0])
    if content is None:
        file.unlink()
    else:
        file.write_text(content, newline="")
    now[0] += 2
    with caplog.at_level(logging.WARNING):
        assert held.header == "Bearer good-token"
    assert "cannot be used" in caplog.text
    assert "good-token" not in caplog.text + repr(held)
    assert not content or content not in caplog.text
    _swap(file, "better-token")
    now[0] += 2
    assert held.header == "Bearer better-token"
    if content is not None:
        file.write_text(content, newline="")
        with pytest.raises(CredentialsError):
            TokenFile(file)


def test_what_cannot_stand_in_a_header_is_no_credential() -> None:
    assert bearer_authorization("aZ0-._~+/==") == "Bearer aZ0-._~+/=="
    assert basic_authorization("user", "pässword: x") == "Basic dXNlcjpww6Rzc3dvcmQ6IHg="
    for token in ("", "two words", "a\r\nX: y", "==", "tök"):
        with pytest.raises(CredentialsError) as caught:
            bearer_authorization(token)
        assert not token or token not in str(caught.value)
    with pytest.raises(CredentialsError):
        basic_authorization("a:b", "c")


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_are_told_from_other_trouble(status: int) -> None:
    async def script(exchange: Exchange) -> None:
        while await exchange.request():
            await exchange.send(b"HTTP/1.1 %d No\r\nContent-Length: 3\r\n\r\nPHI" % status)

    async with breaking_server(script) as server:
        origin = RemoteOrigin(HttpOrigin(server.url, "Bearer not-in-any-text"), LIMITS)
        for ask in (
            origin.check,
            lambda: origin.search(Search(Level.STUDY)),
            lambda: origin.retrieve(retrieval(Representation.DICOM, "1.2.3"), AS_STORED),
        ):
            with pytest.raises(OriginRefusedError) as caught:
                await ask()
            assert "PHI" not in str(caught.value)
            assert "not-in-any-text" not in str(caught.value)
        await origin.aclose()
