"""Where a program may have people sent back to (RFC 6749 §3.1.2, RFC 8252 §7.3, RFC 9700 §4.1)."""

import re
from typing import Final
from urllib.parse import urlsplit

_LONGEST: Final = 2048
# A URI's characters without those that end it or open another language in a page or a header.
_CHARACTERS = re.compile(r"[!$&(-;=?-Z\[\]_a-z~%]+", re.ASCII)
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", re.ASCII)
_PORT = re.compile(r"(?:[1-9][0-9]{0,4})?", re.ASCII)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_ON_LOOPBACK = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(?::[1-9][0-9]{0,4})?(/[^\s]*)?", re.ASCII)


def is_acceptable(uri: str) -> bool:
    """Whether a program may be registered with it: https, or http on this machine; a host in lower case, no user, no
    fragment. Schemes of a program's own are not: any other program can claim them too.
    """
    if len(uri) > _LONGEST or not _CHARACTERS.fullmatch(uri):
        return False
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    host, port = _host_and_port(parts.netloc)
    if not _HOST.fullmatch(host) or not _PORT.fullmatch(port):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)


def origin_of(uri: str) -> str:
    """Scheme, host and port of an acceptable URI, as a policy or a person names them."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"


def fits(registered: str, asked: str, *, native: bool) -> bool:
    """Whether ``asked`` is the registered address, character by character.

    A native program listens on whatever port is free: for it, on loopback, the port alone may differ.
    """
    if registered == asked:
        return True
    if not native:
        return False
    known, other = _ON_LOOPBACK.fullmatch(registered), _ON_LOOPBACK.fullmatch(asked)
    return known is not None and other is not None and known.groups() == other.groups()


def _host_and_port(netloc: str) -> tuple[str, str]:
    if netloc.startswith("["):
        host, _, rest = netloc.partition("]")
        return host + "]", rest.removeprefix(":")
    host, _, port = netloc.partition(":")
    return host, port
