"""Whole gateways to compare: real processes in front of real archives, each with a chain and a database of its own."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests
from eth_account import Account
from eth_account.signers.local import LocalAccount

from app.chain.anvil import DEVELOPMENT_CHAIN_ID, DEVELOPMENT_KEYS, binary, free_port
from app.commands.client import Client, sign_in, sign_typed
from app.core.identifiers import Subject
from app.demo.seeding import claim_enrolment
from tests.support.chain import CAST, Deployed
from tests.support.dicom_files import read_quietly
from tests.support.needs import PROJECT
from tests.support.orthanc import OrthancServer

_T = TypeVar("_T")
_A = TypeVar("_A")

# One address for all: what two gateways answer can then be compared byte by byte.
PUBLIC_URL = "https://gateway.example"
_UID_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_START_S = 90.0
_AT_ONCE = 24


# --- What an archive holds -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """A file that an archive holds, as pydicom reads it. The subject's id is "" where it is nobody's."""

    path: Path
    study: str
    series: str
    instance: str
    subject: Subject

    @property
    def chain(self) -> tuple[str, str, str]:
        return self.study, self.series, self.instance


def held_in(folder: Path) -> list[Held]:
    """The DICOM files below the folder that name their study, series and instance, by path."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "MANIFEST.tsv"]
    ordered = sorted(paths, key=lambda path: str(path.relative_to(folder)).encode())
    return [held for path in ordered if (held := _held(path)) is not None]


def _held(path: Path) -> Held | None:
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return None
    dataset = read_quietly(path)
    uids = [str(dataset.get(keyword) or "") for keyword in _UID_KEYWORDS]
    if not all(uids) or "DirectoryRecordSequence" in dataset:
        return None
    patient_id, issuer = dataset.get("PatientID", ""), dataset.get("IssuerOfPatientID", "")
    one_id = patient_id.strip() if isinstance(patient_id, str) else ""
    subject = Subject(one_id, str(issuer or "").strip()) if one_id else Subject("", "")
    return Held(path, uids[0], uids[1], uids[2], subject)


def subjects_by_study(files: Iterable[Held]) -> dict[str, set[Subject]]:
    found: dict[str, set[Subject]] = {}
    for file in files:
        found.setdefault(file.study, set()).add(file.subject)
    return found


def served_once(files: Iterable[Held]) -> list[Held]:
    """Without the files whose UIDs an earlier one has: archives keep the first."""
    kept: dict[tuple[str, str, str], Held] = {}
    for file in files:
        kept.setdefault(file.chain, file)
    return list(kept.values())


# --- Gateways --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``headers`` in their order, names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key == name)

    @property
    def record_ids(self) -> list[str]:
        listed = self.header("access-record-id")
        return listed.split(", ") if listed else []

    def json(self) -> Any:
        return json.loads(self.body)

    def told(self) -> tuple[Any, ...]:
        """All of it but what chance and the clock put in: the date, the records' ids, the boundary of the parts."""
        boundary = self.header("content-type").partition("boundary=")[2].strip('"')
        headers = [(key, value) for key, value in self.headers if key not in {"date", "access-record-id"}]
        body = self.body
        if boundary:
            headers = [(key, value.replace(boundary, "BOUNDARY")) for key, value in headers]
            body = body.replace(boundary.encode(), b"BOUNDARY")
        return self.status, tuple(headers), body, len(self.record_ids)


@dataclass(frozen=True, slots=True)
class EnrolledPerson:
    """A patient who claimed her key with a wallet of her own, signed in for her own purposes."""

    subject: Subject
    key: str
    account: LocalAccount
    client: Client


