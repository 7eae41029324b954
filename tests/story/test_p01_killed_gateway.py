"""P1 and P2 end to end: the gateway is killed at random moments under load, again and again; afterwards everything that
any client received a byte of has exactly one event on the chain, and the auditor finds the log in order.
"""

import asyncio
import http.client
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.chain.anvil import DEVELOPMENT_KEYS, free_port
from app.core.consent.terms import Purpose
from app.core.exported import to_line
from app.core.identifiers import PatientKey, Signer, Subject, UnixTime
from app.core.pseudonym import patient_key
from app.demo.samples import ISSUER, PATIENTS, write_samples
from app.store.accesses import Access, Accesses
from app.store.engine import Database, open_database
from app.store.migrate import upgrade
from app.store.patients import Patients
from app.store.sessions import Sessions
from app.verify import verify
from tests.support.chain import CAST, Chain, signer
from tests.support.consents import claimed, grant, terms

_CLIENTS = 6
_SITE_KEY = bytes(range(1, 33))
_PROJECT = Path(__file__).resolve().parents[2]


@dataclass
class Seen:
    """What the clients received: the record ids of every answer that had at least one body byte."""

    ids: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, header: str) -> None:
        with self.lock:
            self.answers += 1
            self.ids.update(one.strip() for one in header.split(","))


async def test_p01_p02_every_byte_has_its_event(
    chain: Chain, tmp_path: Path, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    kills = run_size(50, 1000)
    port = free_port()
    settings = _settings(chain, tmp_path, port)
    token, paths = await _prepare(chain, tmp_path, rng)
    seen = Seen()
    with _zygote(settings, tmp_path) as start:
        for _ in range(kills):
            pid = await asyncio.to_thread(start)
            await asyncio.to_thread(_wait_until_it_answers, port)
            with _load(port, token, paths, seen, rng):
                await asyncio.sleep(rng.uniform(0.01, 0.35))
                os.kill(pid, signal.SIGKILL)
        assert seen.answers > kills, "the clients received next to nothing: the test shows nothing"
        pid = await asyncio.to_thread(start)
        database = await asyncio.to_thread(open_database, settings["CONSENTRY_DATABASE_URL"])
        try:
            accesses = await _drained(database)
            os.kill(pid, signal.SIGTERM)
        finally:
            await asyncio.to_thread(database.close)

    print(f"{kills} kills, {seen.answers} answers received, {len(accesses)} accesses on the chain")  # noqa: T201
    assert max(seen.ids.values()) == 1, "one record id was given to two answers"
    on_chain = Counter(access.record_id.hex() for access in accesses)
    assert set(seen.ids) <= set(on_chain)
    assert set(on_chain.values()) == {1}
    assert sorted(access.on_chain.seq for access in accesses if access.on_chain) == list(range(len(accesses)))
    lines = [to_line(access.body, access.salt) for access in accesses]
    report = await verify(chain.nodes.nodes[0], chain.deployment, lines)
    assert report.good, "\n".join(report.lines())
    assert (report.records, report.opened) == (len(accesses), len(accesses))


def _settings(chain: Chain, folder: Path, port: int) -> dict[str, str]:
    keys = {name: "0x" + DEVELOPMENT_KEYS[CAST.index(name)].hex() for name in ("recorder", "relayer")}
    return {
        "CONSENTRY_PORT": str(port),
        "CONSENTRY_DATA_DIR": str(folder / "data"),
        "CONSENTRY_DATABASE_URL": f"sqlite:///{folder / 'consentry.db'}",
        "CONSENTRY_DEPLOYMENT": str(chain.deployment_path),
        "CONSENTRY_RPC_URL": chain.anvil.url,
        "CONSENTRY_FINALITY": "0",
        "CONSENTRY_POLL_INTERVAL_S": "0.1",
        "CONSENTRY_PACS_URL": f"file://{folder / 'archive'}",
        "CONSENTRY_SITE_KEY": _SITE_KEY.hex(),
        "CONSENTRY_RECORDER_KEY": keys["recorder"],
        "CONSENTRY_RELAYER_KEY": keys["relayer"],
        "CONSENTRY_ID_TOKEN_KEY": _SITE_KEY[::-1].hex(),
        "CONSENTRY_LOG_LEVEL": "error",
    }


async def _prepare(chain: Chain, folder: Path, chance: random.Random) -> tuple[str, list[str]]:
    """Two patients who let physician1 in, and his session. Gives the token and the paths to ask for."""
    write_samples(folder / "archive")
    database = open_database(f"sqlite:///{folder / 'consentry.db'}")
    upgrade(database)
    patients = Patients(database)
    contract = chain.deployment.address("PatientRegistry")
    for sample, account in zip(PATIENTS, ("patient1", "patient2"), strict=False):
        subject, salt = Subject(sample.patient_id, ISSUER), chance.randbytes(32)
        key = PatientKey(patient_key(_SITE_KEY, salt, subject, chain.deployment.chain_id, contract))
        await patients.enrol(subject, key, salt)
        patient = await claimed(chain, key, account)
        await grant(chain, patient, terms(patient, "physician1", chance))
    until = UnixTime(int(time.time()) + 86_400)
    token, _ = await Sessions(database).create(Signer(signer("physician1").address), Purpose.TREAT, until)
    patients.close()
    database.close()
    return token, ["/dicom-web/studies", "/dicom-web/instances", *_instances(folder / "archive")]


def _instances(archive: Path) -> list[str]:
    import pydicom  # noqa: PLC0415 - slow to import, and only needed here

    paths = []
    for file in sorted(archive.glob("*.dcm")):
        data = pydicom.dcmread(file, stop_before_pixels=True)
        paths.append(f"/dicom-web/studies/{data.StudyInstanceUID}")
        paths.append(f"{paths[-1]}/series/{data.SeriesInstanceUID}/instances/{data.SOPInstanceUID}")
    return paths


@contextmanager
def _zygote(settings: dict[str, str], folder: Path) -> "Iterator[StartGateway]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.story.gateway_zygote"],
            env=clean | settings | {"PYTHONPATH": str(_PROJECT)},
            cwd=_PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    started = StartGateway(process)
    try:
        yield started
    finally:
        process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        for pid in started.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]  # it is a pipe


