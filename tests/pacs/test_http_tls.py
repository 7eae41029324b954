"""An archive behind TLS: whom this gateway trusts, whom the archive trusts, and what is said where one does not."""

import asyncio
import logging
import shutil
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import uvloop

from app.pacs.credentials import CredentialsError
from app.pacs.http_client import HttpClient, HttpOrigin
from app.pacs.origin import OriginRefusedError, OriginUnavailableError
from app.pacs.tls import TlsFiles, TlsIdentity
from tests.support.certificates import Authority, Issued

BODY = b"[]"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 2\r\n\r\n" + BODY
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Papers:
    """Everybody's certificates."""

    folder: Path
    ours: Authority
    theirs: Authority  # an authority that nobody here trusts
    server: Issued
    client: Issued


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("tls")
    ours, theirs = Authority(folder, "ours"), Authority(folder, "theirs")
    server = ours.issue("server", HOST, "pacs.test")
    return Papers(folder, ours, theirs, server, ours.issue("client", use="client"))


class Server:
    """A server behind TLS, in threads: asyncio's hangs up without the alert that real servers send.

    With ``client_authority`` it talks only to those whom that authority vouches for.
    """

    def __init__(self, issued: Issued, client_authority: Authority | None, at_most: ssl.TLSVersion | None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(issued.certificate, issued.key)
        if at_most is not None:
            self._context.minimum_version = self._context.maximum_version = at_most
            self._context.set_ciphers("DEFAULT:@SECLEVEL=0")
        if client_authority is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(client_authority.bundle)
        self.listener = socket.create_server((HOST, 0))
        self.requests = 0
        self.shown: bytes | None = None  # the last client's certificate

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.listener.getsockname()[1]}"

    def run(self) -> None:
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return  # the test is over
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection, suppress(OSError):
            try:
                secured = self._context.wrap_socket(connection.dup(), server_side=True)
            except ssl.SSLError:
                # Unread bytes at the close would reset the connection and take the alert with them.
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
                return
            with secured:
                while secured.recv(4096):
                    self.requests += 1
                    self.shown = secured.getpeercert(binary_form=True)
                    secured.sendall(OK)


@contextmanager
def serving(
    issued: Issued, client_authority: Authority | None = None, at_most: ssl.TLSVersion | None = None
) -> Iterator[Server]:
    server = Server(issued, client_authority, at_most)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        thread.join()


async def _ask(url: str, files: TlsFiles) -> None:
    client = HttpClient(HttpOrigin(url), tls=TlsIdentity(files))
    try:
        await _asked(client)
    finally:
        await client.aclose()


async def _asked(client: HttpClient) -> None:
    answer = await client.get(b"/studies", b"*/*")
    assert (answer.status, await answer.read(), await answer.read()) == (200, BODY, b"")


def _trusting(papers: Papers) -> TlsFiles:
    return TlsFiles(ca_bundle=papers.ours.bundle)


async def test_a_trusted_archive_answers(papers: Papers) -> None:
    with serving(papers.server) as server:
        client = HttpClient(HttpOrigin(server.url), tls=TlsIdentity(_trusting(papers)))
        for _ in range(3):
            await _asked(client)
        assert (server.requests, server.shown) == (3, None)
        await client.aclose()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda papers: papers.theirs.issue("foreign", HOST), "signed by nobody this gateway trusts"),
        (lambda papers: papers.ours.issue("old", HOST, expired=True), "certificate has expired"),
        (lambda papers: papers.ours.issue("other", "elsewhere.test", "127.0.0.2"), "for another name"),
        (lambda papers: papers.ours.issue("wrong-use", HOST, use="client"), "not one for a server"),
    ],
    ids=["wrong-authority", "expired", "wrong-host", "wrong-use"],
)
async def test_an_archive_that_is_not_whom_we_trust_hears_nothing(papers: Papers, made, words: str) -> None:
    with serving(made(papers)) as server:
        with pytest.raises(OriginUnavailableError, match=words) as caught:
            await _ask(server.url, _trusting(papers))
        assert not isinstance(caught.value, OriginRefusedError)
        assert HOST not in str(caught.value)
        assert server.requests == 0


async def test_an_authority_that_the_system_does_not_know_is_not_trusted_by_default(papers: Papers) -> None:
    with serving(papers.server) as server:
        client = HttpClient(HttpOrigin(server.url))
        with pytest.raises(OriginUnavailableError, match="signed by nobody this gateway trusts"):
            await _asked(client)
        await client.aclose()


async def test_another_name_can_be_asked_for(papers: Papers) -> None:
    with serving(papers.ours.issue("by-name", "pacs.test")) as server:
        await _ask(server.url, replace(_trusting(papers), server_name="pacs.test"))
        with pytest.raises(OriginUnavailableError, match="for another name"):
            await _ask(server.url, replace(_trusting(papers), server_name="elsewhere.test"))


