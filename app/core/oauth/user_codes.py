"""The code that a person carries from a program to a page (RFC 8628 §6.1)."""

import re
from typing import Final

# No vowels, so that no words come about, and nothing that is taken for something else. 20 letters, 8 places: 34 bits.
ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH: Final = 8
_CODE = re.compile(f"[{ALPHABET}]{{{LENGTH}}}", re.ASCII)
_BETWEEN = re.compile(r"[\s.–-]")
_LONGEST: Final = 32


def read(typed: str) -> str | None:
    """The code as it is shown, from what was typed: in either case, with or without what stands between. None: none."""
    letters = _BETWEEN.sub("", typed).upper() if len(typed) <= _LONGEST else ""
    return f"{letters[:4]}-{letters[4:]}" if _CODE.fullmatch(letters) else None
