"""What pages are made of besides their text: scripts, style and pictures, read once and served from memory.

The address of each holds the name of the build, which changes with any of their bytes; so browsers keep them for ever,
and modules import each other by relative paths. Only what was found is served: a path is a key and never part of a
file's name on disk.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MOUNT = "/static"
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One file. ``etag``: of its content, unquoted."""

    content: bytes
    media_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class StaticParts:
    """Every part by its path below the build's address."""

    build: str
    by_path: Mapping[str, Part]

    def address(self, path: str) -> str:
        """Where the part is served. Raises KeyError where there is none."""
        self.by_path[path]
        return f"{MOUNT}/{self.build}/{path}"

    def find(self, asked: str) -> tuple[Part | None, bool]:
        """The part below MOUNT, and whether the address names this very build."""
        build, _, path = asked.partition("/")
        if build == self.build:
            return self.by_path.get(path), True
        return self.by_path.get(asked) or self.by_path.get(path), False


def read_parts(folders: Mapping[str, Path]) -> StaticParts:
    """The parts of all folders. ``folders``: prefix ("" or "patient/") → folder."""
    found = {}
    for prefix, folder in folders.items():
        for path in sorted(folder.rglob("*")):
            if path.suffix in _MEDIA_TYPES:
                content = path.read_bytes()
                tag = hashlib.sha256(content).hexdigest()[:32]
                found[prefix + path.relative_to(folder).as_posix()] = Part(content, _MEDIA_TYPES[path.suffix], tag)
    whole = hashlib.sha256("".join(f"{path}\0{part.etag}\n" for path, part in sorted(found.items())).encode())
    return StaticParts(whole.hexdigest()[:12], found)
