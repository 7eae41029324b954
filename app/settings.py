"""Every setting of Consentry: read once, checked, frozen. A setting that would weaken security refuses to start.

Errors name the key and say what is wrong with it, never its value. ``.env.example`` documents each; a test holds the
two together.
"""

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dotenv import dotenv_values

from app.core.notices.reaching import email_address

PREFIX = "CONSENTRY_"
# 32 random bytes hold about 30 different ones; fewer than this were typed, not drawn.
_DISTINCT_BYTES = 8
# So old roles may be when the glass is broken while the chain is away (the auditor's replay knows no older ones).
_LONGEST_SNAPSHOT_S = 900
DEVELOPMENT_CHAIN_ID = 31337
# Read by the command line only; known here so that they are not taken for a misspelt setting.
CLIENT_KEYS = frozenset(
    {
        "CONSENTRY_WALLET_KEY",
        "CONSENTRY_KEYSTORE_PASSWORD",
        "CONSENTRY_GATEWAY_URL",
        "CONSENTRY_TOKEN",
        "CONSENTRY_AUDIT_RPC",
    }
)
# RFC 6454 §6.2, without the ports that browsers leave out; "null", which any page can be, is none.
_ORIGIN = re.compile(
    r"\*|(?!http://.*:80$|https://.*:443$)"
    r"https?://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?"
)
_BROWSER_ADDRESS = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(?:/[A-Za-z0-9._~/-]*)?")
_PLACEHOLDER = re.compile(r"(?i)^(change.?(me|this)|replace.?(me|this)|todo|xxx+|placeholder|\.\.\.|<.*>)$")
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 §2.1
_FINGERPRINT = re.compile(r"(?i)(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.?")
_PACS_FILES = ("pacs_token_file", "pacs_client_certificate", "pacs_client_key", "pacs_ca_bundle")
_PACS_TLS = (
    "pacs_client_certificate",
    "pacs_client_key",
    "pacs_client_key_password",
    "pacs_ca_bundle",
    "pacs_fingerprints",
    "pacs_server_name",
)


class SettingsError(Exception):
    """The settings cannot be used. Carries one line for each problem; none holds a value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Field ``x_y`` is read from ``CONSENTRY_X_Y``. Times in seconds, sizes in bytes."""

    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str = ""
    data_dir: Path = Path("data")
    viewer_dir: Path = Path("viewer")
    gateway_id: str = "gateway-1"
    log_level: str = "info"
    pacs_url: str = ""
    pacs_username: str = ""
    pacs_password: str = ""
    pacs_token: str = ""
    pacs_token_file: str = ""
    pacs_client_certificate: str = ""
    pacs_client_key: str = ""
    pacs_client_key_password: str = ""
    pacs_ca_bundle: str = ""
    pacs_fingerprints: tuple[str, ...] = ()
    pacs_server_name: str = ""
    pacs_timeout_s: float = 30.0
    rpc_url: str = ""
    browser_rpc_url: str = ""
    rpc_port: int = 8545
    chain_id: int = DEVELOPMENT_CHAIN_ID
    deployment: str = ""
    finality: str = ""
    poll_interval_s: float = 0.3
    standing_max_age_s: float = 30.0
    head_max_age_s: float = 0.0
    database_url: str = ""
    site_key: str = ""
    recorder_key: str = ""
    relayer_key: str = ""
    id_token_key: str = ""
    token_lifetime_s: int = 8 * 3600
    program_token_lifetime_s: int = 3600
    program_refresh_lifetime_s: int = 7 * 86400
    subject_ttl_s: float = 30.0
    identity_scan_rate: float = 5.0
    uploads: int = 8
    upload_instance_bytes: int = 2 * 1024**3
    upload_request_bytes: int = 16 * 1024**3
    log_flush_s: float = 1.0
    backlog_alarm_s: int = 600
    emergency_snapshot_s: int = 900
    backlog_limit: int = 1_000_000
    cors_origins: tuple[str, ...] = ()
    cors_credentials: bool = False
    trusted_proxies: tuple[str, ...] = ()
    smtp_url: str = ""
    mail_from: str = ""
    webhooks: str = "off"

    @property
    def embedded_chain(self) -> bool:
        """True when no node is named: a development chain is started and kept in the data folder."""
        return not self.rpc_url

    @property
    def rpc_urls(self) -> tuple[str, ...]:
        """The nodes to ask, in order of preference."""
        if self.embedded_chain:
            return (f"http://127.0.0.1:{self.rpc_port}",)
        return tuple(part.strip() for part in self.rpc_url.split(",") if part.strip())

    @property
    def browser_rpc(self) -> str:
        """The node that a patient's browser asks to check what we say; "" where that is not offered."""
        if self.browser_rpc_url:
            return "" if self.browser_rpc_url == "off" else self.browser_rpc_url
        # The embedded chain listens on loopback, and so can be asked by a browser on this machine alone
        local = self.embedded_chain and _loopback(urlsplit(self.origin_url).hostname or "")
        return self.rpc_urls[0] if local else ""

    @property
    def origin_url(self) -> str:
        """The public address without a trailing slash; links in answers and the sign-in message are built from it."""
        return (self.public_url or f"http://localhost:{self.port}").rstrip("/")

    @property
    def archive_folder(self) -> Path | None:
        """The folder of the embedded archive, or None when a remote PACS is configured."""
        parts = urlsplit(self.pacs_url)
        if not self.pacs_url:
            return self.data_dir / "archive"
        return Path(unquote(parts.path)) if parts.scheme == "file" else None

    @property
    def mail_server_is_local(self) -> bool:
        """Whether mail goes to a server on this machine, the only one that may lack TLS."""
        return _loopback(urlsplit(self.smtp_url).hostname or "")

    @property
    def deployment_path(self) -> Path:
        return Path(self.deployment) if self.deployment else self.data_dir / "deployment.json"

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'consentry.db'}"

    @property
    def confirmations(self) -> int | None:
        """Blocks on top of one that make it final; None follows the chain's own ``finalized`` tag."""
        if self.finality == "finalized" or (not self.finality and not self.embedded_chain):
            return None
        return int(self.finality or "0")