async def test_a_pinned_certificate_is_asked_for_on_top_of_the_signature(papers: Papers) -> None:
    pin = bytes.fromhex(papers.server.fingerprint.replace(":", ""))
    foreign = papers.theirs.issue("pinned-foreign", HOST)
    with serving(papers.server) as server, serving(foreign) as untrusted:
        await _ask(server.url, replace(_trusting(papers), pins=frozenset({pin, bytes(32)})))
        with pytest.raises(OriginUnavailableError, match="not the pinned one"):
            await _ask(server.url, replace(_trusting(papers), pins=frozenset({bytes(32)})))
        assert server.requests == 1
        own = frozenset({bytes.fromhex(foreign.fingerprint.replace(":", ""))})
        with pytest.raises(OriginUnavailableError, match="signed by nobody"):
            await _ask(untrusted.url, replace(_trusting(papers), pins=own))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_tls_is_1_2_or_later(papers: Papers) -> None:
    with serving(papers.server, at_most=ssl.TLSVersion.TLSv1_1) as server:
        with pytest.raises(OriginUnavailableError, match="TLS 1\\.2 or later"):
            await _ask(server.url, _trusting(papers))
        assert server.requests == 0
    with serving(papers.server, at_most=ssl.TLSVersion.TLSv1_2) as server:
        await _ask(server.url, _trusting(papers))
    assert _trusting(papers).context().minimum_version is ssl.TLSVersion.TLSv1_2


async def test_a_server_without_tls_is_called_so(papers: Papers) -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(plain, HOST, 0)
    with pytest.raises(OriginUnavailableError, match="does not speak TLS at this address"):
        await _ask(f"https://{HOST}:{listening.sockets[0].getsockname()[1]}", _trusting(papers))
    listening.close()


# --- Our own certificate ---------------------------------------------------------------------------------------------

_LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]  # tests run on the first, production on the second


def _on(loop_factory: Callable[[], asyncio.AbstractEventLoop], work: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await work()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(run())


@pytest.mark.parametrize("loop_factory", _LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("at_most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_the_archive_sees_our_certificate(papers: Papers, loop_factory, at_most: ssl.TLSVersion) -> None:
    async def work() -> None:
        with serving(papers.server, papers.ours, at_most) as server:
            await _ask(server.url, _showing(papers, papers.client))
            assert server.shown == ssl.PEM_cert_to_DER_cert(papers.client.certificate.read_text())

    _on(loop_factory, work)


def _showing(papers: Papers, issued: Issued) -> TlsFiles:
    return replace(_trusting(papers), certificate=issued.certificate, key=issued.key)


@pytest.mark.parametrize("loop_factory", _LOOPS, ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("at_most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda papers: None, "asks for a client certificate|no way to encrypt"),
        (lambda papers: papers.theirs.issue("foreign-client", use="client"), "does not trust the signer"),
        (lambda papers: papers.ours.issue("old-client", use="client", expired=True), "certificate has expired"),
        (lambda papers: papers.ours.issue("no-client", HOST), "does not accept this gateway's certificate"),
    ],
    ids=["none", "wrong-authority", "expired", "wrong-use"],
)
def test_an_archive_that_refuses_our_certificate_says_so(
    papers: Papers, made, words: str, at_most: ssl.TLSVersion, loop_factory
) -> None:
    issued = made(papers)
    files = _trusting(papers) if issued is None else _showing(papers, issued)

    async def work() -> None:
        with serving(papers.server, papers.ours, at_most) as server:
            with pytest.raises(OriginUnavailableError, match=words) as caught:
                await _ask(server.url, files)
            # TLS 1.2 has no word for "a certificate is missing".
            assert isinstance(caught.value, OriginRefusedError) or (issued is None and at_most.name == "TLSv1_2")
            assert server.requests == 0

    _on(loop_factory, work)


async def test_a_locked_key_is_opened_with_its_password(papers: Papers) -> None:
    locked = papers.ours.issue("locked", use="client", password="open-sesame")
    with serving(papers.server, papers.ours) as server:
        await _ask(server.url, replace(_showing(papers, locked), key_password="open-sesame"))
    for password, words in (("", "needs a password"), ("not-it", "password is wrong")):
        with pytest.raises(CredentialsError, match=words) as caught:
            TlsIdentity(replace(_showing(papers, locked), key_password=password))
        assert "not-it" not in str(caught.value) + repr(replace(_showing(papers, locked), key_password=password))


def test_files_that_cannot_be_used_are_called_so(papers: Papers, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing here")
    for files, words in (
        (TlsFiles(ca_bundle=empty), "CA bundle holds no certificates"),
        (TlsFiles(ca_bundle=tmp_path / "absent"), "CA bundle holds no certificates, or cannot be read"),
        (TlsFiles(certificate=empty, key=papers.client.key), "cannot be read"),
        (TlsFiles(certificate=papers.client.certificate, key=papers.server.key), "does not belong"),
    ):
        with pytest.raises(CredentialsError, match=words):
            TlsIdentity(files)


async def test_renewed_files_serve_without_a_restart(
    papers: Papers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The certificate expires, is renewed in two writes, and the next connection shows the new one."""
    old = papers.ours.issue("rotating-old", use="client", expired=True)
    mine = Issued(tmp_path / "mine.crt", tmp_path / "mine.key")
    shutil.copy(old.certificate, mine.certificate)
    shutil.copy(old.key, mine.key)
    now = [100.0]
    identity = TlsIdentity(_showing(papers, mine), lambda: now[0])
    with serving(papers.server, papers.ours) as server:
        client = HttpClient(HttpOrigin(server.url), tls=identity)
        with pytest.raises(OriginRefusedError):
            await _asked(client)
        before = identity.context()
        # A half-done renewal leaves what there was.
        shutil.copy(papers.client.certificate, mine.certificate)
        now[0] += 2
        with caplog.at_level(logging.WARNING):
            assert identity.context() is before
        assert "does not belong" in caplog.text
        shutil.copy(papers.client.key, mine.key)
        now[0] += 2
        await _asked(client)
        assert server.shown == ssl.PEM_cert_to_DER_cert(papers.client.certificate.read_text())
        assert identity.context() is identity.context()
        await client.aclose()
