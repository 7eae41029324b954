"""The files in which the embedded chain outlives its process.

``state.json`` is written by us, atomically, from ``anvil_dumpState``. ``exit.json`` is written by anvil itself when it
is asked to end, and not atomically: it counts only when it is whole and not behind ``state.json``. ``lock`` is held by
whoever runs on the folder, anvil included, so that a second stack or an early restart waits.
"""

import errno
import fcntl
import gzip
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

_LOCK_POLL_S = 0.05


class ChainFolderBusyError(Exception):
    """Another process runs an embedded chain on this folder."""


@dataclass(frozen=True, slots=True)
class ChainFolder:
    """The folder's files. The folder is made, readable by its owner only, by ``prepare``."""

    path: Path

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def exit_state(self) -> Path:
        return self.path / "exit.json"

    @property
    def log(self) -> Path:
        return self.path / "anvil.log"

    def prepare(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def lock(self, wait_s: float) -> int:
        """The descriptor of the held lock; whoever inherits it holds it too, and it ends with the last of them.

        Raises ChainFolderBusyError when it is not free after ``wait_s`` seconds.
        """
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN) or time.monotonic() > until:
                    os.close(descriptor)
                    raise ChainFolderBusyError("another process runs the embedded chain of this data folder") from None
                time.sleep(_LOCK_POLL_S)
            else:
                return descriptor

    def adopt(self) -> bool:
        """Makes the newest whole state the one to load. True when there is one, False for a chain that is new."""
        final = _best_block(self.exit_state)
        if final is not None and final >= (_best_block(self.state) or 0):
            with self.exit_state.open("rb") as written:
                os.fsync(written.fileno())
            self.exit_state.replace(self.state)
            self._sync()
        self.exit_state.unlink(missing_ok=True)
        return self.state.exists()

    def write(self, dump: bytes) -> None:
        """Stores what ``anvil_dumpState`` gave (gzipped JSON) so that a crash leaves the old state or the new one."""
        temporary = self.path / "state.json.part"
        with temporary.open("wb") as file:
            file.write(gzip.decompress(dump))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.state)
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _best_block(path: Path) -> int | None:
    """The height of a stored state, or None when the file is absent or not whole."""
    try:
        height = json.loads(path.read_bytes())["best_block_number"]
        return int(height, 16) if isinstance(height, str) else int(height)
    except (OSError, ValueError, KeyError, TypeError):
        return None
