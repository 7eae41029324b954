"""``consentry doctor`` says in words what is wrong between the gateway and its PACS, and shows no secret."""

import asyncio
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands.running import _examine
from app.settings import load
from tests.support.certificates import Authority

_SECRET = "doctor-shows-no-token"


class _Pacs(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        good = self.headers["Authorization"] == f"Bearer {_SECRET}"
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Pacs)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/dicom-web"
    server.shutdown()
    thread.join()
    server.server_close()


def _archive(**settings: str) -> tuple[str, str]:
    """(result, detail) of the archive's row."""
    given = {f"CONSENTRY_{name}": value for name, value in settings.items()}
    rows = asyncio.run(_examine(load(given, None)))
    assert _SECRET not in str(rows)
    return next((row["result"], row["detail"]) for row in rows if row["check"] == "archive")


def test_a_pacs_that_answers_is_ok(url: str) -> None:
    assert _archive(PACS_URL=url, PACS_TOKEN=_SECRET) == ("ok", "answers")


def test_refused_credentials_are_called_so(url: str) -> None:
    result, detail = _archive(PACS_URL=url)
    assert (result, "refuses this gateway's credentials" in detail) == ("failed", True)


def test_a_pacs_that_is_not_there_is_called_so() -> None:
    result, detail = _archive(PACS_URL="http://127.0.0.1:9/dicom-web")
    assert (result, "cannot be reached" in detail) == ("failed", True)


def test_tls_where_there_is_none_is_called_so(url: str) -> None:
    result, detail = _archive(PACS_URL=url.replace("http:", "https:"))
    assert (result, "does not speak TLS" in detail) == ("failed", True)


def test_files_that_cannot_be_used_name_their_setting(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    one, other = authority.issue("one", use="client"), authority.issue("other", use="client")
    pacs = "https://127.0.0.1:9/dicom-web"
    result, detail = _archive(
        PACS_URL=pacs, PACS_CLIENT_CERTIFICATE=str(one.certificate), PACS_CLIENT_KEY=str(other.key)
    )
    assert (result, detail) == (
        "failed",
        "CONSENTRY_PACS_CLIENT_KEY: the client key does not belong to the client certificate",
    )
    empty = tmp_path / "empty"
    empty.write_text("")
    assert _archive(PACS_URL=pacs, PACS_CA_BUNDLE=str(empty))[1].startswith("CONSENTRY_PACS_CA_BUNDLE: ")
    assert _archive(PACS_URL=pacs, PACS_TOKEN_FILE=str(empty))[1] == "CONSENTRY_PACS_TOKEN_FILE: not a bearer token"


def test_a_certificate_that_has_expired_is_called_so_before_anybody_else_does(tmp_path: Path) -> None:
    old = Authority(tmp_path, "authority").issue("old", use="client", expired=True)
    result, detail = _archive(
        PACS_URL="https://127.0.0.1:9/dicom-web",
        PACS_CLIENT_CERTIFICATE=str(old.certificate),
        PACS_CLIENT_KEY=str(old.key),
    )
    assert (result, "has expired" in detail) == ("failed", True)
