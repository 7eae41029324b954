"""The directory from the command line: a name appears once the chain vouches for it."""

import os
import subprocess
import sys
from pathlib import Path

from eth_account import Account

from tests.support.live import Live

_PROJECT = Path(__file__).resolve().parents[2]


def _consentry(live: Live, *arguments: str, key: str = "") -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    settings = {"CONSENTRY_DATA_DIR": str(live.folder), **live.settings, "PYTHONPATH": str(_PROJECT)}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env=clean | settings | ({"CONSENTRY_WALLET_KEY": key} if key else {}),
        cwd=live.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_name_appears_once_the_chain_vouches_for_it(live: Live) -> None:
    newcomer = Account.create().address
    admin = live.document["accounts"]["admin"]
    named = ("directory", "set", newcomer, "--name", "Dr. Lena Okonkwo", "--organisation", "Northside")
    # Somebody who is not the admin changes the words here, and nothing that a patient reads.
    refused = _consentry(live, *named, key=live.document["accounts"]["physician1"])
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    patient = live.signed_in("patient1")
    asked = {
        "grantee": newcomer,
        "scope": "all",
        "actions": ["view"],
        "purposes": ["TREAT"],
        "valid_until": 2_000_000_000,
    }
    assert newcomer.lower() in patient.post("/api/consents/typed-data", asked)["words"].lower()
    done = _consentry(live, *named, key=admin)
    assert done.returncode == 0, done.stderr
    assert "Dr. Lena Okonkwo" in _consentry(live, "directory", "list").stdout

    def words(_answer: object) -> bool:
        return "Dr. Lena Okonkwo, Northside" in patient.post("/api/consents/typed-data", asked)["words"]

    # The gateway believes what it read of the directory for some seconds.
    patient.until("/healthz", words, 20)
