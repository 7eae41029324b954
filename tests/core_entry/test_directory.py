"""The directory's hash: each field counts, and where one ends and the next begins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.directory import entry_hash

_ENTRIES = st.tuples(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))


@given(_ENTRIES, _ENTRIES)
def test_two_entries_have_two_hashes(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (entry_hash(bytes(32), *one) == entry_hash(bytes(32), *other)) == (one == other)


def test_text_cannot_move_between_fields() -> None:
    salt = bytes(32)
    assert entry_hash(salt, "ab", "c", "") != entry_hash(salt, "a", "bc", "")
    assert entry_hash(salt, "a", "b", "c") != entry_hash(b"\1" * 32, "a", "b", "c")


def test_a_salt_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        entry_hash(b"", "a", "b", "c")
