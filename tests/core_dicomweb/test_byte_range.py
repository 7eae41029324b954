"""Range and If-Range against a body (RFC 9110 §13.1.5, §14), as a table and against a model."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.http.byte_range import Span, UnsatisfiableError, asked_span

LENGTH: Final = 1000
TAG: Final = b'"a"'

# (Range headers, If-Range headers, the body's tag, what is sent: None the whole, () 416)
RANGES: Final = [
    ([], [], TAG, None),
    ([b"bytes=0-0"], [], TAG, (0, 1)),
    ([b"bytes=0-499"], [], None, (0, 500)),
    ([b"bytes=500-"], [], None, (500, 1000)),
    ([b"bytes=-1"], [], None, (999, 1000)),
    ([b"bytes=-5000"], [], None, (0, 1000)),
    ([b"bytes=999-99999999999999999"], [], None, (999, 1000)),
    ([b" Bytes = 1-2 "], [], None, (1, 3)),
    ([b"bytes=1000-"], [], None, ()),
    ([b"bytes=5000-6000"], [], None, ()),
    ([b"bytes=-0"], [], None, ()),
    # What is no range of this kind asks for nothing in particular
    ([b"bytes=-"], [], None, None),
    ([b"bytes=5-4"], [], None, None),
    ([b"bytes=x-4"], [], None, None),
    ([b"bytes=--4"], [], None, None),
    ([b"bytes=0-1,4-5"], [], None, None),
    ([b"frames=0-1"], [], None, None),
    ([b"bytes=0-1", b"bytes=0-1"], [], None, None),
    ([b"bytes=0-" + b"9" * 40], [], None, None),
    ([b"bytes=\xb2-3"], [], None, None),
    # A part only of the body that the client has the other part of
    ([b"bytes=5-6"], [b'"a"'], TAG, (5, 7)),
    ([b"bytes=5-6"], [b'"b"'], TAG, None),
    ([b"bytes=5-6"], [b'W/"a"'], TAG, None),
    ([b"bytes=5-6"], [b"Sun, 22 Nov 2026 10:00:00 GMT"], TAG, None),
    ([b"bytes=5-6"], [b'"a"', b'"a"'], TAG, None),
    ([b"bytes=5-6"], [b'"a"'], None, None),
    ([b"bytes=5-6"], [b""], None, None),
    ([b"bytes=5000-"], [b'"b"'], TAG, None),
    ([b"bytes=5000-"], [b'"a"'], TAG, ()),
]


@pytest.mark.parametrize(("ranges", "conditions", "etag", "expected"), RANGES)
def test_a_range_is_satisfied_ignored_or_refused(
    ranges: list[bytes], conditions: list[bytes], etag: bytes | None, expected: tuple[int, ...] | None
) -> None:
    if expected == ():
        with pytest.raises(UnsatisfiableError):
            asked_span(ranges, conditions, LENGTH, etag)
        return
    span = asked_span(ranges, conditions, LENGTH, etag)
    assert span == (None if expected is None else Span(*expected))


def test_a_span_names_itself_by_its_first_and_last_byte() -> None:
    assert Span(0, 500).content_range(1000) == b"bytes 0-499/1000"
    assert Span(999, 1000).length == 1


def test_nothing_can_be_asked_of_an_empty_body() -> None:
    for value in (b"bytes=0-", b"bytes=-1", b"bytes=0-0"):
        with pytest.raises(UnsatisfiableError):
            asked_span([value], [], 0, None)


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_first_and_last_cut_as_a_slice_does(length: int, first: int, last: int) -> None:
    body = bytes(range(length))
    if last < first or first >= length:
        return
    span = asked_span([b"bytes=%d-%d" % (first, last)], [], length, None)
    assert span is not None
    assert body[span.start : span.end] == body[first : last + 1]


@given(st.binary(max_size=30))
def test_any_range_is_answered_within_the_body(value: bytes) -> None:
    try:
        span = asked_span([b"bytes=" + value], [], LENGTH, None)
    except UnsatisfiableError:
        return
    assert span is None or 0 <= span.start < span.end <= LENGTH
