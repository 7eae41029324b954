"""WebAuthn's two ceremonies, registration and authentication, on python-fido2 (ADR 28): options out, answers checked.

The library reads CBOR and COSE and does the checks of WebAuthn §7. Beside it stand the checks that it leaves out or
leaves to its user: the client data have one meaning, no frame of another page, ES256 alone, a point of the curve.
"""

from base64 import urlsafe_b64decode
from binascii import Error as NotBase64Error
from dataclasses import dataclass
from typing import Any

from fido2.cose import ES256
from fido2.server import Fido2Server
from fido2.webauthn import (
    Aaguid,
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticatorData,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from app.core.http.strict_json import parse
from app.core.signing.passkey import CREATE, GET, RelyingParty, is_authenticator_data, is_client_data, is_key, websafe

Json = dict[str, Any]

_ES256_PARTS = {1: 2, 3: ES256.ALGORITHM, -1: 1}  # RFC 9053: kty EC2, alg ES256, crv P-256
_X, _Y = -2, -3


@dataclass(frozen=True, slots=True)
class Made:
    """A passkey that was just made. ``key``: x ‖ y."""

    credential_id: bytes
    key: bytes
    sign_count: int


@dataclass(frozen=True, slots=True)
class Known:
    """A passkey as it is kept."""

    credential_id: bytes
    key: bytes
    user_handle: bytes


def creation_options(party: RelyingParty, challenge: bytes, user_handle: bytes, name: str) -> Json:
    """``PublicKeyCredentialCreationOptionsJSON``: one that the device keeps and opens for its holder only, P-256."""
    options, _state = _server(party).register_begin(
        PublicKeyCredentialUserEntity(id=user_handle, name=name, display_name=name),
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=UserVerificationRequirement.REQUIRED,
        challenge=challenge,
    )
    return dict(options.public_key)


def request_options(party: RelyingParty, challenge: bytes) -> Json:
    """``PublicKeyCredentialRequestOptionsJSON`` for whichever passkey of ours the holder chooses."""
    options, _state = _server(party).authenticate_begin(
        user_verification=UserVerificationRequirement.REQUIRED, challenge=challenge
    )
    return dict(options.public_key)


def challenge_of(credential: Json) -> bytes | None:
    """The challenge that a credential's client data name, or None where they name none."""
    client = parse(_bytes(credential["response"]["clientDataJSON"]))
    named = client.get("challenge") if isinstance(client, dict) else None
    return _bytes(named) if isinstance(named, str) else None


def made(party: RelyingParty, challenge: bytes, credential: Json) -> Made | None:
    """The passkey that answers the challenge, or None where anything about it is not as it was asked for."""
    if not is_client_data(_bytes(credential["response"]["clientDataJSON"]), CREATE, challenge, party.origin):
        return None
    try:
        data = _server(party).register_complete(_state(challenge), credential)
    except Exception:  # noqa: BLE001 - on garbage it raises whatever its CBOR reader stumbles over
        return None
    attested = data.credential_data
    if attested is None or {name: attested.public_key.get(name) for name in _ES256_PARTS} != _ES256_PARTS:
        return None
    x, y = attested.public_key.get(_X), attested.public_key.get(_Y)
    # A point is two strings of bytes; a shortened y, which COSE allows, is no key of ES256 in WebAuthn (§5.8.5)
    if not isinstance(x, bytes) or not isinstance(y, bytes) or not is_key(x + y) or len(x) != len(y):
        return None
    return Made(attested.credential_id, x + y, data.counter)


def shown(party: RelyingParty, challenge: bytes, known: Known, credential: Json) -> int | None:
    """The signature count shown by the passkey that answers the challenge; None where anything is wrong."""
    response = credential["response"]
    data = _bytes(response["authenticatorData"])
    if (
        not is_client_data(_bytes(response["clientDataJSON"]), GET, challenge, party.origin)
        or not is_authenticator_data(data, party.rp_id)
        # §7.2 step 6: the handle is how the device names whose passkey it is
        or _bytes(response["userHandle"]) != known.user_handle
    ):
        return None
    key = ES256({**_ES256_PARTS, _X: known.key[:32], _Y: known.key[32:]})
    attested = AttestedCredentialData.create(Aaguid(bytes(16)), known.credential_id, key)
    try:
        _server(party).authenticate_complete(_state(challenge), [attested], credential)
        return AuthenticatorData(data).counter
    except Exception:  # noqa: BLE001 - see above
        return None


def credential_id_of(credential: Json) -> bytes:
    """The credential's id."""
    return _bytes(credential["rawId"])


def _server(party: RelyingParty) -> Fido2Server:
    server = Fido2Server(
        PublicKeyCredentialRpEntity(name="Consentry", id=party.rp_id),
        attestation=AttestationConveyancePreference.NONE,
        verify_origin=lambda origin: origin == party.origin,
    )
    server.allowed_algorithms = [
        PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=ES256.ALGORITHM)
    ]
    return server


def _state(challenge: bytes) -> Json:
    """What the library would have had us keep between options and answer."""
    return {"challenge": websafe(challenge), "user_verification": UserVerificationRequirement.REQUIRED}


def _bytes(text: str) -> bytes:
    """Base64url, b"" where it is none."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (NotBase64Error, ValueError):
        return b""
