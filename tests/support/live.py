"""A whole stack for tests, started as a user starts it (``consentry up``) and known only by its ``dev.json``."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from app.chain.anvil import free_port
from app.commands.client import Client, sign_in, sign_typed
from app.commands.output import CommandError
from tests.support.differential import Zygote, running_zygote

_PROJECT = Path(__file__).resolve().parents[2]
_START_S = 180.0
_ATTEMPTS = 20


@dataclass
class Live:
    """One stack on one data folder. ``start`` again after ``kill`` resumes it."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    document: dict[str, Any] = field(default_factory=dict)

    def start(self) -> None:
        """Returns once the stack answers. Fails the test with the stack's own words when it does not."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "dev.json").unlink(missing_ok=True)
        self.settings.setdefault("CONSENTRY_PORT", str(free_port()))
        self.settings.setdefault("CONSENTRY_RPC_PORT", str(free_port()))
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
        environment = {"CONSENTRY_DATA_DIR": str(self.folder), "PYTHONPATH": str(_PROJECT), **self.settings}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "up"],
                env=clean | environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while not (self.folder / "dev.json").exists():
            assert self.process.poll() is None, f"the stack ended:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"the stack did not answer:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.05)
        self.document = json.loads((self.folder / "dev.json").read_text())

    @cached_property
    def log(self) -> Path:
        return self.folder / "stack.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings['CONSENTRY_PORT']}"

    @property
    def rpc_url(self) -> str:
        return str(self.document["rpc_url"])

    @property
    def pids(self) -> dict[str, int]:
        return dict(self.document["pids"])

    def account(self, name: str) -> LocalAccount:
        account: LocalAccount = Account.from_key(self.document["accounts"][name])
        return account

    def signed_in(self, name: str, purpose: str | None = None) -> Client:
        return sign_in(self.url, self.account(name), purpose)[0]

    def granted(self, patient: str, grantee: str, **terms: object) -> str:
        """A consent of ``patient`` to ``grantee`` that is active; its id."""
        asked: dict[str, object] = {
            "grantee": self.account(grantee).address,
            "scope": "all",
            "actions": ["search", "view", "retrieve"],
            "purposes": ["TREAT"],
            "valid_until": int(time.time()) + 86400,
            **terms,
        }
        _, answer = self.signed(patient, asked)
        return str(answer["consent_id"])

    def signed(self, patient: str, asked: dict[str, object]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What was issued for these terms, and what came of handing it in signed; active when this returns.

        What was issued before a revocation is in its block is void then: it is asked for again, as a wallet would.
        """
        client, account = self.signed_in(patient), self.account(patient)
        answer: dict[str, Any] = {}
        issued: dict[str, Any] = {}
        for attempt in range(1, _ATTEMPTS + 1):
            issued = client.post("/api/consents/typed-data", asked)
            document = issued["typed_data"]
            try:
                answer = client.post(
                    "/api/consents", {"typed_data": document, "signature": sign_typed(account, document)}
                )
                break
            except CommandError as error:
                if attempt == _ATTEMPTS or "nonce-conflict" not in str(error):
                    raise
                time.sleep(1)
        for consent in answer["consent_ids"]:
            client.until(f"/api/consents/{consent}", lambda view: view["status"] == "active", 120)
        return issued, answer

    def revoked(self, patient: str, consent: str) -> None:
        client, account = self.signed_in(patient), self.account(patient)
        path = f"/api/consents/{consent}/revocation"
        document = client.post(f"{path}/typed-data")["typed_data"]
        client.post(path, {"typed_data": document, "signature": sign_typed(account, document)})

    def kill(self) -> None:
        """Kill -9 of the gateway and of the chain, as a power cut would end them."""
        for pid in self.pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def live_stack(folder: Path, **settings: str) -> Iterator[Live]:
    """A stack that is started here and stopped at the end."""
    stack = Live(folder, settings)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One stack for all tests that only talk to it."""
    with live_stack(tmp_path_factory.mktemp("live")) as stack:
        yield stack


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Forks gateways for the tests that compare several of them."""
    with running_zygote() as started:
        yield started
