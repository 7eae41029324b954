"""The committed ABIs are what the compiler makes of the committed contracts."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ABI_FOLDER = ROOT / "app" / "chain" / "abi"
CONTRACTS = (
    *("AccessLog", "CareTeams", "ConsentRegistry", "ConsentryRoles"),
    *("EmergencyAccess", "PasskeyVerifier", "PatientRegistry"),
)


def run_node(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Node with the repository as the working directory; the virtual environment's Node comes first."""
    path = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ.get("PATH", os.defpath)])
    return subprocess.run(
        ["node", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def _compiled() -> None:
    built = run_node("node_modules/hardhat/dist/src/cli.js", "build", "--no-tests")
    assert built.returncode == 0, built.stdout + built.stderr


@pytest.mark.usefixtures("_compiled")
def test_committed_abis_are_fresh() -> None:
    checked = run_node("contracts/tooling/export_abi.js", "--check")
    assert checked.returncode == 0, checked.stderr


def test_committed_abis_are_whole() -> None:
    assert sorted(path.stem for path in ABI_FOLDER.glob("*.json")) == list(CONTRACTS)
    for name in CONTRACTS:
        exported = json.loads((ABI_FOLDER / f"{name}.json").read_text())
        assert exported["contractName"] == name
        assert bytes.fromhex(exported["bytecode"][2:]), "no unlinked library in the bytecode"
        assert len(exported["solcSettingsSha256"]) == 2 * hashlib.sha256().digest_size
        assert exported["abi"]
