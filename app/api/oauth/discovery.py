"""What sign-in for programs can do, as they look it up (OpenID Connect Discovery 1.0 §3, RFC 8414 §2)."""

from typing import Any

from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE

from app.api.oauth.endpoints import VERIFICATION_PATH
from app.api.oauth.id_tokens import ALGORITHM
from app.core.consent.terms import Purpose
from app.core.oauth.scopes import PURPOSE_PREFIX, SCOPES

AUTHORIZE, DEVICE, END_SESSION = "/oauth/authorize", VERIFICATION_PATH, "/oauth/end_session"


def metadata(issuer: str) -> dict[str, Any]:
    """The document. ``issuer``: the public address."""
    return {
        "issuer": issuer,
        "authorization_endpoint": issuer + AUTHORIZE,
        "token_endpoint": issuer + "/oauth/token",
        "device_authorization_endpoint": issuer + "/oauth/device_authorization",
        "userinfo_endpoint": issuer + "/oauth/userinfo",
        "jwks_uri": issuer + "/oauth/jwks",
        "revocation_endpoint": issuer + "/oauth/revoke",
        "end_session_endpoint": issuer + END_SESSION,
        "scopes_supported": [*SCOPES, *(PURPOSE_PREFIX + purpose.name for purpose in Purpose)],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_CODE_GRANT_TYPE],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "sid", "name", "purpose"],
        "prompt_values_supported": ["none", "login", "consent"],
        "service_documentation": issuer + "/openapi.json",
    }
