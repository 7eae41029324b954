"""The keys a gateway holds: the accounts it sends from, the site key that pseudonyms are made with, the key of ID
tokens.
"""

import os

from app.api.oauth.id_tokens import SigningKey
from app.chain.anvil import DEVELOPMENT_KEYS
from app.chain.sender import Signer
from app.settings import PREFIX, Settings, SettingsError

# Of the published development accounts, those that serve the gateway itself on the embedded chain.
RECORDER_INDEX, RELAYER_INDEX = 8, 9
_KEY_BYTES = 32


def account(key: str, index: int) -> Signer:
    """The account of a configured key; on the embedded chain, which needs none, a published development account."""
    return Signer.of(bytes.fromhex(key.removeprefix("0x")) if key else DEVELOPMENT_KEYS[index])


def site_key(settings: Settings) -> bytes:
    """The configured site key; on the embedded chain one of its own, made once and kept in the data folder.

    Raises SettingsError where the kept one is damaged: with another key no patient would be found again.
    """
    return _configured_or_kept(settings, "site_key", "site.key")


def id_token_key(settings: Settings) -> SigningKey:
    """The key that ID tokens are signed with; on the embedded chain likewise. Raises SettingsError."""
    secret = _configured_or_kept(settings, "id_token_key", "id-token.key")
    try:
        return SigningKey(secret)
    except ValueError:
        raise SettingsError(["CONSENTRY_ID_TOKEN_KEY: no private key of P-256; draw another"]) from None


def _configured_or_kept(settings: Settings, name: str, file_name: str) -> bytes:
    configured: str = getattr(settings, name)
    if configured:
        return bytes.fromhex(configured.removeprefix("0x"))
    path = settings.data_dir / file_name
    if not path.exists():
        temporary = path.with_suffix(".part")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(os.urandom(_KEY_BYTES).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    if len(key) != _KEY_BYTES:
        raise SettingsError([f"{PREFIX}{name.upper()}: the key kept in the data folder is damaged"])
    return key
