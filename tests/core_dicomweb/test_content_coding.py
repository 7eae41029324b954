"""Accept-Encoding against what is made here (RFC 9110 §12.5.3)."""

import zlib
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.http.content_coding import CODINGS, accepted_coding

CHOSEN: Final = [
    ([], None),
    ([b""], None),
    ([b"gzip"], "gzip"),
    ([b"GZIP"], "gzip"),
    ([b"x-gzip"], "gzip"),
    ([b"deflate"], "deflate"),
    ([b"gzip, deflate, br, zstd"], "gzip"),  # browsers
    ([b"gzip, deflate"], "gzip"),  # dicomweb-client
    ([b"br"], None),
    ([b"identity"], None),
    ([b"*"], "gzip"),
    ([b"*;q=0"], None),
    ([b"gzip;q=0, *"], "deflate"),
    ([b"gzip;q=0"], None),
    ([b"gzip;q=0.5, deflate;q=0.9"], "deflate"),
    ([b"gzip;q=0.5, identity;q=0.9"], None),
    ([b"gzip;q=1.0, identity; q=0.5, *;q=0"], "gzip"),
    ([b"identity;q=0"], None),
    ([b"gzip", b"deflate;q=0.1"], "gzip"),
    ([b", gzip ,"], "gzip"),
    # Malformed, or longer than anybody needs: as it stands
    ([b"gzip;q=2"], None),
    ([b"gzip;q=x"], None),
    ([b"gzip deflate"], None),
    ([b"gzip;level=9"], None),
    ([b"\xff"], None),
    ([b"gzip," * 300], None),
]


@pytest.mark.parametrize(("values", "coding"), CHOSEN)
def test_the_coding_that_is_taken_most(values: list[bytes], coding: str | None) -> None:
    assert accepted_coding(values) == coding


@given(st.lists(st.binary(max_size=20) | st.sampled_from([b"gzip", b"deflate;q=0.3", b"*;q=0"]), max_size=4))
def test_any_header_is_read_without_an_error(values: list[bytes]) -> None:
    assert accepted_coding(values) in (None, *CODINGS)


def test_the_names_are_those_of_what_is_made() -> None:
    """What `app.gateway.compressing` writes for each name is what a stock reader of that name takes."""
    for bits in (31, 15):
        made = zlib.compressobj(4, zlib.DEFLATED, bits)
        assert zlib.decompress(made.compress(b"x") + made.flush(), bits) == b"x"
