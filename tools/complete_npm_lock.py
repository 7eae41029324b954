"""Adds to ``package-lock.json`` the optional packages of other platforms that npm left out; part of ``make lock``.

npm drops an optional package that the registry in use does not offer, and then `npm ci` refuses the lock as out of step
with its parent. The parent's manifest, whose integrity is locked, names each with an exact version: that is what is
added here. Such an entry has no integrity of its own, until `make lock` runs where the registry offers the package.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parent.parent / "package-lock.json"

_OS = {"darwin": "darwin", "linux": "linux", "win32": "win32"}
_CPU = {"amd64": "x64", "x64": "x64", "arm64": "arm64"}
_LIBC = {"gnu": "glibc", "musl": "musl"}
_EXACT = re.compile(r"\d+\.\d+\.\d+")


class UnknownPlatformError(Exception):
    """A package's name does not say which platform it is for."""


def platform_of(name: str) -> dict[str, list[str]]:
    """The `os`, `cpu` and `libc` that npm matches, read from a name such as ``@scope/edr-linux-arm64-musl``."""
    words = name.rsplit("/", 1)[-1].split("-")
    found = {
        key: [table[word] for word in words if word in table]
        for key, table in (("os", _OS), ("cpu", _CPU), ("libc", _LIBC))
    }
    if len(found["os"]) != 1 or len(found["cpu"]) != 1:
        raise UnknownPlatformError(name)
    return {key: values for key, values in found.items() if values}


def complete(packages: dict[str, Any]) -> list[str]:
    """Add what is missing to the lock's `packages`, in place; returns the names added."""
    added: list[str] = []
    for parent in list(packages.values()):
        for name, version in parent.get("optionalDependencies", {}).items():
            if f"node_modules/{name}" in packages:
                continue
            if not _EXACT.fullmatch(version):
                raise UnknownPlatformError(f"{name}@{version}")
            inherited = {key: parent[key] for key in ("dev", "license", "engines") if key in parent}
            packages[f"node_modules/{name}"] = {"version": version, **inherited, "optional": True, **platform_of(name)}
            added.append(name)
    return added


def main() -> int:
    lock = json.loads(LOCK.read_text())
    added = complete(lock["packages"])
    if added:
        lock["packages"] = dict(sorted(lock["packages"].items()))
        LOCK.write_text(json.dumps(lock, indent=2, ensure_ascii=False) + "\n")
        print("  added without integrity: " + ", ".join(added))
    return 0


if __name__ == "__main__":
    sys.exit(main())
