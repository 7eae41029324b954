"""What browsers get from npm packages is what was published."""

from tests.support.needs import PROJECT
from tools.vendored import FILES, HASHES, PACKAGE


def test_the_hashes_are_those_of_the_package() -> None:
    assert {path.name for path in HASHES.iterdir()} == set(FILES)
    for name in FILES:
        assert (HASHES / name).read_bytes() == (PACKAGE / name).read_bytes(), "`make vendored` copies them"
    assert "MIT" in (PROJECT / HASHES / "LICENSE").read_text()
