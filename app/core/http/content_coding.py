"""Which content coding an answer goes out in (RFC 9110 §12.5.3)."""

import re
from collections.abc import Sequence
from typing import Final

# Those made here, the more usual first.
CODINGS: Final = ("gzip", "deflate")

_NAMES: Final = {b"gzip": "gzip", b"x-gzip": "gzip", b"deflate": "deflate", b"*": "*", b"identity": "identity"}
_ITEM: Final = re.compile(
    rb"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*(?:;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?"
).fullmatch
_MAX_BYTES: Final = 1024


def accepted_coding(values: Sequence[bytes]) -> str | None:
    """One of CODINGS, None for none, from the values of all Accept-Encoding headers.

    What is malformed or long asks for none: as it stands is what every client can read.
    """
    joined = b",".join(values)
    if not joined or len(joined) > _MAX_BYTES:
        return None
    weights: dict[str, float] = {}
    for item in joined.split(b","):
        if not item.strip(b" \t"):
            continue
        found = _ITEM(item)
        if found is None:
            return None
        name = _NAMES.get(found[1].lower())
        if name is not None:
            weights[name] = max(weights.get(name, 0.0), float(found[2] or 1))
    offered = {coding: weights.get(coding, weights.get("*", 0.0)) for coding in CODINGS}
    best = max(CODINGS, key=lambda coding: offered[coding])
    return best if offered[best] > 0 and offered[best] >= weights.get("identity", 0.0) else None
