"""The files of the viewer that ``make viewer`` brought, as its manifest lists them.

Only a listed name is served: a path is a key, never part of a file's name on disk, so nothing can lead outside.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MANIFEST = "manifest.json"
_FORMAT = 1
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class ViewerFile:
    """One file. ``compressed``: the same in gzip, None where that gains nothing. ``etag``: of its content, unquoted."""

    path: Path
    compressed: Path | None
    media_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class ViewerBuild:
    """The viewer as it was unpacked. ``name`` changes with any of its bytes; ``script``, ``style`` and ``icon`` are
    what its page loads.
    """

    name: str
    script: str
    style: str
    icon: str
    files: Mapping[str, ViewerFile]


class ViewerFolder:
    """The folder that ``make viewer`` fills, read again when its manifest changes: nothing need be restarted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_at: int | None = None
        self._build: ViewerBuild | None = None

    def build(self) -> ViewerBuild | None:
        """What is there; None when nothing is, or what another version of Consentry unpacked."""
        manifest = self._folder / _MANIFEST
        try:
            changed_at = manifest.stat().st_mtime_ns
            if changed_at != self._read_at:
                self._build = _build(self._folder / "files", json.loads(manifest.read_text(encoding="utf-8")))
                self._read_at = changed_at
        except (FileNotFoundError, NotADirectoryError):
            self._build, self._read_at = None, None
        return self._build


def _build(folder: Path, manifest: dict[str, Any]) -> ViewerBuild | None:
    if manifest.get("format") != _FORMAT:
        return None
    files = {
        name: ViewerFile(
            path=folder / name,
            compressed=folder / f"{name}.gz" if listed["gzip"] else None,
            media_type=_MEDIA_TYPES[Path(name).suffix],
            etag=listed["sha256"][:32],
        )
        for name, listed in manifest["files"].items()
    }
    return ViewerBuild(manifest["build"], manifest["script"], manifest["style"], manifest["icon"], files)
