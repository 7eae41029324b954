"""Which token a request carries: one, or a problem."""

import pytest

from app.core.http.credentials import SESSION_COOKIE, token_of
from app.core.http.problem import Problem

_COOKIE = SESSION_COOKIE.encode()
_A, _C = b"authorization", b"cookie"


@pytest.mark.parametrize(
    ("headers", "cookie", "expected"),
    [
        ([(_A, b"Bearer abc-_1")], False, "abc-_1"),
        ([(_A, b"bearer abc")], False, "abc"),
        ([(b"accept", b"*/*"), (_A, b"Bearer abc")], False, "abc"),
        ([(_C, _COOKIE + b"=abc")], True, "abc"),
        ([(_C, b"x=1; " + _COOKIE + b"=abc; y=2")], True, "abc"),
        ([(_A, b"Bearer abc"), (_C, _COOKIE + b"=def")], True, "abc"),
        ([], False, "unauthenticated"),
        ([], True, "unauthenticated"),
        ([(_C, _COOKIE + b"=abc")], False, "unauthenticated"),
        ([(_C, b"other=abc")], True, "unauthenticated"),
        ([(_A, b"Basic abc")], False, "unauthenticated"),
        # A cookie never stands in for an Authorization header that is no token.
        ([(_A, b"Basic abc"), (_C, _COOKIE + b"=def")], True, "unauthenticated"),
        ([(_A, b"Bearer")], False, "unauthenticated"),
        ([(_A, b"Bearer ")], False, "unauthenticated"),
        ([(_A, b"Bearer a b")], False, "unauthenticated"),
        ([(_A, b"Bearer \xff")], False, "unauthenticated"),
        ([(_A, b"Bearer " + b"a" * 513)], False, "unauthenticated"),
        ([(_A, b"Bearer abc"), (_A, b"Bearer abc")], False, "ambiguous-credentials"),
        ([(_A, b"Bearer abc"), (_A, b"Basic x")], True, "ambiguous-credentials"),
        ([(_C, _COOKIE + b"=a"), (_C, _COOKIE + b"=b")], True, "ambiguous-credentials"),
        ([(_C, _COOKIE + b"=a; " + _COOKIE + b"=b")], True, "ambiguous-credentials"),
    ],
)
def test_one_token_or_a_problem(headers: list[tuple[bytes, bytes]], *, cookie: bool, expected: str) -> None:
    found = token_of(headers, cookie=cookie)
    assert (found.name if isinstance(found, Problem) else found) == expected