@dataclass
class StartGateway:
    """Forks another gateway and gives its pid."""

    process: "subprocess.Popen[str]"
    pids: list[int] = field(default_factory=list)

    def __call__(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("start\n")
        self.process.stdin.flush()
        self.pids.append(int(self.process.stdout.readline()))
        return self.pids[-1]


def _wait_until_it_answers(port: int) -> None:
    """Until the gateway decides: it follows the chain and its archive is read."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if _ready(port):
                return
        time.sleep(0.01)
    raise AssertionError("the gateway does not come up again")


def _ready(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", "/readyz")
        with closing(connection.getresponse()) as answer:
            return answer.status == 200


@contextmanager
def _load(port: int, token: str, paths: list[str], seen: Seen, chance: random.Random) -> Iterator[None]:
    """Clients that ask without pause until the block ends; a broken connection ends an answer, not the client."""
    ended = threading.Event()
    seeds = [chance.randrange(2**32) for _ in range(_CLIENTS)]
    threads = [
        threading.Thread(target=_client, args=(port, token, paths, seen, ended, random.Random(seed))) for seed in seeds
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _client(port: int, token: str, paths: list[str], seen: Seen, ended: threading.Event, chance: random.Random) -> None:
    while not ended.is_set():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        # Killed, the gateway breaks the connection: on to the next one.
        with closing(connection), suppress(OSError, http.client.HTTPException):
            while not ended.is_set():
                headers = {"Authorization": f"Bearer {token}", "Accept": "*/*"}
                connection.request("GET", chance.choice(paths), headers=headers)
                with closing(connection.getresponse()) as answer:
                    if answer.read(1) and answer.status == 200:
                        seen.add(answer.headers["Access-Record-Id"])
                    answer.read()


async def _drained(database: Database) -> list[Access]:
    """Every access in the database, once all of them are on the chain."""
    log = Accesses(database)
    deadline = time.monotonic() + 90
    while True:
        found: list[Access] = []
        cursor = None
        while True:
            page = await log.all(1000, cursor)
            found += page.accesses
            cursor = page.cursor
            if cursor is None:
                break
        if all(access.on_chain is not None and access.on_chain.final for access in found):
            return found
        assert time.monotonic() < deadline, "the log does not drain"
        await asyncio.sleep(0.2)
