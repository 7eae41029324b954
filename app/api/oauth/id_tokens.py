"""ID tokens (OpenID Connect Core §2): who signed in, where and when, signed with ES256."""

from collections.abc import Callable
from typing import Any

from authlib.oidc.core.grants import OpenIDCode, OpenIDToken
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, KeySet

from app.api.hexadecimal import checksum
from app.api.oauth.exchange import OauthRequest
from app.api.oauth.registered import Registered
from app.core.identifiers import UnixTime
from app.store.oauth_grants import Allowed

ALGORITHM = "ES256"
KEY_BYTES = 32


class SigningKey:
    """The key that ID tokens are signed with, named by its thumbprint (RFC 7638)."""

    def __init__(self, secret: bytes) -> None:
        """``secret``: 32 random bytes. Raises ValueError for one that is no private key of P-256."""
        scalar = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        pem = scalar.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        bare = ECKey.import_key(pem)
        self.key_id = bare.thumbprint()
        self.key = ECKey.import_key(pem, {"kid": self.key_id, "use": "sig", "alg": ALGORITHM})

    @property
    def key_set(self) -> KeySet:
        return KeySet([self.key])

    def public(self) -> dict[str, Any]:
        """The key set as everybody may have it (RFC 7517)."""
        return {"keys": [self.key.as_dict(private=False)]}


class IdTokens(OpenIDToken):
    """Adds an ID token to the answer of a token request that asks for ``openid``."""

    def __init__(self, issuer: str, key: SigningKey, clock: Callable[[], UnixTime], lifetime_s: int) -> None:
        self._issuer = issuer
        self._key = key
        self._clock = clock
        self._lifetime_s = lifetime_s

    def resolve_client_private_key(self, client: Registered) -> ECKey:
        return self._key.key

    def get_client_algorithm(self, client: Registered) -> str:
        return ALGORITHM

    def get_encode_header(self, client: Registered) -> dict[str, Any]:
        return {"alg": ALGORITHM, "kid": self._key.key_id, "typ": "JWT"}

    def get_compatible_claims(self, request: OauthRequest) -> dict[str, Any]:
        now, allowed = self._clock(), request.user
        if allowed is None or request.client is None:
            raise RuntimeError("a token for nobody")
        return {
            "iss": self._issuer,
            "aud": request.client.get_client_id(),
            "iat": now,
            "exp": now + self._lifetime_s,
            "auth_time": allowed.auth_time,
            # RFC 8176: possession of a key, and by whose means it is kept is not known here
            "amr": ["pop"],
            "sid": request.family.hex(),
        }

    def generate_user_info(self, user: Allowed, scope: str) -> dict[str, Any]:
        return {"sub": checksum(user.actor), "purpose": user.purpose.name}


class IdTokensOfCodes(IdTokens, OpenIDCode):
    """The same where a browser comes by: with the nonce that the program sent."""

    def __init__(self, issuer: str, key: SigningKey, clock: Callable[[], UnixTime], lifetime_s: int) -> None:
        IdTokens.__init__(self, issuer, key, clock, lifetime_s)
        self.require_nonce = False

    def exists_nonce(self, nonce: str, request: OauthRequest) -> bool:
        # It is the program that must not take one twice (OpenID Connect Core §15.5.2); a code here works once anyway.
        return False
