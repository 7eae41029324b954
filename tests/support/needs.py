"""What some tests need beyond the locked packages, and whether this machine has it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.orthanc import orthanc_binary
from tools.viewer import is_installed

PROJECT = Path(__file__).resolve().parents[2]
CORPUS = PROJECT.parent / "shared" / "data" / "dicom"

# Servers live where a user's PATH often does not look.
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin")
_POSTGRES_FOLDERS = ("/usr/lib/postgresql", "/opt/homebrew/opt")


def find_program(name: str) -> Path | None:
    """The path of a program on the PATH or in the folders where servers are installed."""
    found = shutil.which(name) or shutil.which(name, path=":".join(_SYSTEM_FOLDERS))
    return Path(found) if found else None


def postgres_folder() -> Path | None:
    """The folder with `initdb` and `postgres` of the newest PostgreSQL, which Debian keeps off the PATH."""
    if initdb := find_program("initdb"):
        return initdb.parent
    found = [initdb.parent for root in _POSTGRES_FOLDERS for initdb in Path(root).glob("*/bin/initdb")]
    return max(found, key=lambda folder: (len(str(folder)), folder), default=None)


def require_program(name: str) -> Path:
    """The path of a program that a marker of the test has already asked for."""
    found = find_program(name)
    if found is None:
        raise LookupError(f"{name} is not installed; mark the test with what it needs")
    return found


def corpus_folder() -> Path | None:
    """The folder of sample DICOM files, or None in a clone alone."""
    return CORPUS if (CORPUS / "MANIFEST.tsv").is_file() else None


def viewer_folder() -> Path | None:
    """The OHIF viewer as `make viewer` unpacks it today, or None where it was not fetched."""
    folder = PROJECT / "viewer"
    return folder if is_installed(folder) else None


@dataclass(frozen=True, slots=True)
class Need:
    """Something a marker stands for: how to look for it and how to get it."""

    what: str
    find: Callable[[], Path | None]
    remedy: str


NEEDS: dict[str, Need] = {
    "orthanc": Need(
        "Orthanc with its DICOMweb and GDCM plugins",
        orthanc_binary,
        "apt-get install --no-install-recommends orthanc orthanc-dicomweb orthanc-gdcm dcmtk",
    ),
    "postgres": Need("PostgreSQL", postgres_folder, "apt-get install --no-install-recommends postgresql"),
    "nginx": Need("nginx", lambda: find_program("nginx"), "apt-get install --no-install-recommends nginx-light"),
    "strace": Need("strace", lambda: find_program("strace"), "apt-get install --no-install-recommends strace"),
    "browser": Need("Chromium", lambda: find_program("chromium"), "apt-get install --no-install-recommends chromium"),
    "viewer": Need("the OHIF viewer", viewer_folder, "make viewer"),
    "corpus": Need(
        "the sample DICOM files", corpus_folder, "an extra of the project's own checks; a clone alone passes without"
    ),
}
