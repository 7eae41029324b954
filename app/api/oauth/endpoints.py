"""What programs ask besides tokens: a code for a person to enter (RFC 8628 §3.1), an end to a token (RFC 7009), an end
to the sign-in (OpenID Connect RP-Initiated Logout 1.0).
"""

from dataclasses import replace
from typing import Any, cast

from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError, UnauthorizedClientError
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE, DeviceAuthorizationEndpoint
from authlib.oidc.rpinitiated import EndSessionEndpoint, EndSessionRequest
from joserfc.jwk import KeySet

from app.api.oauth.exchange import OauthRequest
from app.api.oauth.ground import DEVICE_LIFETIME_S, POLL_INTERVAL_S, OauthGround
from app.api.oauth.id_tokens import ALGORITHM
from app.api.oauth.registered import Registered
from app.core.identifiers import UnixTime
from app.core.oauth.scopes import granted, read
from app.store.oauth_grants import FAMILY_BYTES

VERIFICATION_PATH = "/oauth/device"


class DeviceAuthorization(DeviceAuthorizationEndpoint):
    """Gives a program two codes: one to ask with, one for the person to enter."""

    CLIENT_AUTH_METHODS = ["none"]
    EXPIRES_IN = DEVICE_LIFETIME_S
    INTERVAL = POLL_INTERVAL_S

    @property
    def _ground(self) -> OauthGround:
        return cast("OauthGround", self.server.ground)

    def create_endpoint_response(self, request: OauthRequest) -> Any:  # noqa: ANN401 - a triple of the library's
        client: Registered = self.authenticate_client(request)
        if not client.check_grant_type(DEVICE_CODE_GRANT_TYPE):
            raise UnauthorizedClientError
        given = request.parameters
        asked = read(given.get("scope"), given.get("purpose"))
        if asked is None or not granted(asked, set(client.client.scopes), may_upload=True):
            raise InvalidScopeError
        # What the library hands on is the scope alone, so the purpose goes with it
        told = replace(asked, purpose_in_scope=True)
        given["scope"] = granted(told, set(client.client.scopes), may_upload=True)
        return super().create_endpoint_response(request)

    def get_verification_uri(self) -> str:
        return self._ground.issuer + VERIFICATION_PATH

    def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
        asked = read(scope)
        self._ground.devices.keep(
            data["device_code"],
            data["user_code"],
            client_id,
            scope,
            None if asked is None else asked.purpose,
            UnixTime(self._ground.clock() + DEVICE_LIFETIME_S),
            POLL_INTERVAL_S,
        )


class Revocation(RevocationEndpoint):
    """A program gives back what it was allowed. Whichever of its tokens it names, all of them end."""

    CLIENT_AUTH_METHODS = ["none"]

    @property
    def _ground(self) -> OauthGround:
        return cast("OauthGround", self.server.ground)

    def query_token(self, token_string: str, token_type_hint: str | None) -> "OfFamily | None":
        refresh = self._ground.grants.refresh(token_string)
        if refresh is not None:
            return OfFamily(refresh.client_id, refresh.family)
        access = self._ground.grants.family_of_access(token_string)
        return None if access is None else OfFamily(*access)

    def revoke_token(self, token: "OfFamily", request: OauthRequest) -> None:
        request.ended += self._ground.grants.end_family(token.family)


class OfFamily:
    """A token, as far as it matters here."""

    def __init__(self, client_id: str, family: bytes) -> None:
        self._client_id = client_id
        self.family = family

    def check_client(self, client: Registered) -> bool:
        return self._client_id == client.get_client_id()


class EndSession(EndSessionEndpoint):
    """A program signs its person out. Only with an ID token of ours is anything done without asking them."""

    @property
    def _ground(self) -> OauthGround:
        return cast("OauthGround", self.server.ground)

    def get_server_jwks(self) -> KeySet:
        return self._ground.key.key_set

    def get_algorithms(self) -> list[str]:
        return [ALGORITHM]

    def validate_request(self, request: OauthRequest) -> EndSessionRequest:
        asked = super().validate_request(request)
        if asked.id_token_claims is not None and asked.id_token_claims.get("iss") != self._ground.issuer:
            raise InvalidRequestError
        return asked

    def end_session(self, end_session_request: EndSessionRequest) -> None:
        family = family_of(end_session_request)
        if family is None:
            return
        request = cast("OauthRequest", end_session_request.request)
        request.ended += self._ground.grants.end_sign_in(family)


def family_of(asked: EndSessionRequest) -> bytes | None:
    """The family of tokens that the ID token came with; None where it says none of ours."""
    sid = (asked.id_token_claims or {}).get("sid", "")
    try:
        family = bytes.fromhex(sid)
    except (TypeError, ValueError):
        return None
    return family if len(family) == FAMILY_BYTES else None
