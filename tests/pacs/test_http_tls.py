"""An archive behind TLS: its certificate is checked, and a connection that ends without a goodbye proves nothing."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.pacs.http_client import HttpClient, HttpOrigin
from app.pacs.origin import OriginUnavailableError

BODY = b"[]"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 2\r\n\r\n" + BODY


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "archive.test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "archive.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@pytest.fixture
async def url(certificate: Path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, ssl=context)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_a_trusted_archive_answers(url, certificate):
    client = HttpClient(HttpOrigin(url), tls=ssl.create_default_context(cafile=str(certificate)))
    for _ in range(3):
        answer = await client.get(b"/studies", b"*/*")
        assert (answer.status, await answer.read(), await answer.read()) == (200, BODY, b"")
    await client.aclose()


async def test_an_archive_with_an_unknown_certificate_is_unavailable(url):
    client = HttpClient(HttpOrigin(url))
    with pytest.raises(OriginUnavailableError):
        await client.get(b"/studies", b"*/*")
    await client.aclose()


async def test_a_certificate_for_another_name_is_not_accepted(url, certificate):
    port = url.rpartition(":")[2]
    context = ssl.create_default_context(cafile=str(certificate))
    client = HttpClient(HttpOrigin(f"https://localhost:{port}"), tls=context)
    with pytest.raises(OriginUnavailableError):
        await client.get(b"/studies", b"*/*")
    await client.aclose()
