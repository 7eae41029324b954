"""A stack of its own for the story: a fresh data folder, free ports, started and stopped by its own process id."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from app.chain.anvil import free_port
from app.commands.output import CommandError

_START_WAIT_S = 120.0
_STOP_WAIT_S = 30.0
_LOG = "stack.log"
# What `consentry up` says to somebody at a terminal once it is up; the story says it in its own words.
_ANNOUNCED = ("gateway ", "DICOMweb ", "chain ", "accounts ", "Ctrl-C ")


@dataclass(frozen=True, slots=True)
class FreshStack:
    """A running stack, known from outside by its ``dev.json``."""

    folder: Path
    process: "subprocess.Popen[bytes]"
    document: dict[str, Any]

    @property
    def gateway(self) -> str:
        return str(self.document["gateway_url"])

    @property
    def rpc_url(self) -> str:
        return str(self.document["rpc_url"])

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    def account(self, name: str) -> LocalAccount:
        account: LocalAccount = Account.from_key(self.document["accounts"][name])
        return account

    def wait(self) -> None:
        """Until Ctrl-C, or until the stack ends."""
        with contextlib.suppress(KeyboardInterrupt):
            self.process.wait()


@contextlib.contextmanager
def fresh_stack(tell: Callable[[str], None]) -> Iterator[FreshStack]:
    """Start a stack on an emptied ``demo`` folder of the data folder; stop it at the end. Raises CommandError."""
    folder = Path(os.environ.get("CONSENTRY_DATA_DIR") or "data").resolve() / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    with (folder / _LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "up"],
            env=_environment(folder),
            cwd=folder,  # a .env of a real installation beside the project is not for the story
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the story, which then stops the stack
        )
    try:
        yield FreshStack(folder, process, _wait_until_up(folder, process, tell))
    finally:
        _stop(process)


def _environment(folder: Path) -> dict[str, str]:
    """The caller's environment without settings of a real installation, and ports that are free."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    port, rpc_port = os.environ.get("CONSENTRY_PORT"), os.environ.get("CONSENTRY_RPC_PORT")
    return kept | {
        "CONSENTRY_DATA_DIR": str(folder),
        "CONSENTRY_PORT": port or str(free_port()),
        "CONSENTRY_RPC_PORT": rpc_port or str(free_port()),
        "CONSENTRY_LOG_LEVEL": "warning",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }


def _wait_until_up(folder: Path, process: "subprocess.Popen[bytes]", tell: Callable[[str], None]) -> dict[str, Any]:
    deadline = time.monotonic() + _START_WAIT_S
    told = 0
    said: list[str] = []
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        said = [line for line in (folder / _LOG).read_text(encoding="utf-8").splitlines() if line.strip()]
        for line in said[told:]:
            if not line.startswith(_ANNOUNCED):
                tell(line)
        told = len(said)
        file = folder / "dev.json"
        if file.exists():
            document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            return document
        if ended:
            raise CommandError("the stack did not start: " + (said[-1] if said else "it said nothing"))
        time.sleep(0.1)
    raise CommandError("the stack did not answer in time")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
