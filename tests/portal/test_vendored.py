"""What browsers get from npm packages is what was published."""

import pytest

from tools.vendored import PACKAGES, VENDOR, VENDORED


def test_nothing_else_is_there() -> None:
    assert {path.name for path in VENDOR.iterdir()} == set(VENDORED)


@pytest.mark.parametrize("folder", VENDORED)
def test_the_files_are_those_of_the_package(folder: str) -> None:
    package, files = VENDORED[folder]
    assert {path.name for path in (VENDOR / folder).iterdir()} == set(files)
    for name, published in files.items():
        ours, theirs = (VENDOR / folder / name).read_bytes(), (PACKAGES / package / published).read_bytes()
        assert ours == theirs, "`make vendored` copies them"
    assert "MIT" in (VENDOR / folder / "LICENSE").read_text()
