"""The query parameters of rendered representations (PS3.18 §8.3.5)."""

import re
from collections.abc import Mapping
from typing import Final

from app.core.http.problem import ProblemError, problem
from app.core.http.query_string import parameters

_DECIMAL: Final = r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?"
_MORE_THAN_NONE: Final = r"(?=[0-9.]*[1-9])"
_SIZE: Final = rf"{_MORE_THAN_NONE}[0-9]{{1,5}}(?:\.[0-9]{{1,9}})?"
_WIDTH: Final = rf"{_MORE_THAN_NONE}[0-9]{{1,9}}(?:\.[0-9]{{1,9}})?"

# Each value is checked after decoding, so that viewers may write "," as "%2C".
RENDERING_PARAMETERS: Final[Mapping[str, re.Pattern[str]]] = {
    "annotation": re.compile(r"(?:patient|technique)(?:,(?:patient|technique))?"),
    "quality": re.compile(r"[1-9][0-9]?|100"),
    # vw,vh[,sx,sy,sw,sh]: of the last four, those left empty keep their defaults (PS3.18 §8.3.5.1.3)
    "viewport": re.compile(rf"{_SIZE},{_SIZE}(?:(?:,(?:{_DECIMAL})?){{4}})?"),
    "window": re.compile(rf"{_DECIMAL},{_WIDTH},(?:linear|linear-exact|sigmoid)"),
    "iccprofile": re.compile(r"no|yes|srgb|adobergb|rommrgb|displayp3"),
}
# A thumbnail is of the size asked for and otherwise as the origin server chooses (PS3.18 §10.4.1.2).
THUMBNAIL_PARAMETERS: Final[Mapping[str, re.Pattern[str]]] = {"viewport": re.compile(rf"{_SIZE},{_SIZE}")}


def parse_retrieval_query(
    raw_query: bytes, known: Mapping[str, re.Pattern[str]]
) -> tuple[tuple[tuple[str, str], ...], str | None]:
    """The ``known`` parameters in the order given, and ``accept``. ``known``: what the value of each must look like.

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
        elif name in known:
            if not known[name].fullmatch(value):
                raise ProblemError(problem("invalid-parameter"))
            kept.append((name, value))
        elif name != name.lower() and (name.lower() in RENDERING_PARAMETERS or name.lower() == "accept"):
            raise ProblemError(problem("ambiguous-parameter"))
    return tuple(kept), accept
