"""JSON as Consentry accepts it: one meaning for every reader, bounded (RFC 8259; I-JSON, RFC 7493).

Python's reader keeps the last of two equal keys, reads NaN, turns 1e400 into infinity and lets lone surrogates
through; a second reader (a wallet, a contract's tooling) may see something else in the same bytes. All of that is
refused.
"""

import json
import math
from typing import Any, NoReturn

from app.core.http.problem import Problem, problem

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32


class _RefusedError(ValueError):
    pass


def parse(body: bytes) -> Any | Problem:  # noqa: ANN401 - JSON is any of its own types
    """The document in ``body``, or the problem with it: 413 over MAX_BYTES, 400 ``invalid-json`` otherwise."""
    if len(body) > MAX_BYTES:
        return problem("payload-too-large")
    try:
        text = body.decode("utf-8")
        if _depth(text) > MAX_DEPTH:
            return problem("invalid-json")
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
        # Encoding again finds a lone surrogate wherever an escape hid it.
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return problem("invalid-json")
    return document


def _depth(text: str) -> int:
    """The deepest nesting, counted outside strings, before the recursive reader sees the text."""
    deepest = depth = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                quoted = False
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RefusedError
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _RefusedError
    return value


def _refuse(_text: str) -> NoReturn:
    raise _RefusedError
