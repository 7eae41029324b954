"""The one-time code of an enrolment: what the desk hands over in a QR code, and the claim key made from it.

The code carries 130 random bits in Crockford's base 32 (no I, L, O, U), in groups that can be read aloud. The key's
address goes on the chain; the code itself is kept nowhere.
"""

import hashlib
import hmac

from coincurve import PrivateKey

from app.core.identifiers import Address
from app.core.keccak import keccak256

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DIGITS = 26
_GROUP = 5
RANDOM_BYTES = _DIGITS
_DOMAIN = b"consentry.claim-code.v1"
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1"})


def make_code(random: bytes) -> str:
    """A code from RANDOM_BYTES random bytes (five bits of each are used). Raises ValueError for another length."""
    if len(random) != RANDOM_BYTES:
        raise ValueError("a code takes 26 random bytes")
    digits = "".join(_ALPHABET[byte & 31] for byte in random)
    return "-".join(digits[at : at + _GROUP] for at in range(0, _DIGITS, _GROUP))


def read_code(text: str) -> str | None:
    """The code's digits as typed or scanned: case, spaces, dashes and lookalike letters do not matter. None if it is
    no code.
    """
    digits = text.upper().replace("-", "").replace(" ", "").translate(_LOOKALIKES)
    if len(digits) != _DIGITS or any(digit not in _ALPHABET for digit in digits):
        return None
    return digits


def claim_key(digits: str) -> PrivateKey:
    """The claim key of a code that read_code has read."""
    seed = hmac.new(_DOMAIN, digits.encode("ascii"), hashlib.sha256).digest()
    return PrivateKey(seed)


def claim_address(key: PrivateKey) -> Address:
    """The account of a claim key, as it is enrolled on the chain."""
    return Address(keccak256(key.public_key.format(compressed=False)[1:])[-20:])


def sign_digest(key: PrivateKey, digest: bytes) -> bytes:
    """R ‖ s ‖ v over a 32-byte digest, low s, v 27 or 28."""
    signature = key.sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([signature[64] + 27])
