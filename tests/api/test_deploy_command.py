"""``consentry deploy``: what an emergency and a move are bounded by is chosen once, kept within reason, and told."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.chain.anvil import DEVELOPMENT_KEYS, Anvil, free_port
from app.chain.contracts import Contracts
from app.chain.deployment import load
from app.chain.nodes import Nodes
from tests.support.needs import PROJECT

_OPTIONS = ("--move-delay-hours", "--admin-delay-hours", "--emergency-minutes", "--emergency-quota")
_SITE_KEY, _ID_TOKEN_KEY = bytes(range(1, 33)).hex(), bytes(range(2, 34)).hex()


@pytest.fixture
async def node() -> AsyncIterator[Anvil]:
    """An empty chain."""
    async with Anvil(free_port()) as anvil:
        yield anvil


def deploy(node: Anvil, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    keys = ["0x" + DEVELOPMENT_KEYS[at].hex() for at in (0, 8, 9)]
    settings = {
        "CONSENTRY_DATA_DIR": str(folder),
        "CONSENTRY_DEPLOYMENT": str(folder / "deployment.json"),
        "CONSENTRY_RPC_URL": node.url,
        "CONSENTRY_CHAIN_ID": "31337",
        "CONSENTRY_FINALITY": "0",
        "CONSENTRY_SITE_KEY": _SITE_KEY,
        "CONSENTRY_ID_TOKEN_KEY": _ID_TOKEN_KEY,
        "CONSENTRY_WALLET_KEY": keys[0],
        "CONSENTRY_RECORDER_KEY": keys[1],
        "CONSENTRY_RELAYER_KEY": keys[2],
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    return subprocess.run(
        [sys.executable, "-m", "app.cli", "deploy", *options],
        env=clean | {"PYTHONPATH": str(PROJECT)} | settings,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def told(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return {name: document[name] for name in ("move_delay_s", "emergency_duration_s", "emergency_quota")}


async def kept(node: Anvil, folder: Path) -> dict[str, int]:
    """What the contracts themselves say."""
    contracts = Contracts.of(load(folder / "deployment.json"))
    async with Nodes.of([node.url]) as nodes:
        return {
            "move_delay_s": await contracts.ask(nodes, contracts.patients.move_delay_s()),
            "emergency_duration_s": await contracts.ask(nodes, contracts.emergencies.max_duration_s()),
            "emergency_quota": await contracts.ask(nodes, contracts.emergencies.quota()),
        }


async def test_what_is_chosen_is_in_the_contracts_and_told(node: Anvil, tmp_path: Path) -> None:
    chosen = ("--move-delay-hours", "24", "--emergency-minutes", "90", "--emergency-quota", "3")
    wanted = {"move_delay_s": 86_400, "emergency_duration_s": 5_400, "emergency_quota": 3}
    assert told(deploy(node, tmp_path, *chosen, "--json")) == wanted == await kept(node, tmp_path)
    # There already: nothing is deployed again, and what is said is what holds, not what is asked for
    assert told(deploy(node, tmp_path, "--emergency-quota", "9", "--json")) == wanted == await kept(node, tmp_path)
    in_words = deploy(node, tmp_path)
    assert "emergency_duration_s  5400" in in_words.stdout
    assert "emergency_quota  3" in in_words.stdout


async def test_what_is_not_chosen_is_four_hours_and_ten_a_day(node: Anvil, tmp_path: Path) -> None:
    usual = {"move_delay_s": 259_200, "emergency_duration_s": 14_400, "emergency_quota": 10}
    assert told(deploy(node, tmp_path, "--json")) == usual == await kept(node, tmp_path)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *((option, "0") for option in _OPTIONS),
        ("--move-delay-hours", "8761"),
        ("--admin-delay-hours", "8761"),
        ("--emergency-minutes", "1441"),
        ("--emergency-minutes", "90.5"),
        ("--emergency-quota", "1001"),
    ],
)
def test_what_no_hospital_would_want_is_refused(option: str, value: str, tmp_path: Path) -> None:
    nowhere = Anvil(free_port())  # never started: nothing is asked of it
    done = deploy(nowhere, tmp_path, f"{option}={value}")
    assert done.returncode == 2
    assert option in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_help_says_what_there_is_to_choose(tmp_path: Path) -> None:
    said = deploy(Anvil(free_port()), tmp_path, "--help")
    assert said.returncode == 0
    words = " ".join(said.stdout.split())
    for option, default in zip(_OPTIONS, ("72", "48", "240", "10"), strict=True):
        assert option in words
        assert f"default: {default}]" in words
