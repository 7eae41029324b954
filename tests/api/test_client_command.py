"""`consentry client`: what may be registered, and `consentry token --device` against a gateway that says no."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.commands.root import command_line
from tests.support.needs import PROJECT

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def consentry(tmp_path: Path) -> Command:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    environment = clean | {"CONSENTRY_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(PROJECT)}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "app.cli", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def test_a_program_is_added_listed_and_removed(consentry: Command) -> None:
    assert consentry("client", "list").stdout.strip() == "no program is registered"
    redirect = ("--redirect", "https://v.example/cb", "--redirect", "http://127.0.0.1/cb")
    made = consentry("client", "add", "viewer", "--name", "A viewer", *redirect, "--native", "--json")
    assert made.returncode == 0, made.stderr
    (listed,) = json.loads(consentry("client", "list", "--json").stdout)
    assert (
        listed
        == json.loads(made.stdout)
        == {
            "client_id": "viewer",
            "name": "A viewer",
            "redirect_uris": ["https://v.example/cb", "http://127.0.0.1/cb"],
            "post_logout_redirect_uris": [],
            "scopes": ["openid", "profile", "dicomweb", "offline_access"],
            "native": True,
            "device": False,
        }
    )
    assert consentry("client", "remove", "viewer").returncode == 0
    again = consentry("client", "remove", "viewer")
    assert (again.returncode, "no such program" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-x", "--name", "A", "--device"),
        ("a b", "--name", "A", "--device"),
        ("a" * 65, "--name", "A", "--device"),
        ("a", "--name", " ", "--device"),
        ("a", "--name", "A" * 81, "--device"),
        ("a", "--name", "A\x1b[0m", "--device"),
        ("a", "--name", "A"),
        ("a", "--name", "A", "--redirect", "http://v.example/cb"),
        ("a", "--name", "A", "--redirect", "org.example:/cb"),
        ("a", "--name", "A", "--device", "--post-logout", "https://V.example/"),
        ("a", "--name", "A", "--device", "--scope", "everything"),
        ("a", "--device"),
    ],
    ids=str,
)
def test_what_may_not_be_registered(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSENTRY_DATA_DIR", str(tmp_path / "data"))
    assert CliRunner().invoke(command_line("client"), ["client", "add", *arguments]).exit_code == 2
    assert not (tmp_path / "data").exists()


def test_a_gateway_that_is_away_or_says_no(consentry: Command) -> None:
    away = consentry("token", "--device", "--gateway", "http://127.0.0.1:9")
    assert (away.returncode, "cannot be reached" in away.stderr) == (1, True)
