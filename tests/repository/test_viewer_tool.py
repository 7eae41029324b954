"""tools/viewer.py: what it takes from a package, what it refuses, and how it recovers. npm is played."""

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from tools import viewer
from tools.bootstrap import InstallError

PAGE = """<script src="/app-config.js"></script><script defer src="/app.bundle.00ff.js"></script>
<link href="/app.bundle.css" rel="stylesheet"><link rel="icon" type="image/png" sizes="32x32" href="/assets/f.png">"""
FILES = {
    "index.html": PAGE,
    "app.bundle.00ff.js": '__webpack_require__.p = "/";',
    "worker.00ff.js": "untouched",
    "app.bundle.css": "a{src:url(/x.woff2)} b{src:url(//keep/y)}",
    "x.woff2": "font",
    "assets/f.png": "icon",
    "app.bundle.00ff.js.map": "map",
    "ort/ort.wasm": "models",
    "app-config.js": "theirs",
    "sw.js": "worker from a CDN",
    "silent-refresh.html": "page from a CDN",
}


def package(folder: Path, files: dict[str, str]) -> Path:
    path = folder / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in {
            **{f"package/dist/{name}": text for name, text in files.items()},
            "package/x.js": "",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_what_is_needed_is_unpacked_and_placed(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    viewer.unpack(package(tmp_path, FILES), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {
        "app.bundle.00ff.js",
        "worker.00ff.js",
        "app.bundle.css",
        "x.woff2",
        "assets/f.png",
    }
    assert (manifest["script"], manifest["style"], manifest["icon"]) == (
        "app.bundle.00ff.js",
        "app.bundle.css",
        "assets/f.png",
    )
    base = f"/viewer/{manifest['build']}/"
    files = folder / "files"
    assert (files / "app.bundle.00ff.js").read_text() == f'__webpack_require__.p = "{base}";'
    assert (files / "app.bundle.css").read_text() == f"a{{src:url({base}x.woff2)}} b{{src:url(//keep/y)}}"
    assert (files / "worker.00ff.js").read_text() == "untouched"
    assert viewer.is_installed(folder)


@pytest.mark.parametrize("name", ["../out.js", "a/../../out.js", "/out.js", "a\\b.js", ".hidden.js"])
def test_a_name_that_leads_away_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InstallError, match="odd name"):
        viewer.unpack(package(tmp_path, FILES | {name: "x"}), tmp_path / "viewer")
    assert not (tmp_path / "viewer" / "manifest.json").exists()


@pytest.mark.parametrize("missing", ["index.html", "app.bundle.css", "assets/f.png"])
def test_another_package_is_refused(tmp_path: Path, missing: str) -> None:
    with pytest.raises(InstallError):
        viewer.unpack(package(tmp_path, {k: v for k, v in FILES.items() if k != missing}), tmp_path / "viewer")


class Npm:
    """An npm that puts an archive where it is told, or fails."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        archive = package(folder, FILES)
        digest = hashlib.sha512(archive.read_bytes()).digest()
        monkeypatch.setattr(viewer, "INTEGRITY", "sha512-" + base64.b64encode(digest).decode())
        monkeypatch.setattr(viewer, "BIN", folder)
        self.says(f'cp "{archive}" "$5/ohif-app-{viewer.VERSION}.tgz"')

    def says(self, script: str) -> None:
        npm = self.folder / "npm"
        npm.write_text(f'#!/bin/sh\necho run >> "{self.runs}"\n{script}\n')
        npm.chmod(0o755)

    @property
    def count(self) -> int:
        return self.runs.read_text().count("run") if self.runs.exists() else 0


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    return Npm(tmp_path, monkeypatch)


def test_the_first_run_fetches_and_the_second_does_nothing(npm: Npm, tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    assert viewer.main([str(folder)]) == 0
    assert viewer.is_installed(folder)
    assert viewer.main([str(folder)]) == 0
    assert npm.count == 1
    assert not folder.with_name("viewer.partial").exists()


def test_a_download_that_failed_says_why_and_is_taken_again(
    npm: Npm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = (tmp_path / "npm").read_text()
    npm.says("echo no network; exit 1")
    assert viewer.main([str(tmp_path / "viewer")]) == 1
    assert "no network" in (said := capsys.readouterr().err)
    assert "make viewer" in said
    (tmp_path / "npm").write_text(good)
    assert viewer.main([str(tmp_path / "viewer")]) == 0


def test_an_archive_that_was_not_locked_is_refused_and_not_kept(
    npm: Npm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    npm.says(f'echo other > "$5/ohif-app-{viewer.VERSION}.tgz"')
    assert viewer.main([str(tmp_path / "viewer")]) == 1
    assert "not @ohif/app" in capsys.readouterr().err
    assert not (tmp_path / "viewer").exists()
    assert not list(tmp_path.glob("viewer.partial/*.tgz"))


def test_what_was_downloaded_before_an_interruption_is_used(
    npm: Npm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_archive: Path, _folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as once:
        once.setattr(viewer, "unpack", interrupted)
        assert viewer.main([str(tmp_path / "viewer")]) == 130
    assert viewer.main([str(tmp_path / "viewer")]) == 0
    assert npm.count == 1


def test_another_version_takes_the_place_of_the_old(npm: Npm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "viewer"
    viewer.main([str(folder)])
    monkeypatch.setattr(viewer, "build_name", lambda: "9.9.9-new")
    assert not viewer.is_installed(folder)
    assert viewer.main([str(folder)]) == 0
    assert json.loads((folder / "manifest.json").read_text())["build"] == "9.9.9-new"