def load(environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")) -> Settings:
    """Read settings from the environment over ``.env``. Raises SettingsError with every problem found."""
    given: dict[str, str] = {}
    if dotenv is not None and dotenv.is_file():
        given.update({k: v for k, v in dotenv_values(dotenv).items() if v is not None})
    given.update(os.environ if environ is None else environ)
    ours = {k: v for k, v in given.items() if k.startswith(PREFIX)}
    known = {PREFIX + f.name.upper(): f.name for f in fields(Settings)}
    problems = [f"{key}: unknown setting" for key in sorted(ours) if key not in known and key not in CLIENT_KEYS]
    values: dict[str, Any] = {}
    defaults = Settings()
    for key, name in known.items():
        text = ours.get(key, "").strip()
        if not text:
            continue
        try:
            values[name] = _parse(text, getattr(defaults, name))
        except ValueError:
            problems.append(f"{key}: not a valid value")
    if problems:
        raise SettingsError(problems)
    settings = Settings(**values)
    problems = _problems(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def _parse(text: str, default: object) -> object:
    if isinstance(default, bool):
        if text.lower() not in {"true", "false", "1", "0", "yes", "no"}:
            raise ValueError
        return text.lower() in {"true", "1", "yes"}
    if isinstance(default, int):
        return int(text)
    if isinstance(default, float):
        return float(text)
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(default, Path):
        return Path(text)
    return text


def _problems(s: Settings) -> list[str]:
    """Everything that is wrong with settings that could be read."""
    checks = (_number_problems, _rpc_problems, _pacs_problems, _public_problems, _secret_problems, _telling_problems)
    return [found for check in checks for found in check(s)]


def _number_problems(s: Settings) -> Iterator[str]:
    for name in ("port", "rpc_port"):
        if not 0 < getattr(s, name) < 65536:
            yield f"{PREFIX}{name.upper()}: not a port number"
    for name in ("pacs_timeout_s", "poll_interval_s", "standing_max_age_s", "subject_ttl_s", "log_flush_s"):
        if not 0 < getattr(s, name) < 86400:
            yield f"{PREFIX}{name.upper()}: must be above 0 and below a day"
    for name in (
        "uploads",
        "upload_instance_bytes",
        "upload_request_bytes",
        "token_lifetime_s",
        "program_token_lifetime_s",
        "program_refresh_lifetime_s",
        "backlog_alarm_s",
        "backlog_limit",
        "identity_scan_rate",
    ):
        if not getattr(s, name) > 0:
            yield f"{PREFIX}{name.upper()}: must be above 0"
    if not 0 <= s.emergency_snapshot_s <= _LONGEST_SNAPSHOT_S:
        yield f"CONSENTRY_EMERGENCY_SNAPSHOT_S: 0 to {_LONGEST_SNAPSHOT_S}"
    if s.head_max_age_s < 0:
        yield "CONSENTRY_HEAD_MAX_AGE_S: must not be negative"
    if s.log_level not in {"debug", "info", "warning", "error"}:
        yield "CONSENTRY_LOG_LEVEL: one of debug, info, warning, error"


def _rpc_problems(s: Settings) -> Iterator[str]:
    if s.browser_rpc_url and s.browser_rpc_url != "off":
        yield from _transport("CONSENTRY_BROWSER_RPC_URL", s.browser_rpc_url)
        # It is named in a header of every page that checks, where a space or a semicolon would begin something else
        if not _BROWSER_ADDRESS.fullmatch(s.browser_rpc_url):
            yield "CONSENTRY_BROWSER_RPC_URL: an address without credentials, spaces or signs that end a policy"
    for url in s.rpc_urls:
        yield from _transport("CONSENTRY_RPC_URL", url)
    if s.finality and s.finality != "finalized" and not s.finality.isdecimal():
        yield "CONSENTRY_FINALITY: 'finalized' or a number of confirmations"
    if s.embedded_chain and s.chain_id != DEVELOPMENT_CHAIN_ID:
        yield "CONSENTRY_CHAIN_ID: the embedded chain is 31337; name a node in CONSENTRY_RPC_URL for another"


def _pacs_problems(s: Settings) -> Iterator[str]:
    pacs = urlsplit(s.pacs_url)
    if s.pacs_url and pacs.scheme == "file":
        if not pacs.path.startswith("/") or pacs.netloc not in {"", "localhost"}:
            yield "CONSENTRY_PACS_URL: file:// takes an absolute folder"
    elif s.pacs_url:
        yield from _transport("CONSENTRY_PACS_URL", s.pacs_url)
        if pacs.username or pacs.password:
            yield "CONSENTRY_PACS_URL: no credentials in the address; CONSENTRY_PACS_USERNAME and _PASSWORD hold them"
    if bool(s.pacs_username) != bool(s.pacs_password):
        yield "CONSENTRY_PACS_USERNAME and CONSENTRY_PACS_PASSWORD: give both or neither"
    shown = [name for name in ("pacs_token", "pacs_token_file", "pacs_username") if getattr(s, name)]
    if len(shown) > 1:
        yield f"{' and '.join(PREFIX + name.upper() for name in shown)}: one way to sign in to the PACS, not several"
    if ":" in s.pacs_username:
        yield "CONSENTRY_PACS_USERNAME: must not hold a colon"
    if s.pacs_token and not _TOKEN.fullmatch(s.pacs_token):
        yield "CONSENTRY_PACS_TOKEN: holds characters that a bearer token cannot hold"
    if shown and pacs.scheme not in {"http", "https"}:
        yield "CONSENTRY_PACS_URL: credentials are set and no PACS is named to show them to"
    yield from _pacs_tls_problems(s, pacs.scheme)


def _pacs_tls_problems(s: Settings, scheme: str) -> Iterator[str]:
    for name in _PACS_TLS:
        if getattr(s, name) and scheme != "https":
            yield f"{PREFIX}{name.upper()}: only where CONSENTRY_PACS_URL is https"
    if bool(s.pacs_client_certificate) != bool(s.pacs_client_key):
        yield "CONSENTRY_PACS_CLIENT_CERTIFICATE and CONSENTRY_PACS_CLIENT_KEY: give both or neither"
    if s.pacs_client_key_password and not s.pacs_client_key:
        yield "CONSENTRY_PACS_CLIENT_KEY_PASSWORD: there is no CONSENTRY_PACS_CLIENT_KEY that it opens"
    for name in _PACS_FILES:
        if getattr(s, name) and not Path(getattr(s, name)).is_file():
            yield f"{PREFIX}{name.upper()}: no such file"
    if not all(map(_FINGERPRINT.fullmatch, s.pacs_fingerprints)):
        yield "CONSENTRY_PACS_FINGERPRINTS: SHA-256 in hexadecimal, with or without colons, comma-separated"
    if s.pacs_server_name and not _HOST_NAME.fullmatch(s.pacs_server_name):
        yield "CONSENTRY_PACS_SERVER_NAME: a host name"


def _public_problems(s: Settings) -> Iterator[str]:
    public = urlsplit(s.origin_url)
    if public.scheme not in {"http", "https"} or not public.hostname or public.path or public.query or public.fragment:
        yield "CONSENTRY_PUBLIC_URL: scheme and host only, e.g. https://images.example.org"
    elif public.scheme == "http" and not _loopback(public.hostname):
        yield "CONSENTRY_PUBLIC_URL: plain http is for loopback only"
    if not all(map(_ORIGIN.fullmatch, s.cors_origins)):
        yield "CONSENTRY_CORS_ORIGINS: scheme and host as browsers write them, e.g. https://viewer.example.org, or '*'"
    if "*" in s.cors_origins and s.cors_credentials:
        yield "CONSENTRY_CORS_ORIGINS: '*' with CONSENTRY_CORS_CREDENTIALS lets any page act for the user"
    for proxy in s.trusted_proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError:
            yield "CONSENTRY_TRUSTED_PROXIES: addresses or networks, comma-separated"


def _telling_problems(s: Settings) -> Iterator[str]:
    if bool(s.smtp_url) != bool(s.mail_from):
        yield "CONSENTRY_SMTP_URL and CONSENTRY_MAIL_FROM: give both or neither"
    if s.mail_from and email_address(s.mail_from) is None:
        yield "CONSENTRY_MAIL_FROM: an e-mail address and nothing else"
    if s.webhooks not in {"off", "public", "private"}:
        yield "CONSENTRY_WEBHOOKS: one of off, public, private"
    if not s.smtp_url:
        return
    try:
        server = urlsplit(s.smtp_url)
        known = server.scheme in {"smtp", "smtps"} and bool(server.hostname) and server.port != 0
    except ValueError:  # a port that is none
        yield "CONSENTRY_SMTP_URL: smtp(s)://user:password@host:port"
        return
    if not known or server.path.strip("/") or server.query or server.fragment:
        yield "CONSENTRY_SMTP_URL: smtp(s)://user:password@host:port"
    if bool(server.username) != bool(server.password):
        yield "CONSENTRY_SMTP_URL: user and password, both or neither"
    if server.password and _PLACEHOLDER.match(unquote(server.password)):
        yield "CONSENTRY_SMTP_URL: still a placeholder"


def _secret_problems(s: Settings) -> Iterator[str]:
    for name in ("site_key", "recorder_key", "relayer_key", "id_token_key"):
        flaw = _key_flaw(s, name)
        if flaw:
            yield flaw
    if s.recorder_key and s.recorder_key.removeprefix("0x").lower() == s.relayer_key.removeprefix("0x").lower():
        yield "CONSENTRY_RELAYER_KEY: must not be the recorder's key"
    for name in ("pacs_username", "pacs_password", "pacs_token", "pacs_token_file", *_PACS_TLS):
        if isinstance(getattr(s, name), str) and _PLACEHOLDER.match(getattr(s, name)):
            yield f"{PREFIX}{name.upper()}: still a placeholder"


def _transport(key: str, url: str) -> list[str]:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return [f"{key}: must be an http or https address"]
    if parts.scheme == "http" and not _loopback(parts.hostname):
        return [f"{key}: plain http is for loopback only"]
    return []


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _key_flaw(s: Settings, name: str) -> str:
    """What is wrong with a 32-byte secret, or "". On the embedded chain a missing one is made up or a development
    key.
    """
    key, value = PREFIX + name.upper(), getattr(s, name)
    digits = value.removeprefix("0x")
    if not value:
        return "" if s.embedded_chain else f"{key}: missing"
    if _PLACEHOLDER.match(value):
        return f"{key}: still a placeholder"
    if not re.fullmatch(r"[0-9a-fA-F]{64}", digits):
        return f"{key}: 32 bytes in hexadecimal"
    if len(set(bytes.fromhex(digits))) < _DISTINCT_BYTES:
        return f"{key}: not random"
    if name in {"recorder_key", "relayer_key"} and s.chain_id != DEVELOPMENT_CHAIN_ID and _published(digits):
        return f"{key}: a published development key"
    return ""


def _published(digits: str) -> bool:
    from app.chain.anvil import DEVELOPMENT_KEYS  # noqa: PLC0415 - only asked on real chains

    return bytes.fromhex(digits) in DEVELOPMENT_KEYS