@dataclass(slots=True)
class RunningGateway:
    """One gateway process with its chain. ``restart`` begins again on the same data, as after a crash."""

    zygote: "Zygote"
    settings: dict[str, str]
    log: Path
    pid: int = 0

    @property
    def port(self) -> int:
        return int(self.settings["CONSENTRY_PORT"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def rpc_url(self) -> str:
        return self.settings["CONSENTRY_RPC_URL"]

    @property
    def alive(self) -> bool:
        with suppress(ProcessLookupError):
            os.kill(self.pid, 0)
            return True
        return False

    def start(self) -> None:
        self.pid = self.zygote.start(self.settings, self.log)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.alive:
            with suppress(OSError, http.client.HTTPException):
                if self.ask("/readyz").status == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the gateway does not answer:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """Ends the process and returns once it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while self.alive:
            assert time.monotonic() < deadline, "the gateway does not end"
            time.sleep(0.01)

    def restart(self) -> None:
        self.stop()
        self.start()

    def ask(self, target: str, token: str = "", accept: str = "*/*", *headers: tuple[str, str]) -> Reply:
        """One request on a connection of its own; the target is sent as it is."""
        sent = {"Accept": accept, **dict(headers)} | ({"Authorization": f"Bearer {token}"} if token else {})
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", target, headers=sent)
            with closing(connection.getresponse()) as answer:
                body = answer.read()
                return Reply(answer.status, tuple((k.lower(), v) for k, v in answer.getheaders()), body)

    def signed_in(self, name: str, purpose: str | None = None) -> Client:
        """An account of CAST, signed in."""
        return sign_in(self.url, Account.from_key(DEVELOPMENT_KEYS[CAST.index(name)]), purpose)[0]

    def enrolled(self, subjects: Sequence[Subject]) -> dict[Subject, EnrolledPerson]:
        """Enrol at the desk and claim with a new wallet each, over HTTP, a few at a time."""
        registrar = self.signed_in("registrar")

        def enrol(subject: Subject) -> EnrolledPerson:
            made = registrar.post("/api/enrolments", {"patient_id": subject.patient_id, "issuer": subject.issuer})
            account: LocalAccount = Account.create()
            client = claim_enrolment(self.url, account, made["code"])
            return EnrolledPerson(subject, made["patient_key"], account, client)

        return dict(zip(subjects, at_once(subjects, enrol), strict=True))

    def granted(self, person: EnrolledPerson, grantee: str, **terms: object) -> str:
        """Sign and hand in a consent to an account of CAST; its id. Wait for it with ``until_active``."""
        asked = {
            "grantee": Account.from_key(DEVELOPMENT_KEYS[CAST.index(grantee)]).address,
            "scope": "all",
            "actions": ["search", "view", "retrieve"],
            "purposes": ["TREAT"],
            "valid_until": int(time.time()) + 86_400,
            **terms,
        }
        document = person.client.post("/api/consents/typed-data", asked)["typed_data"]
        body = {"typed_data": document, "signature": sign_typed(person.account, document)}
        consent = str(person.client.post("/api/consents", body)["consent_id"])
        person.client.until(f"/api/consents/{consent}", lambda view: view["status"] == "active", 120)
        return consent


def at_once(items: Sequence[_A], work: Callable[[_A], _T]) -> list[_T]:
    """The work on every item, a few at a time; results in the items' order."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(work, items))


@dataclass(slots=True)
class Zygote:
    """The process that forks gateways."""

    process: "subprocess.Popen[str]"
    pids: list[int] = field(default_factory=list)

    def start(self, settings: Mapping[str, str], log: Path) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"environment": dict(settings), "log": str(log)}) + "\n")
        self.process.stdin.flush()
        self.pids.append(int(self.process.stdout.readline()))
        return self.pids[-1]


@contextmanager
def running_zygote() -> Iterator[Zygote]:
    """Every gateway that it starts is gone at the end."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.differential_zygote"],
        env=clean | {"PYTHONPATH": str(PROJECT)},
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    zygote = Zygote(process)
    try:
        yield zygote
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        for pid in zygote.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


@contextmanager
def running_chain(deployed: Deployed) -> Iterator[str]:
    """The URL of a chain of one's own, with the contracts deployed and the roles of tests/support/chain.py."""
    port = free_port()
    process = subprocess.Popen(
        [
            *(str(binary()), "--host", "127.0.0.1", "--port", str(port), "--quiet"),
            *("--chain-id", str(DEVELOPMENT_CHAIN_ID), "--no-request-size-limit", "--slots-in-an-epoch", "1"),
            *("--load-state", str(deployed.folder / "state.json")),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), timeout=1)):
            return
        time.sleep(0.02)
    raise AssertionError("the chain does not answer")


@contextmanager
def running_gateway(
    zygote: Zygote,
    deployed: Deployed,
    folder: Path,
    pacs: Mapping[str, str],
    prepare: Callable[[str], object] = str,
    **settings: str,
) -> Iterator[RunningGateway]:
    """A gateway over a PACS (see ``archive_settings`` and ``orthanc_settings``) that answers, with its own chain.

    ``prepare`` is given the chain's URL before the gateway starts.
    """
    folder.mkdir(parents=True)
    with running_chain(deployed) as rpc_url:
        prepare(rpc_url)
        gateway = RunningGateway(
            zygote,
            {
                "CONSENTRY_PORT": str(free_port()),
                "CONSENTRY_PUBLIC_URL": PUBLIC_URL,
                "CONSENTRY_DATA_DIR": str(folder),
                "CONSENTRY_DEPLOYMENT": str(deployed.deployment_path),
                "CONSENTRY_RPC_URL": rpc_url,
                "CONSENTRY_FINALITY": "0",
                "CONSENTRY_POLL_INTERVAL_S": "0.1",
                "CONSENTRY_SITE_KEY": os.urandom(32).hex(),
                "CONSENTRY_RECORDER_KEY": DEVELOPMENT_KEYS[CAST.index("recorder")].hex(),
                # Enrolments over HTTP are sent by the relayer: it is a registrar (docs/adr/0004).
                "CONSENTRY_RELAYER_KEY": DEVELOPMENT_KEYS[CAST.index("registrar")].hex(),
                "CONSENTRY_ID_TOKEN_KEY": bytes(range(1, 33)).hex(),
                **pacs,
                **settings,
            },
            folder / "gateway.log",
        )
        try:
            gateway.start()
            yield gateway
        finally:
            gateway.stop()


def archive_settings(folder: Path) -> dict[str, str]:
    return {"CONSENTRY_PACS_URL": f"file://{folder}"}


def call_node(rpc_url: str, method: str, *params: object) -> Any:
    """One JSON-RPC call; its result. An error fails the test."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = requests.post(rpc_url, json=body, timeout=60).json()
    assert "error" not in answer, answer
    return answer["result"]


def orthanc_settings(server: OrthancServer) -> dict[str, str]:
    return {
        "CONSENTRY_PACS_URL": server.dicom_web_url,
        "CONSENTRY_PACS_USERNAME": server.user,
        "CONSENTRY_PACS_PASSWORD": server.password,
    }
