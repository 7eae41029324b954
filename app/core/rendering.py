"""The query parameters of rendered representations (PS3.18 §8.3.5)."""

import re
from typing import Final

from app.core.problem import ProblemError, problem
from app.core.query_string import parameters

_DECIMAL: Final = r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?"
_SIZE: Final = r"[0-9]{1,5}(?:\.[0-9]{1,9})?"

# Each value is checked after decoding, so that viewers may write "," as "%2C".
RENDERING_PARAMETERS: Final[dict[str, re.Pattern[str]]] = {
    "annotation": re.compile(r"(?:patient|technique)(?:,(?:patient|technique))?"),
    "quality": re.compile(r"[1-9][0-9]?|100"),
    # vw,vh[,sx,sy,sw,sh]: of the last four, those left empty keep their defaults (PS3.18 §8.3.5.1.3)
    "viewport": re.compile(rf"{_SIZE},{_SIZE}(?:(?:,(?:{_DECIMAL})?){{4}})?"),
    "window": re.compile(rf"{_DECIMAL},{_DECIMAL},(?:linear|linear-exact|sigmoid)"),
    "iccprofile": re.compile(r"no|yes|srgb|adobergb|rommrgb|displayp3"),
}


def parse_retrieval_query(raw_query: bytes, *, rendered: bool) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """The rendering parameters in the order given, and ``accept``.

    What a retrieval does not know it ignores (PS3.18 §8.3). Raises ProblemError ambiguous-parameter for a name given
    twice, invalid-parameter for a value that breaks the grammar.
    """
    seen: set[str] = set()
    kept: list[tuple[str, str]] = []
    accept: str | None = None
    for name, value in parameters(raw_query):
        if name in seen:
            raise ProblemError(problem("ambiguous-parameter"))
        seen.add(name)
        if name == "accept":
            accept = value
        elif rendered and name in RENDERING_PARAMETERS:
            if not RENDERING_PARAMETERS[name].fullmatch(value):
                raise ProblemError(problem("invalid-parameter"))
            kept.append((name, value))
        elif name != name.lower() and (name.lower() in RENDERING_PARAMETERS or name.lower() == "accept"):
            raise ProblemError(problem("ambiguous-parameter"))
    return tuple(kept), accept
