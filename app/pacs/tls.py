"""TLS to the PACS: whom to trust, which certificate to show, and what went wrong in words.

The server's certificate is always checked: its signer, its dates and its name. A pinned fingerprint is asked for on top
of that.
"""

import datetime as dt
import hashlib
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from app.pacs.credentials import CredentialsError
from app.pacs.origin import OriginRefusedError, OriginUnavailableError
from app.pacs.watched_files import LOOK_AGAIN_S, FileStamps

_LOG = logging.getLogger(__name__)

# Verification codes of OpenSSL (x509_vfy.h).
_UNTRUSTED = "its certificate is signed by nobody this gateway trusts"
_WRONG_NAME = "its certificate is for another name"
_FLAWS = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is signed by itself, and not among those this gateway trusts",
    19: _UNTRUSTED,
    20: _UNTRUSTED,
    21: _UNTRUSTED,
    23: "its certificate has been revoked",
    26: "its certificate is not one for a server",
    62: _WRONG_NAME,
    64: _WRONG_NAME,
}
# What the other side says, or what its first bytes show.
_REFUSALS = {
    "CERTIFICATE_REQUIRED": "it asks for a client certificate",
    "CERTIFICATE_EXPIRED": "it says that this gateway's certificate has expired",
    "CERTIFICATE_REVOKED": "it says that this gateway's certificate has been revoked",
    "CERTIFICATE_UNKNOWN": "it does not accept this gateway's certificate",
    "BAD_CERTIFICATE": "it does not accept this gateway's certificate",
    "UNSUPPORTED_CERTIFICATE": "it does not accept this gateway's certificate",
    "ALERT_UNKNOWN_CA": "it does not trust the signer of this gateway's certificate",
    "ACCESS_DENIED": "it does not accept this gateway's certificate",
}
_MISMATCHES = {
    "PROTOCOL_VERSION": "it does not speak TLS 1.2 or later",
    "UNSUPPORTED_PROTOCOL": "it does not speak TLS 1.2 or later",
    "UNSUPPORTED_SSL_VERSION": "it does not speak TLS 1.2 or later",
    "WRONG_VERSION_NUMBER": "it does not speak TLS at this address",
    "HTTP_REQUEST": "it does not speak TLS at this address",
    "UNRECOGNIZED_NAME": "it does not know itself by this server name",
    "HANDSHAKE_FAILURE": "no way to encrypt was found that both sides know",
    "NO_SHARED_CIPHER": "no way to encrypt was found that both sides know",
}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What a connection is secured with. Files are PEM.

    ``ca_bundle`` None trusts what the system trusts. ``certificate`` and ``key`` are this gateway's own. ``pins``:
    SHA-256 of acceptable server certificates (DER); empty accepts any that is trusted. ``server_name`` stands for the
    address's host in SNI and in the check of the name.
    """

    ca_bundle: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    key_password: str = field(default="", repr=False)
    pins: frozenset[bytes] = frozenset()
    server_name: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for path in (self.ca_bundle, self.certificate, self.key) if path is not None)

    def ends(self) -> dt.datetime | None:
        """When this gateway's certificate ends, None where there is none. Raises CredentialsError."""
        if self.certificate is None:
            return None
        try:
            return x509.load_pem_x509_certificates(self.certificate.read_bytes())[0].not_valid_after_utc
        except (OSError, ValueError, IndexError):
            raise CredentialsError("the client certificate or its key cannot be read") from None

    def context(self) -> ssl.SSLContext:
        """A context of TLS 1.2 or later. Raises CredentialsError for files that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=None if self.ca_bundle is None else str(self.ca_bundle))
        except (OSError, ValueError):
            raise CredentialsError("the CA bundle holds no certificates, or cannot be read") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            self._show(context, self.certificate)
        return context

    def _show(self, context: ssl.SSLContext, certificate: Path) -> None:
        asked = False

        def password() -> str:
            nonlocal asked
            asked = True  # without this, OpenSSL would ask whoever sits at the terminal
            return self.key_password

        try:
            context.load_cert_chain(certificate, self.key, password)
        except (OSError, ValueError) as error:
            if asked:
                text = "the client key's password is wrong" if self.key_password else "the client key needs a password"
            elif isinstance(error, ssl.SSLError) and "MISMATCH" in (error.reason or ""):
                text = "the client key does not belong to the client certificate"
            else:
                text = "the client certificate or its key cannot be read"
            raise CredentialsError(text) from None


class TlsIdentity:
    """The context for the next connection: made again when one of its files changes."""

    def __init__(self, files: TlsFiles, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises CredentialsError for files that cannot be used."""
        self._files = files
        self._clock = clock
        self._stamps = FileStamps(files.paths)
        self._context = files.context()
        self._look_at = clock() + LOOK_AGAIN_S

    @property
    def server_name(self) -> str:
        return self._files.server_name

    def context(self) -> ssl.SSLContext:
        """Where changed files cannot be used, a warning and the context as it was."""
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + LOOK_AGAIN_S
            if self._stamps.changed():
                self._renew()
        return self._context

    def _renew(self) -> None:
        try:
            self._context = self._files.context()
        except CredentialsError as error:
            self._stamps.forget()
            _LOG.warning("the files for TLS to the archive were changed and cannot be used: %s", error)

    def accepts(self, certificate: bytes | None) -> bool:
        """Whether a server that showed this certificate (DER) may be talked to."""
        pins = self._files.pins
        if not pins:
            return True
        shown = hashlib.sha256(certificate or b"").digest()
        return shown in pins


def flaw_in_words(error: BaseException) -> tuple[str, bool]:
    """What stopped a TLS connection, and whether it is this gateway's certificate that the other side will not have.

    Nothing of the certificates or addresses is in it. "" for anything but TLS.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _FLAWS.get(error.verify_code, "its certificate is not acceptable"), False
    if not isinstance(error, ssl.SSLError):
        return "", False
    reason = error.reason or ""
    for part, text in _REFUSALS.items():
        if part in reason:
            return text, True
    return next((text for part, text in _MISMATCHES.items() if part in reason), "TLS failed"), False


def broken_by(error: Exception, what: str) -> OriginUnavailableError:
    """``what`` happened, and why in words; nothing of the error's own text, which may hold the address."""
    flaw, is_ours = flaw_in_words(error)
    text = f"{what}: {flaw}" if flaw else f"{what} ({type(error).__name__})"
    return OriginRefusedError(text) if is_ours else OriginUnavailableError(text)
