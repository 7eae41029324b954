"""A private Orthanc on free loopback ports, as the reference PACS of the tests.

It lives in a temporary folder, asks for a password, and is stopped by its own process id. GDCM is restricted to JPEG
2000, which Orthanc cannot read without it.

Debian's Orthanc answers requests on threads of its civetweb library, which gives each a stack of 100 KiB;
gdcm::ImageWriter::Write() of one transcoding takes 129 KiB. Where that lands depends on what lies below: often another
thread's stack, sometimes nothing, and then Orthanc ends with SIGSEGV. So the tests run it on a copy of the library
that asks for stacks of 1 MiB (docs/PACS.md).
"""

import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PLUGIN_FOLDER = Path("/usr/share/orthanc/plugins")
PLUGINS = ("libOrthancDicomWeb.so", "libOrthancGdcm.so")
USER, PASSWORD = "gateway", "loopback-tests-only"
START_LIMIT_S = 60.0
_LOG_LINES = 8
_HTTP_LIBRARY = "libcivetweb.so.1"
# x86-64: `mov esi, 102400`, the second argument of pthread_attr_setstacksize, and the same with 1 MiB.
_NARROW_STACK = b"\xbe" + (100 * 1024).to_bytes(4, "little")
_WIDE_STACK = b"\xbe" + (1024 * 1024).to_bytes(4, "little")


class OrthancEndedError(RuntimeError):
    """Orthanc ended on its own. It says how, and what Orthanc logged last."""


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
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

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
        """One request with the password, on a connection of its own. ``target`` is sent as it is.

        Raises OrthancEndedError where that is why there is no answer.
        """
        try:
            return self.exchange(method, target, body, accept)
        except (OSError, http.client.HTTPException):
            with suppress(subprocess.TimeoutExpired):  # a process that crashes takes a moment over its core dump
                self.process.wait(timeout=2)
            if self.ended is not None:
                raise self.end_during(f"{method} {target}") from None
            raise

    def exchange(self, method: str, target: str, body: bytes | None = None, accept: str = "*/*") -> tuple[int, bytes]:
        """The same, and whatever goes wrong is raised as it is."""
        credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            headers = {"Authorization": f"Basic {credentials}", "Accept": accept}
            connection.request(method, target, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @property
    def ended(self) -> str | None:
        """How Orthanc ended; None while it runs."""
        status = self.process.poll()
        if status is None:
            return None
        how = f"signal {-status} ({signal.Signals(-status).name})" if status < 0 else f"status {status}"
        return f"Orthanc ended with {how}"

    def end_during(self, what: str) -> OrthancEndedError:
        """The error to raise for it."""
        last = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return OrthancEndedError("\n".join([f"{self.ended} during {what}. Its log ends:", *last]))


# Those that run now, so that a failed test can say that one of them is gone (tests/conftest.py).
_running: list[OrthancServer] = []


def ended_orthancs() -> list[str]:
    """How each Orthanc ended that a test still uses."""
    return [server.ended for server in _running if server.ended is not None]


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
    log = folder / "orthanc.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, configuration],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C.UTF-8", **_with_wide_stacks(binary, folder / "lib")},
        )
    server = OrthancServer("127.0.0.1", port, process, log)
    _running.append(server)
    try:
        _wait_until_it_answers(server)
        yield server
        if server.ended is not None:
            raise server.end_during("the tests")
    finally:
        _running.remove(server)
        process.kill()  # nothing of it is kept, and its orderly end takes seconds
        process.wait(timeout=10)


def _with_wide_stacks(binary: Path, folder: Path) -> dict[str, str]:
    """The environment in which Orthanc finds a copy of its HTTP library that gives threads enough stack.

    Empty where Orthanc brings that library itself, or where it is built otherwise: there is nothing known to mend.
    """
    ldd = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True)
    found = re.search(rf"{re.escape(_HTTP_LIBRARY)} => (/\S+)", ldd.stdout)
    library = Path(found[1]).read_bytes() if found else b""
    if _NARROW_STACK not in library:
        return {}
    folder.mkdir(parents=True)
    (folder / _HTTP_LIBRARY).write_bytes(library.replace(_NARROW_STACK, _WIDE_STACK))
    return {"LD_LIBRARY_PATH": str(folder)}


def _wait_until_it_answers(server: OrthancServer) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit:
        if server.ended is not None:
            raise server.end_during("its start")
        try:
            status, _ = server.exchange("GET", "/system")
        except OSError:
            status = 0
        if status == 200:
            return
        time.sleep(0.05)
    raise RuntimeError("Orthanc did not answer in time")
