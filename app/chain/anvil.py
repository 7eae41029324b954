"""The embedded development chain: the platform's anvil binary from npm, on loopback, a child that never outlives us.

Its state is kept in a folder (``anvil_state``) and resumes after a kill -9 of it or of us.
"""

import asyncio
import contextlib
import logging
import os
import platform
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from app.chain.anvil_state import ChainFolder, ChainFolderBusyError
from app.chain.quantities import data, fields, quantity
from app.chain.rpc import Limits, Node, NodeUnavailableError, RpcError

log = logging.getLogger(__name__)

DEVELOPMENT_CHAIN_ID: Final = 31337

# Published with anvil and Hardhat ("test test … junk"): worthless on purpose, refused on any chain but 31337.
DEVELOPMENT_KEYS: Final[tuple[bytes, ...]] = tuple(
    bytes.fromhex(key)
    for key in (
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
        "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
        "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
        "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
        "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
        "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
        "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
        "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
    )
)

_NODE_MODULES: Final = Path(__file__).resolve().parents[2] / "node_modules"
_MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_SYSTEMS: Final = {"Linux": "linux", "Darwin": "darwin"}
_LOCK_WAIT_S: Final = 15.0
_START_WAIT_S: Final = 60.0
_STOP_WAIT_S: Final = 15.0
# A dump is at most this part of the time, so that a long history does not keep the machine busy.
_DUMP_SHARE: Final = 0.05

# Our end of a pipe is this shell's input. A line means "we ended it, go"; its end without a line means that we died,
# and then anvil (which takes the shell's place and its pid) is asked to end, and after a while made to.
_GUARDED = """
exec 3<&0 </dev/null
{
  read -r line <&3 && exit 0
  kill -TERM $$
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 0.1; kill -0 $$ || exit 0; done
  for _ in 1 2 3 4 5 6 7 8 9 10; do sleep 1; kill -0 $$ || exit 0; done
  kill -KILL $$
} >/dev/null 2>&1 &
exec "$@" 3<&-
"""


class AnvilError(Exception):
    """The embedded chain cannot be run; the text says why and what to do."""


