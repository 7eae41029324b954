"""The lock files hold all that pyproject.toml and package.json ask for, and no address."""

import json
import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.needs import PROJECT

PYTHON_LOCKS = ("requirements.txt", "requirements-dev.txt")
ENTRY = re.compile(
    r"^([\w.-]+)(?:\[[^]]*])?==(\S+)(?: ;[^\\\n]*)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", re.MULTILINE
)


def pyproject() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def locked(name: str) -> dict[str, set[str]]:
    """Canonical package name → versions (one for each marker)."""
    found: dict[str, set[str]] = {}
    for package, version in ENTRY.findall((PROJECT / name).read_text()):
        found.setdefault(canonicalize_name(package), set()).add(version)
    return found


def npm_lock() -> dict[str, Any]:
    packages: dict[str, Any] = json.loads((PROJECT / "package-lock.json").read_text())["packages"]
    return packages


@pytest.mark.parametrize("name", PYTHON_LOCKS)
def test_every_line_of_a_python_lock_is_an_exact_version_with_hashes(name):
    text = (PROJECT / name).read_text()
    rest = [line for line in ENTRY.sub("", text).splitlines() if line and not line.lstrip().startswith("#")]
    assert rest == []
    assert len(locked(name)) > 50


@pytest.mark.parametrize("name", [*PYTHON_LOCKS, "package-lock.json"])
def test_a_lock_names_no_download_address(name):
    text = (PROJECT / name).read_text()
    assert '"resolved"' not in text
    assert "--index-url" not in text
    assert "--extra-index-url" not in text
    assert "--find-links" not in text


@pytest.mark.parametrize(
    ("name", "groups"), [("requirements.txt", ["build"]), ("requirements-dev.txt", ["build", "dev"])]
)
def test_a_python_lock_satisfies_pyproject(name, groups):
    project = pyproject()
    wanted = [
        *project["project"]["dependencies"],
        *(entry for group in groups for entry in project["dependency-groups"][group]),
    ]
    versions = locked(name)
    for requirement in map(Requirement, wanted):
        found = versions.get(canonicalize_name(requirement.name), set())
        assert found, f"{requirement} is not locked: make lock"
        assert all(requirement.specifier.contains(version) for version in found), (
            f"{requirement} has {found}: make lock"
        )


def test_the_build_backend_is_locked():
    (backend,) = map(Requirement, pyproject()["build-system"]["requires"])
    assert all(
        backend.specifier.contains(version) for version in locked("requirements.txt")[canonicalize_name(backend.name)]
    )


def test_the_development_lock_holds_the_whole_runtime_lock():
    development = locked("requirements-dev.txt")
    assert {name: development.get(name) for name in locked("requirements.txt")} == locked("requirements.txt")


def test_package_json_pins_exact_versions_that_the_npm_lock_holds():
    package = json.loads((PROJECT / "package.json").read_text())
    packages = npm_lock()
    for name, version in {**package.get("dependencies", {}), **package["devDependencies"]}.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+(-[\w.]+)?", version), f"{name}: {version} is a range"
        assert packages[f"node_modules/{name}"]["version"] == version


def test_the_npm_lock_holds_the_optional_packages_of_every_platform():
    packages = npm_lock()
    for path, package in packages.items():
        for name in package.get("optionalDependencies", {}):
            assert f"{path}/node_modules/{name}" in packages or f"node_modules/{name}" in packages, f"{name}: make lock"


def test_npm_packages_carry_their_integrity():
    """Except for those that tools/complete_npm_lock.py adds for platforms the registry in use did not offer."""
    bare = {path for path, package in npm_lock().items() if path and "integrity" not in package}
    assert all(npm_lock()[path]["optional"] and npm_lock()[path]["os"] for path in bare)


def test_siwe_imports_with_the_locked_abnf():
    import siwe  # noqa: PLC0415  the import is the test: abnf 2.9 breaks it

    assert siwe.SiweMessage.__name__ == "SiweMessage"
