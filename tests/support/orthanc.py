"""A private Orthanc on free loopback ports, as the reference PACS of the tests.

It lives in a temporary folder, asks for a password, and is stopped by its own process id. GDCM is restricted to JPEG
2000: unrestricted, one transcoding request can take Orthanc 1.10 down.
"""

import base64
import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PLUGIN_FOLDER = Path("/usr/share/orthanc/plugins")
PLUGINS = ("libOrthancDicomWeb.so", "libOrthancGdcm.so")
USER, PASSWORD = "gateway", "loopback-tests-only"
START_LIMIT_S = 30.0


def orthanc_binary() -> Path | None:
    """Orthanc's executable, or None where it or one of its plugins is not installed."""
    found = shutil.which("Orthanc")
    if found is None or not all((PLUGIN_FOLDER / plugin).exists() for plugin in PLUGINS):
        return None
    return Path(found)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of one file: Orthanc's own id, or None when it refused the file."""

    path: Path
    orthanc_id: str | None


@dataclass(frozen=True, slots=True)
class OrthancServer:
    """A running Orthanc. ``dicom_web_url`` has no trailing slash."""

    host: str
    port: int
    pid: int

    @property
    def dicom_web_url(self) -> str:
        return f"http://{self.host}:{self.port}/dicom-web"

    @property
    def user(self) -> str:
        return USER

    @property
    def password(self) -> str:
        return PASSWORD

    def upload(self, paths: Iterable[Path]) -> list[Uploaded]:
        """Store every file; files that are not DICOM are refused and reported, not raised."""
        results = []
        for path in paths:
            status, body = self.request("POST", "/instances", path.read_bytes())
            results.append(Uploaded(path, json.loads(body)["ID"] if status == 200 else None))
        return results

    def request(self, method: str, target: str, body: bytes | None = None, accept: str = "*/*") -> tuple[int, bytes]:
        """One request with the password, on a connection of its own. ``target`` is sent as it is."""
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            headers = {"Authorization": f"Basic {credentials}", "Accept": accept}
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def free_port() -> int:
    """A TCP port that was free on the loopback interface a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _configuration(folder: Path, http_port: int, dicom_port: int) -> dict[str, object]:
    return {
        "Name": "consentry-tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "Plugins": [str(PLUGIN_FOLDER / plugin) for plugin in PLUGINS],
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "KeepAlive": True,
        "DicomWeb": {
            "Enable": True,
            "Root": "/dicom-web/",
            "EnableWado": True,
            "WadoRoot": "/wado",
            "Host": "",
            "Ssl": False,
            "StudiesMetadata": "Full",
            "SeriesMetadata": "Full",
        },
        "Gdcm": {
            "Enable": True,
            "RestrictTransferSyntaxes": ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"],
        },
    }


@contextmanager
def running_orthanc(folder: Path) -> Iterator[OrthancServer]:
    """Start Orthanc with its storage, index and log below ``folder``; stop it on leaving.

    Raises RuntimeError when it is not installed or does not answer within START_LIMIT_S.
    """
    binary = orthanc_binary()
    if binary is None:
        raise RuntimeError("Orthanc with its DICOMweb and GDCM plugins is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(_configuration(folder, port, free_port())))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [binary, configuration],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
    server = OrthancServer("127.0.0.1", port, process.pid)
    try:
        _wait_until_it_answers(server, process)
        yield server
    finally:
        process.kill()  # nothing of it is kept, and its orderly end takes seconds
        process.wait(timeout=10)


def _wait_until_it_answers(server: OrthancServer, process: "subprocess.Popen[bytes]") -> None:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        if process.poll() is not None:
            raise RuntimeError(f"Orthanc ended at once with status {process.returncode}")
        try:
            status, _ = server.request("GET", "/system")
        except OSError:
            status = 0
        if status == 200:
            return
        time.sleep(0.05)
    raise RuntimeError("Orthanc did not answer in time")
