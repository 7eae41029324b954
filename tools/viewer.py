"""Fetches the OHIF viewer for the gateway to serve at ``/viewer``: ``make viewer``. An extra; nothing else needs it.

One npm package in one exact version, whose archive must have the locked hash; none of its dependencies, no script of
its own is run. What a browser needs of it is unpacked beside the project and told two things that its own build takes
as options: that it lives below ``/viewer/`` and not at the root of a host, and where its settings are. Every other byte
stays as published.

The download is kept until everything is in place, so that an interrupted run is taken up; the folder appears whole or
not at all. A second run does nothing.
"""

import argparse
import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from tools.bootstrap import BIN, ROOT, InstallError, Progress, alone, environment, say

PACKAGE = "@ohif/app"
VERSION = "3.13.2"
INTEGRITY = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
ARCHIVE_BYTES = 49_906_651
MOUNT = "/viewer/"
MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1

_INSIDE = "package/dist/"
# The runtime of a segmentation model that is fetched from elsewhere (136 MB), debugging maps, and what belongs to other
# ways of serving: other settings, a service worker that loads from a CDN, a page for OIDC that does.
_LEFT_OUT = re.compile(
    r"(ort|customizations)/|.*\.map$|_headers$|_redirects$|serve\.json$|(manifest|app-config|google)\b.*"
    r"|(init-service-worker|sw)\.js$|silent-refresh\.html$|(oidc-client|es6-shim|polyfill)\.min\.js$"
)
_SERVED = (".js", ".css", ".wasm", ".woff2", ".png", ".ico", ".svg")
_COMPRESSED = (".js", ".css", ".wasm", ".svg")
_LARGEST_FILE_BYTES = 64 << 20
_PUBLIC_PATH = '__webpack_require__.p = "/"'
_LOOK_S = 0.25


def build_name() -> str:
    """Names what comes out: a folder in the address, so that browsers may keep each file for ever. It changes with
    what this file does to the package.
    """
    made_by = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    return f"{VERSION}-{made_by[:12]}"


def is_installed(folder: Path) -> bool:
    manifest = folder / MANIFEST
    return manifest.is_file() and json.loads(manifest.read_text())["build"] == build_name()


