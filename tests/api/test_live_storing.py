"""An upload to the whole stack: the role from the command line, the image in the archive, the record on the chain."""

import os
import subprocess
import sys
import time
from pathlib import Path

import requests

from app.commands.audit import verify_chain
from app.core.identifiers import Subject
from tests.gateway.uploading import CONTENT_TYPE, envelope, taken
from tests.support.live import Live

_PROJECT = Path(__file__).parents[2]


def _grant(live: Live, account: str) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")},
        **live.settings,
        "CONSENTRY_DATA_DIR": str(live.folder),
        "CONSENTRY_WALLET_KEY": live.document["accounts"]["admin"],
        "PYTHONPATH": str(_PROJECT),
    }
    command = [sys.executable, "-m", "app.cli", "role", "grant", "UPLOADER", account]
    subprocess.run(command, env=environment, cwd=live.folder, check=True, capture_output=True, timeout=120)


def _upload(live: Live, name: str, file: bytes) -> requests.Response:
    token = live.signed_in(name).token
    headers = {"Authorization": f"Bearer {token}", "Content-Type": CONTENT_TYPE}
    return requests.post(live.url + "/dicom-web/studies", envelope(file), headers=headers, timeout=60)


def test_what_a_device_stores_is_on_the_chain_and_in_the_patients_list(live: Live) -> None:
    enrolled = next(one for one in live.document["patients"] if one["account"] == "patient2")
    subject = Subject(enrolled["patient_id"], enrolled["issuer"])
    file = taken(subject, "2.25.88001").part10()
    assert _upload(live, "emergency", file).status_code == 403
    _grant(live, live.account("emergency").address)
    deadline = time.monotonic() + 60
    while (answer := _upload(live, "emergency", file)).status_code == 403 and time.monotonic() < deadline:
        time.sleep(0.2)  # until the gateway has seen the block
    assert answer.status_code == 200, answer.text
    record = answer.headers["access-record-id"]
    assert list((live.folder / "archive" / "stored").rglob("*.dcm"))
    patient = live.signed_in("patient2")
    for client in (patient, live.signed_in("emergency"), live.signed_in("auditor")):
        seen = {one["id"]: one for one in client.get("/api/accesses")["accesses"]}[record]
        assert (seen["action"], seen["basis"], seen["study"]) == ("stored", "uploader", "2.25.88001")
    patient.until("/api/accesses", lambda page: all(one["seq"] is not None for one in page["accesses"]), 60)
    assert patient.get(f"/api/accesses/{record}/proof")["id"] == record
    report = verify_chain(live.rpc_url, live.folder / "deployment.json", None)
    assert report.good, report.lines()
    own = requests.get(
        f"{live.url}/dicom-web/studies/2.25.88001",
        headers={
            "Authorization": f"Bearer {live.signed_in('patient2', 'PATRQT').token}",
            "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*',
        },
        timeout=60,
    )
    assert own.status_code == 200
    assert file in own.content
    assert "2.25.88001" not in live.log.read_text()
