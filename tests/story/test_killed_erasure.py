"""An erasure that is killed between any two of its steps goes on by itself when the gateway starts again."""

import http.client
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
import requests
from eth_account import Account

from app.commands.client import Client
from app.commands.output import CommandError
from app.core.keccak import keccak256
from app.demo.samples import ISSUER, PATIENTS, write_samples
from app.demo.seeding import claim_enrolment
from tests.support.chain import Deployed
from tests.support.differential import RunningGateway, Zygote, archive_settings, call_node, running_gateway
from tests.support.needs import PROJECT

QUICK_POINTS = ("begun", "mined", "destroying")
_HERS = PATIENTS[0].patient_id


def serve_until_killed(gateway: RunningGateway, point: str) -> "subprocess.Popen[bytes]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    with gateway.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.story.killed_erasure", point],
            env=clean | gateway.settings | {"PYTHONPATH": str(PROJECT)},
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, gateway.log.read_text()[-2000:]
        with suppress(OSError, http.client.HTTPException):
            if gateway.ask("/readyz").status == 200:
                return process
        time.sleep(0.05)
    raise AssertionError("the gateway does not answer")


def _found(gateway: RunningGateway, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/dicom+json"}
    answer = requests.get(gateway.url + "/dicom-web/studies", headers=headers, timeout=30)
    return len(answer.json()) if answer.status_code == 200 else -answer.status_code


@pytest.mark.soak
def test_an_erasure_goes_on_after_kill_9(point: str, zygote: Zygote, deployed: Deployed, tmp_path: Path) -> None:
    write_samples(tmp_path / "files")
    with running_gateway(zygote, deployed, tmp_path / "data", archive_settings(tmp_path / "files")) as gateway:
        registrar = gateway.signed_in("registrar")
        made = registrar.post("/api/enrolments", {"patient_id": _HERS, "issuer": ISSUER})
        patient = claim_enrolment(gateway.url, Account.create(), made["code"])
        assert _found(gateway, patient.token) == 2
        patient.until("/api/accesses", lambda page: all(one["status"] == "final" for one in page["accesses"]), 60)
        gateway.stop()

        process = serve_until_killed(gateway, point)
        client = Client(gateway.url, registrar.token)
        asked = {"reason": "retention-ended", "patient_id": _HERS, "issuer": ISSUER}
        with suppress(CommandError):  # killed before it could answer
            client.post(f"/api/patients/{made['patient_key']}/erasure", asked)
        process.wait(60)
        assert process.returncode == -9

        gateway.start()
        assert _found(gateway, patient.token) in {0, -404}, "let in again after a restart"
        ended = client.until(f"/api/erasures/{made['patient_key']}", lambda one: one["status"] == "erased", 60)
        assert ended["reason"] == "retention-ended"
        with closing(sqlite3.connect(tmp_path / "data" / "consentry.db")) as database:
            row = database.execute("SELECT patient_id, issuer, salt, code, erased_at FROM patient").fetchone()
            (left,) = database.execute("SELECT count(*) FROM access_record WHERE study_uid IS NOT NULL").fetchone()
            (calls,) = database.execute("SELECT count(*) FROM outbox_call WHERE kind = 'erase'").fetchone()
        assert row[:4] == (None,) * 4
        assert row[4] is not None
        assert (left, calls) == (0, 1)
        deadline = time.monotonic() + 20
        secret = _HERS.encode()
        files = sorted((tmp_path / "data").glob("consentry.db*"))
        while any(secret in one.read_bytes() for one in files) and time.monotonic() < deadline:
            time.sleep(0.2)  # the write-ahead log is emptied with the next sweep
        assert not any(secret in one.read_bytes() for one in files)
        topic = "0x" + keccak256(b"PatientErased(bytes32)").hex()
        logs = call_node(gateway.rpc_url, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "topics": [topic]})
        assert len(logs) == 1
