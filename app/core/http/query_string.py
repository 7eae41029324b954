"""A raw query string taken apart, strictly: percent-encoded UTF-8, ``+`` for a space (PS3.18 §8.3.1).

``+`` stands for a space because the stock clients write it so and write a plus sign as ``%2B``.
"""

import re
from collections.abc import Iterator
from typing import Final

from app.core.http.problem import ProblemError, problem

_RAW: Final = re.compile(rb"[\x21-\x7e]*")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})?")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def parameters(raw_query: bytes) -> Iterator[tuple[str, str]]:
    """The decoded (name, value) pairs in order. Raises ProblemError invalid-parameter for what is not well formed."""
    if not _RAW.fullmatch(raw_query):
        raise ProblemError(problem("invalid-parameter"))
    for part in raw_query.split(b"&"):
        if part:
            name, equals, value = part.partition(b"=")
            if not (name and equals):
                raise ProblemError(problem("invalid-parameter"))
            yield _decoded(name), _decoded(value)


def _decoded(raw: bytes) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" not in raw:
        return raw.decode("ascii")
    try:
        text = _ESCAPE.sub(_octet, raw).decode("utf-8")
    except (UnicodeDecodeError, TypeError):
        raise ProblemError(problem("invalid-parameter")) from None
    if _CONTROL.search(text):
        raise ProblemError(problem("invalid-parameter"))
    return text


def _octet(escape: re.Match[bytes]) -> bytes:
    """Raises TypeError for a percent sign without its two digits."""
    return bytes((int(escape[1], 16),))
