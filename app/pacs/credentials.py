"""How this gateway shows a PACS who it is, in a header: RFC 7617 and RFC 6750.

No secret is in any text that comes from here.
"""

import logging
import re
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from app.pacs.watched_files import LOOK_AGAIN_S, FileStamps

_LOG = logging.getLogger(__name__)
_MAX_TOKEN_BYTES = 16 * 1024
# RFC 6750 §2.1
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


class CredentialsError(ValueError):
    """Credentials that cannot be used. The text says why, and holds nothing of them."""


def basic_authorization(user: str, password: str) -> str:
    """The value of an Authorization header (RFC 7617). Raises CredentialsError for a user name with a colon."""
    if ":" in user:
        raise CredentialsError("a user name cannot hold a colon")
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


def bearer_authorization(token: str) -> str:
    """The value of an Authorization header (RFC 6750). Raises CredentialsError for what cannot stand in one."""
    if not _TOKEN.fullmatch(token):
        raise CredentialsError("not a bearer token")
    return f"Bearer {token}"


class TokenFile:
    """A bearer token in a file that somebody else renews: read again when the file changes.

    While the file is away or half-written, the token that was good goes on being shown: the archive decides about it.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises CredentialsError where the file holds no token."""
        self._path = path
        self._stamps = FileStamps((path,))
        self._clock = clock
        self._header = self._read()
        self._look_at = clock() + LOOK_AGAIN_S

    @property
    def header(self) -> str:
        """The value of the Authorization header, now."""
        if self._clock() >= self._look_at:
            self.look()
        return self._header

    def look(self) -> bool:
        """Look at the file at once; True when it holds another token than before."""
        self._look_at = self._clock() + LOOK_AGAIN_S
        if not self._stamps.changed():
            return False
        before = self._header
        try:
            self._header = self._read()
        except CredentialsError as error:
            self._stamps.forget()
            _LOG.warning("the file with the archive's token was changed and cannot be used: %s", error)
        return self._header != before

    def _read(self) -> str:
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_TOKEN_BYTES + 1)
        except OSError as error:
            raise CredentialsError(f"the file cannot be read ({type(error).__name__})") from None
        if len(data) > _MAX_TOKEN_BYTES:
            raise CredentialsError("the file is too large for a token")
        return bearer_authorization(data.decode("ascii", "replace").strip())
