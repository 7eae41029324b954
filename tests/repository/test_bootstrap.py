"""tools/bootstrap.py installs what is missing, once, and recovers. The programs it starts are played here."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.needs import PROJECT


class Project:
    """A project in a folder with a space in its name, whose installs are recorded instead of done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.steps: list[str] = []
        self.failing: dict[str, BaseException] = {}
        (folder / "tools").mkdir(parents=True)
        shutil.copy(PROJECT / "tools" / "bootstrap.py", folder / "tools")
        self.write("requirements.txt", "alpha==1 \\\n    --hash=sha256:00\nbeta==1 \\\n    --hash=sha256:00\n")
        self.write(
            "requirements-dev.txt",
            "alpha==1 \\\n    --hash=sha256:00\nbeta==1 \\\n    --hash=sha256:00\ntester==1 \\\n",
        )
        for name in ("pyproject.toml", "package.json", "package-lock.json"):
            self.write(name, "{}")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def bootstrap(self, mode: str) -> tuple[int, list[str]]:
        """One run of the tool: its exit status and the steps that it took."""
        spec = importlib.util.spec_from_file_location("bootstrap", self.folder / "tools" / "bootstrap.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.steps = []
        setattr(module, "run", self._player(module))  # noqa: B010  mypy knows no attribute of a loaded file
        return module.main([mode]), self.steps

    def _player(self, module: ModuleType) -> Callable[..., None]:
        def run(what: str, command: list[Any], watch: Callable[[str], str | None], hint: str) -> None:
            self.steps.append(what)
            if what == "making .venv":
                for name in ("python", "pip"):
                    (module.BIN / name).parent.mkdir(parents=True, exist_ok=True)
                    (module.BIN / name).touch()
            if "npm" in what:
                (self.folder / "node_modules").mkdir(exist_ok=True)
            if what.startswith("installing the Python packages"):
                watch("Collecting alpha==1 (from -r somewhere)\n")
                if what not in self.failing:
                    watch("Installing collected packages: alpha\n")
            if error := self.failing.pop(what, None):
                if isinstance(error, KeyboardInterrupt):
                    watch("Installing collected packages: alpha\n")
                raise module.InstallError("no network") if isinstance(error, OSError) else error

        return run


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "a folder")


VENV = "making .venv"
RUNTIME = "installing the Python packages of requirements.txt"
DEVELOP = "installing the Python packages of requirements-dev.txt"
COMMAND = "installing the consentry command"
NPM = "installing the npm packages"
NPM_DEVELOP = "installing the npm packages for development"


def test_the_first_run_installs_and_the_second_does_nothing(project):
    assert project.bootstrap("run") == (0, [VENV, RUNTIME, COMMAND, NPM])
    assert project.bootstrap("run") == (0, [])


def test_development_adds_to_the_runtime_and_contains_it(project):
    project.bootstrap("run")
    assert project.bootstrap("develop") == (0, [DEVELOP, NPM_DEVELOP])
    assert project.bootstrap("run") == (0, [])


def test_only_what_a_changed_lock_touches_is_installed_again(project):
    project.bootstrap("run")
    project.write("package-lock.json", "{ }")
    assert project.bootstrap("run") == (0, [NPM])
    project.write("pyproject.toml", "[project]")
    assert project.bootstrap("run") == (0, [COMMAND])
    project.write("requirements.txt", "alpha==2 \\\n    --hash=sha256:00\nbeta==1 \\\n    --hash=sha256:00\n")
    assert project.bootstrap("run") == (0, [RUNTIME])


def test_a_package_that_left_the_locks_is_removed(project):
    project.bootstrap("run")
    project.write("requirements.txt", "alpha==1 \\\n    --hash=sha256:00\n")
    project.write("requirements-dev.txt", "alpha==1 \\\n    --hash=sha256:00\ntester==1 \\\n")
    assert project.bootstrap("run") == (0, [RUNTIME, "removing beta"])


@pytest.mark.parametrize("step", [VENV, RUNTIME, COMMAND, NPM])
def test_a_step_that_failed_is_taken_again(project, step, capsys):
    project.failing[step] = OSError()
    status, steps = project.bootstrap("run")
    assert (status, steps[-1]) == (1, step)
    assert "no network" in capsys.readouterr().err
    status, steps = project.bootstrap("run")
    assert (status, steps[0]) == (0, step)
    assert project.bootstrap("run") == (0, [])


def test_an_install_that_was_stopped_while_writing_starts_from_an_empty_environment(project):
    project.failing[RUNTIME] = KeyboardInterrupt()
    assert project.bootstrap("run")[0] == 130
    assert project.bootstrap("run") == (0, [VENV, RUNTIME, COMMAND, NPM])


def test_an_environment_whose_python_is_gone_is_made_again(project):
    project.bootstrap("run")
    (project.folder / ".venv" / "bin" / "python").unlink()
    assert project.bootstrap("run") == (0, [VENV, RUNTIME, COMMAND])


def test_an_environment_made_by_hand_is_taken_as_it_is(project):
    programs = project.folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "pip"):
        (programs / name).touch()
    assert project.bootstrap("run") == (0, [RUNTIME, COMMAND, NPM])


def test_a_moved_folder_gets_a_new_environment(project):
    project.bootstrap("run")
    moved = project.folder.with_name("another folder")
    project.folder.rename(moved)
    project.folder = moved
    assert project.bootstrap("run") == (0, [VENV, RUNTIME, COMMAND, NPM])


def test_a_python_without_ensurepip_is_told_what_to_install(project, monkeypatch, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ensurepip" else real(name))
    assert project.bootstrap("run") == (1, [])
    assert "-venv" in capsys.readouterr().err


def test_an_unknown_mode_is_a_usage_error(project):
    assert project.bootstrap("everything") == (2, [])
