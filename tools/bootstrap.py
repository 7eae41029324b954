"""Brings ``.venv`` and ``node_modules`` to what the lock files say; ``make`` calls it before a target that needs them.

    python tools/bootstrap.py run       what ``make demo`` and ``make up`` need
    python tools/bootstrap.py develop   that, and what tests and checks need

It uses nothing but the standard library of Python 3.11, and does nothing (in milliseconds, without network) where the
last install was whole and the lock files have not changed since. A stamp is written only after its step succeeded, so
that the next run takes up an interrupted install.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMPS = VENV / "installed"
UNFINISHED = STAMPS / "unfinished"
NODE_STAMP = ROOT / "node_modules" / ".installed"

RUNTIME_LOCK = ROOT / "requirements.txt"
DEVELOP_LOCK = ROOT / "requirements-dev.txt"

REPORT_EVERY_S = 5.0
FAILURE_TAIL_LINES = 120
_PACKAGE_LINE = re.compile(r"^(?:Collecting|Requirement already satisfied:) (\S+)")
_LOCKED_NAME = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==", re.MULTILINE)


class InstallError(Exception):
    """A step failed; the text says what the reader can do about it."""


def say(text: str) -> None:
    print(f"  {text}", flush=True)


def digest(*paths: Path) -> str:
    """One line that changes when a file does, or when the folder moves (scripts in ``.venv`` hold its path)."""
    state = hashlib.sha256(f"{ROOT}\0".encode())
    for path in paths:
        state.update(path.name.encode() + b"\0" + path.read_bytes())
    return state.hexdigest()


def stamped(stamp: Path, value: str) -> bool:
    return stamp.is_file() and stamp.read_text().split("\n", 1)[0] == value


def write_stamp(stamp: Path, value: str, content: str = "") -> None:
    stamp.parent.mkdir(exist_ok=True)
    partial = stamp.with_suffix(".partial")
    partial.write_text(f"{value}\n{content}")
    partial.replace(stamp)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two ``make`` in one folder install one after the other, even where one was killed and its pip still runs."""
    folder = os.open(ROOT, os.O_RDONLY)
    os.set_inheritable(folder, True)  # so that what it starts holds the lock too
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another install in this folder")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def environment() -> dict[str, str]:
    """The caller's environment (proxy and mirror settings included) without what would install somewhere else."""
    misleading = {
        "PYTHONHOME",
        "PYTHONPATH",
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_ROOT",
        "NODE_OPTIONS",
        "NODE_PATH",
    }
    kept = {name: value for name, value in os.environ.items() if name not in misleading}
    return {
        **kept,
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


class Progress:
    """One line that is rewritten on a terminal, and a line every few seconds elsewhere."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.detail = ""
        self.started = time.monotonic()
        self._live = sys.stdout.isatty()
        self._done = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        say(self.what)
        self._ticker.start()
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        self._done.set()
        self._ticker.join()
        if self._live:
            print("\r\033[K", end="")
        if not failed:
            say(f"{self.what}: done in {self._elapsed_s():.0f} s")

    def _elapsed_s(self) -> float:
        return time.monotonic() - self.started

    def _tick(self) -> None:
        while not self._done.wait(0.2 if self._live else REPORT_EVERY_S):
            line = f"    {self._elapsed_s():4.0f} s  {self.detail}"
            print(f"\r\033[K{line[:100]}" if self._live else line, end="" if self._live else "\n", flush=True)


def run(what: str, command: list[str | Path], watch: Callable[[str], str | None], hint: str) -> None:
    """Run `command` under a progress line that `watch` makes from its output; on failure show the output's end."""
    tail: deque[str] = deque(maxlen=FAILURE_TAIL_LINES)
    with (
        Progress(what) as progress,
        subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            close_fds=False,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            tail.append(line.rstrip())
            progress.detail = watch(line) or progress.detail
        failed = process.wait() != 0
        if failed:
            raise InstallError("\n".join([*tail, "", f"{what}: FAILED. {hint}", "Then run the same command again."]))


def ensure_venv() -> None:
    works = (BIN / "python").exists() and (BIN / "pip").exists()
    moved = STAMPS.exists() and not stamped(STAMPS / "venv", digest())
    if works and not moved and not UNFINISHED.exists():
        write_stamp(STAMPS / "venv", digest())  # one that was made by hand is taken as it is
        return
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        version = ".".join(map(str, sys.version_info[:2]))
        raise InstallError(
            f"{sys.executable} cannot make virtual environments: its `venv` or `ensurepip` module is missing.\n"
            f"On Debian and Ubuntu: apt-get install python{version}-venv"
        )
    say(f"Python {sys.version.split()[0]} from {sys.executable}")
    if VENV.exists():
        say("replacing a .venv that is broken, unfinished or made for another folder")
        shutil.rmtree(VENV)
    STAMPS.mkdir(parents=True)
    UNFINISHED.touch()
    command: list[str | Path] = [sys.executable, "-m", "venv", VENV]
    run("making .venv", command, lambda line: line.strip(), "The lines above say why.")
    write_stamp(STAMPS / "venv", digest())
    UNFINISHED.unlink()


def pip_watcher(lock: Path) -> Callable[[str], str | None]:
    """Counts what pip has looked at, and marks `.venv` from the moment that pip writes into it until all is written."""
    total = len(set(_LOCKED_NAME.findall(lock.read_text())))
    seen: set[str] = set()

    def watch(line: str) -> str | None:
        if found := _PACKAGE_LINE.match(line):
            seen.add(found[1])
            return f"{len(seen)}/{total} {found[1]}"
        if line.startswith("Installing collected"):
            UNFINISHED.touch()
            return "writing the files"
        return None

    return watch


def install_python(lock: Path) -> None:
    stamp = STAMPS / lock.name
    value = digest(lock)
    if stamped(stamp, value):
        return
    gone = removed_since(stamp, lock)
    stamp.unlink(missing_ok=True)
    pip: list[str | Path] = [BIN / "python", "-m", "pip"]
    arguments: list[str | Path] = [
        "install",
        "--no-deps",
        "--require-hashes",
        "--prefer-binary",
        "--no-input",
        "-r",
        lock,
    ]
    hint = (
        "Did a download fail? Check the network or your pip settings. A build? Python 3.11 to 3.13 have wheels for all."
    )
    run(f"installing the Python packages of {lock.name}", pip + arguments, pip_watcher(lock), hint)
    if gone:
        run("removing " + ", ".join(gone), [*pip, "uninstall", "--yes", *gone], lambda _: None, "")
    write_stamp(stamp, value, lock.read_text())
    UNFINISHED.unlink(missing_ok=True)


def removed_since(stamp: Path, lock: Path) -> list[str]:
    """Packages that the lock installed last time held and this one does not."""
    before = set(_LOCKED_NAME.findall(stamp.read_text())) if stamp.is_file() else set()
    return sorted(before - set(_LOCKED_NAME.findall(lock.read_text() + DEVELOP_LOCK.read_text())))


def install_project() -> None:
    """The project itself, editable: gives the `consentry` command, and asks no network for a build backend."""
    stamp = STAMPS / "project"
    value = digest(ROOT / "pyproject.toml")
    if stamped(stamp, value):
        return
    command: list[str | Path] = [
        BIN / "python",
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    ]
    run("installing the consentry command", [*command, "--editable", ROOT], lambda line: line.strip(), "")
    write_stamp(stamp, value)


def install_node(*, develop: bool) -> None:
    locked = digest(ROOT / "package-lock.json")
    if stamped(NODE_STAMP, f"{locked} develop") or (not develop and stamped(NODE_STAMP, f"{locked} run")):
        return
    what = "installing the npm packages" + (" for development" if develop else "")
    command: list[str | Path] = [BIN / "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    NODE_STAMP.unlink(missing_ok=True)
    omit: list[str | Path] = [] if develop else ["--omit=dev"]
    run(
        what, command + omit, lambda line: line.strip(), "If a download failed, check the network or your npm settings."
    )
    write_stamp(NODE_STAMP, f"{locked} {'develop' if develop else 'run'}")


def bring_up_to_date(*, develop: bool) -> None:
    ensure_venv()
    if develop:
        install_python(DEVELOP_LOCK)
    elif not stamped(STAMPS / DEVELOP_LOCK.name, digest(DEVELOP_LOCK)):  # which holds all of the runtime's
        install_python(RUNTIME_LOCK)
    install_project()
    install_node(develop=develop)


def main(arguments: list[str]) -> int:
    if arguments not in (["run"], ["develop"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with alone():
            bring_up_to_date(develop=arguments == ["develop"])
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the next run takes it up again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
