"""JSON with one meaning only (RFC 7493): what two readers could read differently is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.http.problem import Problem
from app.core.http.strict_json import MAX_BYTES, MAX_DEPTH, parse

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_DOCUMENTS = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


@given(_DOCUMENTS)
def test_whatever_json_writes_is_read_back(document: object) -> None:
    assert parse(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":1,"\\u0061":2}',  # the same key in another spelling
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e400]",
        b'["\\ud800"]',
        b'{"\\udfff":1}',
        b"\xff",
        b"",
        b"{",
        b"[1] 2",
        b'["\x01"]',
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b"[" * 20_000,
        b"[" + b"9" * 5000 + b"]",  # more digits than Python converts
    ],
)
def test_what_could_be_read_two_ways_is_refused(body: bytes) -> None:
    refused = parse(body)
    assert isinstance(refused, Problem)
    assert (refused.name, refused.status) == ("invalid-json", 400)


def test_nesting_is_counted_outside_strings_only() -> None:
    text = "[" * 100 + '\\"' + "]" * 100
    assert parse(json.dumps({"a": text}).encode()) == {"a": text}
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert not isinstance(parse(deepest), Problem)


def test_the_size_limit_is_exact() -> None:
    fits = b'"' + b"a" * (MAX_BYTES - 2) + b'"'
    assert parse(fits) == "a" * (MAX_BYTES - 2)
    refused = parse(fits + b" ")
    assert isinstance(refused, Problem)
    assert refused.status == 413
