"""Passkeys as signers (WebAuthn Level 2, P-256, ERC-7913): what counts as a passkey's signature over a digest.

The contract PasskeyVerifier checks most of it again; it cannot know the origin, and its JSON is compared at two places
only. So whatever is accepted here is accepted there, and not the other way round.
"""

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from app.core.consent.basis import ADDRESS_BYTES
from app.core.http.strict_json import parse
from app.core.identifiers import Address, Signer

GET = "webauthn.get"
CREATE = "webauthn.create"
KEY_BYTES = 64
# Chromium's are 130 to 300 bytes long, and the contracts give the check a bounded amount of gas.
MAX_CLIENT_DATA_BYTES = 1024
MAX_AUTHENTICATOR_DATA_BYTES = 512

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_WORD = 32
_HEADS = 6 * _WORD
# WebAuthn §6.1: RP ID hash, flags, counter; then what the flags announce.
_FLAGS_AT = 32
_PLAIN_BYTES = 37
_PRESENT, _VERIFIED, _BACKUP_ELIGIBLE, _BACKED_UP, _ATTESTED, _EXTENDED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whom passkeys are made for: ``origin`` as browsers write it, ``verifier`` the contract that knows its host."""

    origin: str
    verifier: Address

    @property
    def rp_id(self) -> str:
        """The host of the origin, without the port (WebAuthn §5.1.3)."""
        return urlsplit(self.origin).hostname or ""

    def signer(self, key: bytes) -> Signer:
        """The ERC-7913 signer of a P-256 key (x ‖ y)."""
        return Signer(self.verifier + key)

    def key_of(self, signer: Signer) -> bytes | None:
        """The key (x ‖ y) of a signer that is a passkey of ours; None for every other."""
        if signer[:ADDRESS_BYTES] != self.verifier or len(signer) != ADDRESS_BYTES + KEY_BYTES:
            return None
        return signer[ADDRESS_BYTES:]


@dataclass(frozen=True, slots=True)
class Assertion:
    """A passkey's signature as OpenZeppelin's WebAuthn library takes it (``WebAuthnAuth``)."""

    r: int
    s: int
    challenge_index: int
    type_index: int
    authenticator_data: bytes
    client_data: bytes


def encode(assertion: Assertion) -> bytes:
    """``abi.encode`` of the struct without the word in front that only says where it begins."""
    data_at = _HEADS
    client_at = data_at + _WORD + _padded(len(assertion.authenticator_data))
    words = (assertion.r, assertion.s, assertion.challenge_index, assertion.type_index, data_at, client_at)
    heads = b"".join(word.to_bytes(_WORD) for word in words)
    return heads + _tail(assertion.authenticator_data) + _tail(assertion.client_data)


def decode(signature: bytes) -> Assertion | None:
    """The assertion that is encoded exactly so, or None: no gap or overlap, nothing left over or too long."""
    if len(signature) < _HEADS:
        return None
    r, s, challenge_index, type_index, data_at, client_at = (
        int.from_bytes(signature[at : at + _WORD]) for at in range(0, _HEADS, _WORD)
    )
    data, client = _bytes_at(signature, data_at), _bytes_at(signature, client_at)
    if len(client) > MAX_CLIENT_DATA_BYTES:
        return None
    assertion = Assertion(r, s, challenge_index, type_index, data, client)
    return assertion if encode(assertion) == signature else None


def signed_by(party: RelyingParty, key: bytes, digest: bytes, signature: bytes) -> bool:
    """True when the passkey with this key (x ‖ y) signed the digest, its holder verified, on a page of ours."""
    assertion = decode(signature)
    if assertion is None:
        return False
    client = assertion.client_data
    return (
        is_client_data(client, GET, digest, party.origin)
        and _stands_at(client, assertion.type_index, f'"type":"{GET}"')
        and _stands_at(client, assertion.challenge_index, f'"challenge":"{websafe(digest)}"')
        and is_authenticator_data(assertion.authenticator_data, party.rp_id)
        and 0 < assertion.r < _ORDER
        # One of s and order - s, so that one message has one signature; the contract takes the low one only.
        and 0 < assertion.s <= _ORDER // 2
        and _verifies(key, assertion)
    )


def is_client_data(client_data: bytes, kind: str, challenge: bytes, origin: str) -> bool:
    """WebAuthn §7.2 steps 11 to 13, and no frame of another page in between (``crossOrigin``).

    A browser may add members. JSON that two readers could read differently is none.
    """
    read = parse(client_data)
    return (
        isinstance(read, dict)
        and read.get("type") == kind
        and read.get("challenge") == websafe(challenge)
        and read.get("origin") == origin
        and read.get("crossOrigin", False) is False
        and "topOrigin" not in read
    )


def is_authenticator_data(data: bytes, rp_id: str) -> bool:
    """WebAuthn §7.2 steps 15 to 17: made for our host, the holder present and verified. No other flags contradict."""
    if not _PLAIN_BYTES <= len(data) <= MAX_AUTHENTICATOR_DATA_BYTES:
        return False
    flags = data[_FLAGS_AT]
    extended = bool(flags & _EXTENDED)
    return (
        data[:_FLAGS_AT] == sha256(rp_id.encode()).digest()
        and bool(flags & _PRESENT)
        and bool(flags & _VERIFIED)
        # Backed up though it cannot be: the contract refuses that too
        and (bool(flags & _BACKUP_ELIGIBLE) or not flags & _BACKED_UP)
        # §6.1: an assertion carries no credential data, and more bytes only where extensions are announced
        and not flags & _ATTESTED
        and extended == (len(data) > _PLAIN_BYTES)
    )


def is_key(key: bytes) -> bool:
    """Whether x ‖ y is a point of P-256."""
    try:
        _numbers(key).public_key()
    except ValueError:
        return False
    return len(key) == KEY_BYTES


def websafe(data: bytes) -> str:
    """Base64url without padding, as WebAuthn writes bytes."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _verifies(key: bytes, assertion: Assertion) -> bool:
    signed = assertion.authenticator_data + sha256(assertion.client_data).digest()
    try:
        _numbers(key).public_key().verify(encode_dss_signature(assertion.r, assertion.s), signed, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):  # ValueError: no point of the curve
        return False
    return True


def _numbers(key: bytes) -> EllipticCurvePublicNumbers:
    return EllipticCurvePublicNumbers(int.from_bytes(key[:_WORD]), int.from_bytes(key[_WORD:]), SECP256R1())


def _stands_at(client_data: bytes, index: int, text: str) -> bool:
    return client_data[index : index + len(text)] == text.encode("ascii")


def _bytes_at(signature: bytes, at: int) -> bytes:
    length = int.from_bytes(signature[at : at + _WORD])
    return signature[at + _WORD : at + _WORD + length]


def _tail(data: bytes) -> bytes:
    return len(data).to_bytes(_WORD) + data + bytes(_padded(len(data)) - len(data))


def _padded(length: int) -> int:
    return length + -length % _WORD
