"""The keys a gateway holds: the accounts it sends from, and the site key that pseudonyms are made with."""

import os

from app.chain.anvil import DEVELOPMENT_KEYS
from app.chain.sender import Signer
from app.settings import Settings, SettingsError

# Of the published development accounts, those that serve the gateway itself on the embedded chain.
RECORDER_INDEX, RELAYER_INDEX = 8, 9
_SITE_KEY_BYTES = 32


def account(key: str, index: int) -> Signer:
    """The account of a configured key; on the embedded chain, which needs none, a published development account."""
    return Signer.of(bytes.fromhex(key.removeprefix("0x")) if key else DEVELOPMENT_KEYS[index])


def site_key(settings: Settings) -> bytes:
    """The configured site key; on the embedded chain one of its own, made once and kept in the data folder.

    Raises SettingsError where the kept one is damaged: with another key no patient would be found again.
    """
    if settings.site_key:
        return bytes.fromhex(settings.site_key.removeprefix("0x"))
    path = settings.data_dir / "site.key"
    if not path.exists():
        temporary = path.with_suffix(".part")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(os.urandom(_SITE_KEY_BYTES).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    if len(key) != _SITE_KEY_BYTES:
        raise SettingsError(["CONSENTRY_SITE_KEY: the key kept in the data folder is damaged"])
    return key
