"""An authenticator in software: what a phone with a passkey answers, field by field, so that each can be wrong.

Written from WebAuthn Level 2 and CTAP2's CBOR alone; ``tests/api/test_passkeys.py`` holds it to a library.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from app.core.identifiers import Address
from app.core.signing.passkey import Assertion, RelyingParty, encode

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PRESENT, VERIFIED, BACKUP_ELIGIBLE, BACKED_UP, ATTESTED, EXTENDED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80


def websafe(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def from_websafe(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser has from the authenticator for an assertion. ``r`` and ``s`` are the signature's numbers."""

    authenticator_data: bytes
    client_data: bytes
    r: int
    s: int

    @property
    def signature(self) -> bytes:
        """As WebAuthn gives it: DER."""
        return encode_dss_signature(self.r, self.s)

    def encoded(self, **other: int | bytes) -> bytes:
        """As the contracts take it, unless a field is to be another."""
        fields: dict[str, Any] = {
            "r": self.r,
            "s": min(self.s, ORDER - self.s),
            "challenge_index": max(0, self.client_data.find(b'"challenge"')),
            "type_index": max(0, self.client_data.find(b'"type"')),
            "authenticator_data": self.authenticator_data,
            "client_data": self.client_data,
        }
        return encode(Assertion(**{**fields, **other}))


@dataclass
class Authenticator:
    """One passkey on one device. ``origin`` is the page it is used on, ``rp_id`` whom the page says it is for."""

    origin: str = "http://localhost:8080"
    rp_id: str = "localhost"
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = bytes(range(16))
    user_handle: bytes = b""
    count: int = 0
    flags: int = PRESENT | VERIFIED

    @classmethod
    def party(cls, verifier: Address) -> RelyingParty:
        """Whom a device made without arguments is used with."""
        return RelyingParty(cls.origin, verifier)

    @property
    def key(self) -> bytes:
        """The public key, x ‖ y."""
        numbers = self.private.public_key().public_numbers()
        return numbers.x.to_bytes(32) + numbers.y.to_bytes(32)

    def client_data(self, kind: str, challenge: bytes, /, **other: object) -> bytes:
        """As Chromium writes it; a member given as None is left out."""
        members = {"type": kind, "challenge": websafe(challenge), "origin": self.origin, "crossOrigin": False, **other}
        kept = {name: value for name, value in members.items() if value is not None}
        return json.dumps(kept, separators=(",", ":")).encode()

    def authenticator_data(self, flags: int | None = None, more: bytes = b"") -> bytes:
        given = self.flags if flags is None else flags
        return sha256(self.rp_id.encode()).digest() + bytes([given]) + self.count.to_bytes(4) + more

    def sign(
        self, challenge: bytes, *, client_data: bytes | None = None, authenticator_data: bytes | None = None
    ) -> Answer:
        """An assertion over the challenge; the other two are made well unless given."""
        self.count += 1
        data = self.authenticator_data() if authenticator_data is None else authenticator_data
        client = self.client_data("webauthn.get", challenge) if client_data is None else client_data
        signature = self.private.sign(data + sha256(client).digest(), ec.ECDSA(SHA256(), deterministic_signing=True))
        return Answer(data, client, *decode_dss_signature(signature))

    def get(self, options: dict[str, Any], **given: Any) -> dict[str, Any]:
        """What ``navigator.credentials.get`` gives for these options, as our pages send it."""
        answer = self.sign(from_websafe(options["challenge"]), **given)
        return self.credential(
            {
                "clientDataJSON": websafe(answer.client_data),
                "authenticatorData": websafe(answer.authenticator_data),
                "signature": websafe(answer.signature),
                "userHandle": websafe(self.user_handle),
            }
        )

    def create(
        self,
        options: dict[str, Any],
        *,
        client_data: bytes | None = None,
        cose: bytes | None = None,
        flags: int | None = None,
        fmt: str = "none",
    ) -> dict[str, Any]:
        """What ``navigator.credentials.create`` gives for these options, as our pages send it."""
        self.user_handle = from_websafe(options["user"]["id"])
        client = client_data or self.client_data("webauthn.create", from_websafe(options["challenge"]))
        attested = bytes(16) + len(self.credential_id).to_bytes(2) + self.credential_id + (cose or self.cose())
        data = self.authenticator_data((self.flags if flags is None else flags) | ATTESTED, attested)
        attestation = (
            b"\xa3" + _text("fmt") + _text(fmt) + _text("attStmt") + b"\xa0" + _text("authData") + _bytes(data)
        )
        return self.credential({"clientDataJSON": websafe(client), "attestationObject": websafe(attestation)})

    def credential(self, response: dict[str, str]) -> dict[str, Any]:
        name = websafe(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response}

    def cose(self, algorithm: int = -7, curve: int = 1, x: bytes | None = None, y: bytes | None = None) -> bytes:
        """The public key as a COSE_Key (RFC 9052): kty EC2, alg, crv, x, y."""
        parts = b"\x01\x02" + b"\x03" + _integer(algorithm) + b"\x20" + _integer(curve)
        return (
            b"\xa5"
            + parts
            + b"\x21"
            + _bytes(self.key[:32] if x is None else x)
            + b"\x22"
            + _bytes(self.key[32:] if y is None else y)
        )


def _integer(value: int) -> bytes:
    return _head(0, value) if value >= 0 else _head(1, -1 - value)


def _bytes(value: bytes) -> bytes:
    return _head(2, len(value)) + value


def _text(value: str) -> bytes:
    return _head(3, len(value)) + value.encode()


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    return bytes([major << 5 | 24, value]) if value < 256 else bytes([major << 5 | 25]) + value.to_bytes(2)
