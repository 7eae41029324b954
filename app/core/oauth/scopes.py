"""What a program may be let do (RFC 6749 §3.3, OpenID Connect Core §5.4), and what a token of it opens."""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from app.core.consent.terms import Purpose

OPENID: Final = "openid"
PROFILE: Final = "profile"
IMAGES: Final = "dicomweb"
UPLOAD: Final = "dicomweb.upload"
OFFLINE: Final = "offline_access"
# In the order in which people read them.
SCOPES: Final = (OPENID, PROFILE, IMAGES, UPLOAD, OFFLINE)
PURPOSE_PREFIX: Final = "purpose:"
# RFC 6749 §3.3: scope-token, one space between two.
_TEXT = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reach:
    """What a token opens: images to be read, images to be stored, and everything that the person may do here."""

    images: bool
    storing: bool
    api: bool


# Of somebody who signed in themselves. A program never has it.
WHOLE: Final = Reach(images=True, storing=True, api=True)


def reach_of(scope: str) -> Reach:
    """What a program's token with this granted scope opens."""
    granted = scope.split(" ")
    return Reach(images=IMAGES in granted, storing=UPLOAD in granted, api=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a program asks for. ``purpose_in_scope``: the purpose came as a scope, and is granted as one."""

    scopes: frozenset[str]
    purpose: Purpose | None
    purpose_in_scope: bool


def read(scope: str | None, purpose: str | None = None) -> Asked | None:
    """What is asked for by the parameters ``scope`` and ``purpose``. None: malformed, or two different purposes.

    Without a scope images are asked for. Scopes that mean nothing here are ignored (OpenID Connect Core §3.1.2.1).
    """
    if scope and not _TEXT.fullmatch(scope):
        return None
    tokens = frozenset(scope.split(" ")) if scope else frozenset({IMAGES})
    scoped = {token.removeprefix(PURPOSE_PREFIX) for token in tokens if token.startswith(PURPOSE_PREFIX)}
    named = scoped | ({purpose} if purpose else set())
    if len(named) > 1 or not named <= Purpose.__members__.keys():
        return None
    known = frozenset(token for token in tokens if token in SCOPES)
    return Asked(known, Purpose[next(iter(named))] if named else None, bool(scoped))


def granted(asked: Asked, registered: AbstractSet[str], *, may_upload: bool) -> str:
    """The scope that is granted: what was asked for, no wider than the program is registered for, and without what the
    person cannot do themselves. "" when nothing is left.
    """
    kept: list[str] = [
        one for one in SCOPES if one in asked.scopes and one in registered and (may_upload or one != UPLOAD)
    ]
    if kept and asked.purpose_in_scope and asked.purpose is not None:
        kept.append(PURPOSE_PREFIX + asked.purpose.name)
    return " ".join(kept)
