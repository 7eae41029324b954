"""``consentry identity`` against a whole stack: found, resolved, seen, withdrawn, and gone again."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests

from app.commands.running import _examine
from app.settings import load
from tests.support.dicom_files import OddFile, write_odd_files
from tests.support.live import Live

_PROJECT = Path(__file__).resolve().parents[2]
_CASES = ("missing", "mixed-series-1", "mixed-series-2", "mixed-series-3")


def consentry(live: Live, *arguments: str, name: str = "registrar") -> "subprocess.CompletedProcess[str]":
    clean = {key: value for key, value in os.environ.items() if not key.startswith("CONSENTRY_")}
    settings = {"CONSENTRY_DATA_DIR": str(live.folder), **live.settings, "PYTHONPATH": str(_PROJECT)}
    settings |= {"CONSENTRY_GATEWAY_URL": live.url, "CONSENTRY_WALLET_KEY": live.document["accounts"][name]}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "identity", *arguments],
        env=clean | settings,
        cwd=live.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def told(live: Live, *arguments: str) -> Any:
    done = consentry(live, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def odd_ones(live: Live, files: dict[str, OddFile]) -> dict[str, Any]:
    """What of these is on the list, once the archive has been looked through since they came in."""
    wanted = {file.study for file in files.values()}
    deadline = time.monotonic() + 60
    while True:
        scan = told(live, "scan")
        assert (scan["state"], scan["trouble"], scan["done"]) == ("finished", None, scan["total"])
        listed = {one["study"]: one for one in told(live, "list")}
        if wanted <= listed.keys() or time.monotonic() > deadline:
            return listed
        time.sleep(2)


def test_from_the_desk(live: Live, tmp_path: Path) -> None:
    files = {file.case: file for file in write_odd_files(tmp_path / "odd") if file.case in _CASES}
    for file in files.values():
        (live.folder / "archive" / f"odd-{file.path.name}").write_bytes(file.path.read_bytes())
    listed = odd_ones(live, files)
    study = files["missing"].study
    assert listed[study]["oddity"] == "missing-id"
    assert listed[files["mixed-series-1"].study]["oddity"] == "several-patients"
    table = consentry(live, "list").stdout
    assert "MRN-3000" in table
    assert "(no PatientID)" in table
    patient = next(one for one in live.document["patients"] if one["account"] == "patient1")
    own = live.signed_in("patient1", "PATRQT")

    def seen() -> int:
        answer = requests.get(
            f"{live.url}/dicom-web/studies/{study}/metadata",
            headers={"Authorization": f"Bearer {own.token}", "Accept": "application/dicom+json"},
            timeout=30,
        )
        return answer.status_code

    assert seen() == 404
    meant = ("--study", study, "--fingerprint", listed[study]["fingerprint"])
    refused = consentry(live, "resolve", patient["patient_key"], "--reason", "mine", *meant, name="patient1")
    assert (refused.returncode, "forbidden" in refused.stderr) == (1, True)
    assert consentry(live, "resolve", patient["patient_key"], "--reason", "x", "--study", study).returncode == 1
    made = told(live, "resolve", patient["patient_key"], "--reason", "Compared with the requisition.", *meant)
    assert seen() == 200
    assert study not in {one["study"] for one in told(live, "list")}
    assert study in {one["study"] for one in told(live, "list", "--state", "resolved")}
    # A stale fingerprint, and an alias for somebody who is in the list under another name.
    stale = consentry(live, "resolve", patient["patient_key"], "--reason", "x", *meant)
    assert (stale.returncode, "conflict" in stale.stderr) == (1, True)
    alias = told(live, "resolve", patient["patient_key"], "--reason", "x", "--patient-id", "MRN-3000", "--issuer", "")
    resolutions = {one["id"]: one for one in told(live, "list", "--resolutions")}
    assert resolutions[made["id"]]["reason"] == "Compared with the requisition."
    assert resolutions[alias["id"]]["patient_id"] == "MRN-3000"
    deadline = time.monotonic() + 60
    while "consentry_unresolved_studies" not in (shown := requests.get(f"{live.url}/metrics", timeout=30).text):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert study not in shown
    for one in (made["id"], alias["id"]):
        assert told(live, "withdraw", one)["withdrawn_at"]
    assert seen() == 404
    assert consentry(live, "withdraw", made["id"]).returncode == 1


async def test_the_doctor_tells_the_number(live: Live, tmp_path: Path) -> None:
    settings = load({"CONSENTRY_DATA_DIR": str(live.folder), **live.settings}, None)
    rows = {row["check"]: row for row in await _examine(settings)}
    assert rows["identities"]["result"] == "ok"
    assert "in doubt" in rows["identities"]["detail"] or "consentry identity list" in rows["identities"]["detail"]
    nothing = load({"CONSENTRY_DATA_DIR": str(tmp_path / "none")}, None)
    rows = {row["check"]: row for row in await _examine(nothing)}
    assert rows["identities"]["detail"] == "nothing is known yet"
    (tmp_path / "fresh").mkdir()
    fresh = load({"CONSENTRY_DATA_DIR": str(tmp_path / "fresh")}, None)
    rows = {row["check"]: row for row in await _examine(fresh)}
    assert rows["identities"]["detail"] == "nothing is known yet"
