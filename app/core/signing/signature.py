"""Recover the account that signed a digest, as strictly as the contracts do (EIP-2: low s; v 27 or 28)."""

from coincurve import PublicKey

from app.core.identifiers import Address
from app.core.keccak import keccak256

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def recover(digest: bytes, signature: bytes) -> Address | None:
    """The signer of ``digest`` (32 bytes) by ``signature`` (r ‖ s ‖ v, 65 bytes), or None where it is not one.

    A high s, a v other than 27 or 28, and an r or s out of range are no signatures: they would give one message two
    signatures, or be accepted here and refused on the chain.
    """
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    if not 0 < r < _ORDER or not 0 < s <= _ORDER // 2:
        return None
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([signature[64] - 27]), digest, hasher=None)
    except Exception:  # noqa: BLE001 - coincurve raises its bare Exception for an r that is on no curve point
        return None
    return Address(keccak256(key.format(compressed=False)[1:])[12:])


def eip191_digest(text: str) -> bytes:
    """The digest that ``personal_sign`` signs for a text (EIP-191 version 0x45)."""
    body = text.encode()
    return keccak256(b"\x19Ethereum Signed Message:\n" + str(len(body)).encode() + body)
