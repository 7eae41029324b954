"""The configured PACS: its address, credentials and certificates in the settings, made into an origin."""

import datetime as dt
from pathlib import Path

from app.pacs.credentials import CredentialsError, TokenFile, basic_authorization, bearer_authorization
from app.pacs.http_client import HttpLimits, HttpOrigin
from app.pacs.remote import RemoteOrigin
from app.pacs.tls import TlsFiles, TlsIdentity
from app.settings import Settings, SettingsError


def remote_origin(settings: Settings) -> RemoteOrigin:
    """The configured PACS. Raises SettingsError for files that its credentials cannot be read from."""
    limits = HttpLimits(silence_s=settings.pacs_timeout_s)
    origin = HttpOrigin(settings.pacs_url, _authorization(settings))
    return RemoteOrigin(origin, limits, tls=_tls(settings) if settings.pacs_url.startswith("https:") else None)


def _authorization(settings: Settings) -> str | TokenFile | None:
    if settings.pacs_token_file:
        try:
            return TokenFile(Path(settings.pacs_token_file))
        except CredentialsError as error:
            raise SettingsError([f"CONSENTRY_PACS_TOKEN_FILE: {error}"]) from None
    if settings.pacs_token:
        return bearer_authorization(settings.pacs_token)
    if settings.pacs_username:
        return basic_authorization(settings.pacs_username, settings.pacs_password)
    return None


def client_certificate_ends(settings: Settings) -> dt.datetime | None:
    """When the certificate that the PACS is shown ends, None where there is none. Raises SettingsError."""
    try:
        return _tls_files(settings).ends()
    except CredentialsError as error:
        raise SettingsError([f"CONSENTRY_PACS_CLIENT_CERTIFICATE: {error}"]) from None


def _tls_files(settings: Settings) -> TlsFiles:
    return TlsFiles(
        ca_bundle=_named(settings.pacs_ca_bundle),
        certificate=_named(settings.pacs_client_certificate),
        key=_named(settings.pacs_client_key),
        key_password=settings.pacs_client_key_password,
        pins=frozenset(bytes.fromhex(pin.replace(":", "")) for pin in settings.pacs_fingerprints),
        server_name=settings.pacs_server_name,
    )


def _tls(settings: Settings) -> TlsIdentity:
    try:
        return TlsIdentity(_tls_files(settings))
    except CredentialsError as error:
        key = "CONSENTRY_PACS_CA_BUNDLE" if "CA bundle" in str(error) else "CONSENTRY_PACS_CLIENT_KEY"
        raise SettingsError([f"{key}: {error}"]) from None


def _named(path: str) -> Path | None:
    return Path(path) if path else None
