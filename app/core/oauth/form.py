"""The parameters of an OAuth request, in a query or a form, with one meaning (RFC 6749 §3.1, §3.2, Appendix B)."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

MAX_BYTES: Final = 16 * 1024
_RAW = re.compile(rb"[\x21-\x7e]*")
_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
# RFC 6749 Appendix A: what our parameters are made of. Errors never quote them all the same.
_PLAIN = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*", re.ASCII)
_VISIBLE = re.compile(r"[\x20-\x7e]*", re.ASCII)
_OF_THE_PROGRAM: Final = frozenset({"state", "nonce"})
_OURS: Final = frozenset(
    {
        "client_id",
        "client_secret",
        "code",
        "code_challenge",
        "code_challenge_method",
        "code_verifier",
        "device_code",
        "grant_type",
        "id_token_hint",
        "post_logout_redirect_uri",
        "prompt",
        "purpose",
        "redirect_uri",
        "refresh_token",
        "response_mode",
        "response_type",
        "scope",
        "token",
        "token_type_hint",
    }
)


def parameters(raw: bytes) -> dict[str, str] | None:
    """The parameters by name. None: not well formed, or one of them twice, whatever it is.

    What has no value counts as left out, and what nobody here knows is ignored, as the RFC has it.
    """
    if len(raw) > MAX_BYTES or not _RAW.fullmatch(raw) or _ESCAPE.search(raw):
        return None
    found: dict[str, str] = {}
    named: set[str] = set()
    try:
        for name, value in _pairs(raw):
            if name in named:
                return None
            named.add(name)
            if value:
                found[name] = value
    except UnicodeDecodeError:
        return None
    return found if all(_is_sound(name, value) for name, value in found.items()) else None


def _pairs(raw: bytes) -> Iterator[tuple[str, str]]:
    for part in raw.split(b"&"):
        if part:
            name, _, value = part.replace(b"+", b" ").partition(b"=")
            yield unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()


def _is_sound(name: str, value: str) -> bool:
    if name in _OF_THE_PROGRAM:
        return _VISIBLE.fullmatch(value) is not None
    return name not in _OURS or _PLAIN.fullmatch(value) is not None