def fetch(into: Path) -> Path:
    """The package's archive, downloaded by npm unless a whole one is there. Raises InstallError."""
    archive = into / f"{PACKAGE.lstrip('@').replace('/', '-')}-{VERSION}.tgz"
    if archive.is_file() and _integrity(archive) == INTEGRITY:
        return archive
    archive.unlink(missing_ok=True)
    into.mkdir(parents=True, exist_ok=True)
    cache = into / "npm-cache"
    command = [BIN / "npm", "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--pack-destination", into]
    command += ["--cache", cache, "--silent"]
    total = ARCHIVE_BYTES / 1e6
    with (
        Progress(f"downloading {PACKAGE} {VERSION} ({total:.0f} MB)") as progress,
        subprocess.Popen(
            [str(part) for part in command],
            cwd=into,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        while process.poll() is None:
            progress.detail = f"{min(_bytes_below(cache) / 1e6, total):.0f} of {total:.0f} MB"
            time.sleep(_LOOK_S)
        assert process.stdout is not None
        said = process.stdout.read().strip()
        if process.returncode != 0:
            raise InstallError(
                f"{said}\n\nThe viewer could not be downloaded: check the network or your npm settings (`npm config "
                "list`), then run `make viewer` again."
            )
    found = _integrity(archive) if archive.is_file() else "nothing"
    if found != INTEGRITY:
        archive.unlink(missing_ok=True)
        raise InstallError(
            f"What npm brought is not {PACKAGE} {VERSION} as it was locked.\n  expected {INTEGRITY}\n  got      {found}"
            "\nNothing of it was kept. A registry that repacks packages cannot be used for this one."
        )
    return archive


def _integrity(path: Path) -> str:
    with path.open("rb") as file:
        return "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # npm moves what is finished
            continue
    return total


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file that is served, and of the page. Raises InstallError on a name that leads away."""
    with tarfile.open(archive, "r:gz") as opened:
        for member in opened:
            name = member.name.removeprefix(_INSIDE)
            if not member.isfile() or name == member.name or _LEFT_OUT.match(name):
                continue
            if not name.endswith(_SERVED) and name != "index.html":
                continue
            if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*", name):
                raise InstallError(f"the package holds a file with an odd name: {name!r}")
            if member.size > _LARGEST_FILE_BYTES:
                raise InstallError(f"the package holds a file of {member.size} bytes: {name}")
            content = opened.extractfile(member)
            assert content is not None
            yield name, content.read()


def placed(name: str, content: bytes, base: str) -> bytes:
    """A script or style sheet that finds its neighbours below ``base``; anything else as it is."""
    if name.endswith(".js"):
        return content.replace(_PUBLIC_PATH.encode(), _PUBLIC_PATH.replace('"/"', f'"{base}"').encode())
    if name.endswith(".css"):
        return re.sub(rb"url\(/(?!/)", f"url({base}".encode(), content)
    return content


def entry_points(page: str) -> dict[str, str]:
    """The script, the style sheet and the icon that the published page loads. Raises InstallError when there is not
    one of each.
    """
    found = {
        "script": re.findall(r'<script defer src="/(app\.bundle\.[0-9a-f]+\.js)"></script>', page),
        "style": re.findall(r'<link href="/(app\.bundle\.css)" rel="stylesheet">', page),
        "icon": re.findall(r'<link rel="icon" type="image/png" sizes="32x32" href="/([^"]+)">', page),
    }
    for what, names in found.items():
        if len(names) != 1:
            raise InstallError(f"the viewer's page names {len(names)} of what should be one {what}")
    return {what: names[0] for what, names in found.items()}


def unpack(archive: Path, folder: Path) -> None:
    """Write the viewer into ``folder``, which is not there yet; the manifest comes last. Raises InstallError."""
    build = build_name()
    base = f"{MOUNT}{build}/"
    files: dict[str, dict[str, object]] = {}
    entry: dict[str, str] = {}
    moved = 0
    with Progress("unpacking the viewer") as progress:
        for name, content in members(archive):
            if name == "index.html":
                entry = entry_points(content.decode())
                continue
            progress.detail = name
            told = placed(name, content, base)
            moved += told != content
            path = folder / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(told)
            if name.endswith(_COMPRESSED):
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(told, 6, mtime=0))
            files[name] = {"sha256": hashlib.sha256(told).hexdigest(), "gzip": name.endswith(_COMPRESSED)}
    if not entry or not moved or not set(entry.values()) <= files.keys():
        raise InstallError("the package does not look like the OHIF viewer")
    manifest = {"format": MANIFEST_FORMAT, "package": f"{PACKAGE}@{VERSION}", "integrity": INTEGRITY, "build": build}
    text = json.dumps({**manifest, **entry, "files": dict(sorted(files.items()))}, indent=1)
    (folder / MANIFEST).write_text(text + "\n")


def install(folder: Path) -> None:
    """Bring ``folder`` to this version of the viewer. Raises InstallError or OSError."""
    if is_installed(folder):
        say(f"the viewer ({PACKAGE} {VERSION}) is in {folder}")
        return
    partial = folder.with_name(folder.name + ".partial")
    archive = fetch(partial)
    fresh = partial / "fresh"
    shutil.rmtree(fresh, ignore_errors=True)
    unpack(archive, fresh)
    if folder.exists():
        shutil.rmtree(partial / "old", ignore_errors=True)
        folder.rename(partial / "old")
    fresh.rename(folder)
    shutil.rmtree(partial)
    say(f"the viewer is in {folder}; a running gateway serves it at /viewer from now on")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make viewer", description="Fetch the OHIF viewer.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "viewer", help="where to (CONSENTRY_VIEWER_DIR)")
    folder: Path = parser.parse_args(arguments).folder
    try:
        with alone():
            install(folder.absolute())
    except (InstallError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the next run takes it up again", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