def binary(node_modules: Path = _NODE_MODULES) -> Path:
    """The anvil executable of this platform. Raises AnvilError when npm did not install it."""
    machine = _MACHINES.get(platform.machine().lower())
    system = _SYSTEMS.get(platform.system())
    if machine is None or system is None:
        raise AnvilError("there is no embedded chain for this platform: name a node in CONSENTRY_RPC_URL")
    path = node_modules / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin" / "anvil"
    if not path.is_file():
        raise AnvilError("the embedded chain is not installed: `make run-environment` installs it")
    return path


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Anvil:
    """One embedded chain. Without a folder it keeps nothing (tests); with one, run ``keep`` beside it."""

    port: int
    folder: ChainFolder | None = None
    options: tuple[str, ...] = ()
    node: Node = field(init=False)
    # The highest block that is safe in the folder: what is above it, a power cut takes back.
    kept_number: int = field(default=0, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _lock: int | None = field(default=None, init=False)
    _kept: object = field(default=None, init=False)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def __post_init__(self) -> None:
        self.node = Node(self.url, "the embedded chain", Limits(deadline_s=10, answer_bytes=1 << 30))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process that runs now. Raises AnvilError when none was started."""
        if self._process is None:
            raise AnvilError("the embedded chain is not running")
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts the chain, or resumes it from its folder, and returns once it answers.

        Raises AnvilError (port in use, not installed, does not start) or ChainFolderBusyError.
        """
        executable = binary()
        resumed = False
        if self.folder is not None and self._lock is None:
            self.folder.prepare()
            self._lock = await asyncio.to_thread(self.folder.lock, _LOCK_WAIT_S)
        try:
            if self.folder is not None:
                resumed = await asyncio.to_thread(self.folder.adopt)
            _refuse_taken_port(self.port)
            self._process = self._spawn(executable, resumed=resumed)
            await self._wait_until_it_answers()
            self.kept_number = quantity(await self.node.call("eth_blockNumber"), "the height")
        except BaseException:
            await self.stop()
            raise
        log.info("the embedded chain %s on port %d", "resumed" if resumed else "started", self.port)

    def _spawn(self, executable: Path, *, resumed: bool) -> subprocess.Popen[bytes]:
        arguments = [
            *(str(executable), "--host", "127.0.0.1", "--port", str(self.port), "--quiet"),
            *("--chain-id", str(DEVELOPMENT_CHAIN_ID), "--no-request-size-limit", "--slots-in-an-epoch", "1"),
            # Blocks, receipts and logs are all kept; of old account states, as many as a reorganisation may need.
            *("--prune-history", "256"),
            *self.options,
        ]
        if self.folder is None:
            return self._popen(arguments, subprocess.DEVNULL)
        arguments += ["--dump-state", str(self.folder.exit_state)]
        if resumed:
            arguments += ["--load-state", str(self.folder.state)]
        with self.folder.log.open("wb") as errors:
            return self._popen(arguments, errors.fileno())

    def _popen(self, arguments: list[str], errors: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own script, our own arguments, no shell words from outside
            ["/bin/sh", "-c", _GUARDED, "anvil", *arguments],
            stdin=subprocess.PIPE,
            # A quiet anvil prints nothing: as its output the lock is held by it, and not by the guard beside it.
            stdout=subprocess.DEVNULL if self._lock is None else self._lock,
            stderr=errors,
            # A Ctrl-C at the terminal is for us: the chain ends last, when we end it.
            start_new_session=True,
        )

    async def _wait_until_it_answers(self) -> None:
        until = time.monotonic() + _START_WAIT_S
        while True:
            if self._exited():
                raise AnvilError(f"the embedded chain did not start{self._last_words()}")
            try:
                chain_id = quantity(await self.node.call("eth_chainId", deadline_s=2), "the chain id")
            except NodeUnavailableError:
                if time.monotonic() > until:
                    raise AnvilError("the embedded chain does not answer") from None
                await asyncio.sleep(0.02)
            else:
                # Somebody else may have taken the port in between: then ours has ended by now or is about to.
                await asyncio.sleep(0.02)
                if self._exited() or chain_id != DEVELOPMENT_CHAIN_ID:
                    raise AnvilError(f"the embedded chain did not start{self._last_words()}")
                return

    def _last_words(self) -> str:
        if self.folder is None:
            return ""
        with contextlib.suppress(OSError):
            words = self.folder.log.read_text(errors="replace").strip()
            return f": {words[:300]}" if words else ""
        return ""

    def _exited(self) -> bool:
        return self._process is None or self._process.poll() is not None

    async def persist(self) -> bool:
        """Writes the state to the folder if the head moved since the last time. Raises RpcError, OSError."""
        if self.folder is None:
            return False
        async with self._writing:  # one writer at a time: both would write the same temporary file
            head = await self.node.call("eth_getBlockByNumber", "latest", False)
            if head == self._kept:
                return False
            dump = data(await self.node.call("anvil_dumpState", deadline_s=60), "the dump")
            await asyncio.to_thread(self.folder.write, dump)
            self._kept = head
            self.kept_number = quantity(fields(head, "the head").get("number"), "the head's number")
            return True

    async def keep(self, interval_s: float = 0.5) -> None:
        """Writes the state soon after each change, and starts the chain again if it dies.

        Runs until cancelled; cancel it before ``stop``.
        """
        while True:
            began = time.monotonic()
            try:
                if self._exited():
                    await self._restart()
                await self.persist()
            except (RpcError, OSError, ValueError, AnvilError, ChainFolderBusyError) as error:
                log.error("the embedded chain's state could not be kept: %s", error)  # noqa: TRY400 - the text says it
            took = time.monotonic() - began
            await asyncio.sleep(max(interval_s, took / _DUMP_SHARE))

    async def _restart(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            log.error("the embedded chain died (exit status %s): starting it again", process.returncode)
            await asyncio.to_thread(_end, process)
        await self.start()

    async def stop(self) -> None:
        """Ends the chain; with a folder, its last state is kept. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(_end, process)
            if self.folder is not None:
                await asyncio.to_thread(self.folder.adopt)
        await self.node.close()
        self._kept = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdin is not None:
        # Tell the guard that the pid is no longer ours to end.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"\n")
            process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise AnvilError(f"port {port} is in use: set CONSENTRY_RPC_PORT to a free one") from None
