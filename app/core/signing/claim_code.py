"""The one-time codes of the desk, handed over in a QR code: for an enrolment, with the claim key made from it, for a
recovery, and for an invitation.

A code carries 130 random bits in Crockford's base 32, in groups that can be read aloud. Of an enrolment's the claim
key's address goes on the chain, of the others' a hash is stored; the code itself is kept nowhere.
"""

import hashlib
import hmac

from coincurve import PrivateKey

from app.core.crockford import digits_of, grouped, read_digits
from app.core.identifiers import Address
from app.core.keccak import keccak256

_DIGITS = 26
_GROUP = 5
RANDOM_BYTES = _DIGITS
_DOMAIN = b"consentry.claim-code.v1"
_RECOVERY_DOMAIN = b"consentry.recovery-code.v1"
_INVITATION_DOMAIN = b"consentry.invitation-code.v1"


def make_code(random: bytes) -> str:
    """A code from RANDOM_BYTES random bytes (five bits of each are used). Raises ValueError for another length."""
    if len(random) != RANDOM_BYTES:
        raise ValueError("a code takes 26 random bytes")
    return grouped(digits_of(random), _GROUP)


def read_code(text: str) -> str | None:
    """The code's digits as typed or scanned: case, spaces, dashes and lookalike letters do not matter. None if it is
    no code.
    """
    return read_digits(text, _DIGITS)


def claim_key(digits: str) -> PrivateKey:
    """The claim key of a code that read_code has read."""
    seed = hmac.new(_DOMAIN, digits.encode("ascii"), hashlib.sha256).digest()
    return PrivateKey(seed)


def recovery_hash(digits: str) -> bytes:
    """What is stored of a recovery's code that read_code has read, 32 bytes: it finds the recovery, not the code."""
    return hmac.digest(_RECOVERY_DOMAIN, digits.encode("ascii"), hashlib.sha256)


def invitation_hash(digits: str) -> bytes:
    """The same of an invitation's code."""
    return hmac.digest(_INVITATION_DOMAIN, digits.encode("ascii"), hashlib.sha256)


def claim_address(key: PrivateKey) -> Address:
    """The account of a claim key, as it is enrolled on the chain."""
    return Address(keccak256(key.public_key.format(compressed=False)[1:])[-20:])


def sign_digest(key: PrivateKey, digest: bytes) -> bytes:
    """R ‖ s ‖ v over a 32-byte digest, low s, v 27 or 28."""
    signature = key.sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes([signature[64] + 27])
