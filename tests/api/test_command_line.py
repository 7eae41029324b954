"""The command line: exit statuses, and that a command imports no more than it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.commands.root import COMMANDS

_PROJECT = Path(__file__).resolve().parents[2]


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=_PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--help",), 0),
        ((), 2),
        (("no-such-command",), 2),
        (("token", "--no-such-option"), 2),
        (("consent",), 2),
        (("token", "--gateway", "http://127.0.0.1:9"), 1),
        (("audit", "verify", "--rpc", "http://127.0.0.1:9", "--deployment", "no-such-file"), 2),
    ],
)
def test_exit_statuses(arguments: tuple[str, ...], status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENTRY_WALLET_KEY", "0x" + "11" * 31 + "12")
    ended = _run(*arguments)
    assert ended.returncode == status, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_names_every_command() -> None:
    shown = _run("--help").stdout
    assert all(name in shown for name in COMMANDS)


def test_a_token_takes_a_wallet_and_not_an_archive() -> None:
    program = (
        "import sys; from app.commands.root import command_line; command_line('token');"
        "print([name for name in ('pydicom', 'sqlalchemy', 'siwe', 'uvicorn') if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=_PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.strip() == "[]"


def test_a_wrong_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSENTRY_WALLET_KEY", "hunter2-hunter2")
    ended = _run("token")
    assert ended.returncode == 1
    assert "CONSENTRY_WALLET_KEY" in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr
