"""The three ways to a token: a code from the browser (RFC 6749 §4.1 with RFC 7636), a code carried by a person
(RFC 8628), and a refresh token (RFC 6749 §6, rotated as RFC 9700 §4.14.2 has it). The grammar is Authlib's.
"""

from typing import cast

from authlib.oauth2.rfc6749 import AuthorizationCodeGrant, InvalidGrantError, InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc6749 import OAuth2Error as OauthError
from authlib.oauth2.rfc6749.grants import RefreshTokenGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import DeviceCodeGrant
from authlib.oidc.core import AuthorizationCodeMixin

from app.api.oauth.exchange import OauthRequest
from app.api.oauth.ground import CODE_LIFETIME_S, OauthGround
from app.api.oauth.registered import Registered
from app.core.identifiers import UnixTime
from app.core.oauth.scopes import read
from app.store.oauth_devices import Waiting
from app.store.oauth_grants import Allowed, Code, Refresh
from app.store.sessions import hash_of

_PUBLIC = ["none"]
_METHOD = "S256"


class IssuedCode(AuthorizationCodeMixin):
    """A stored code as Authlib asks about it."""

    code_challenge_method = _METHOD

    def __init__(self, code: Code) -> None:
        self.code = code
        self.code_challenge = code.code_challenge

    def get_redirect_uri(self) -> str:
        return self.code.redirect_uri

    def get_scope(self) -> str:
        return self.code.allowed.scope

    def get_nonce(self) -> str | None:
        return self.code.nonce

    def get_auth_time(self) -> UnixTime:
        return self.code.allowed.auth_time


class CodeGrant(AuthorizationCodeGrant):
    """A code for somebody's browser to carry back: once, soon, to the same program with the same secret."""

    TOKEN_ENDPOINT_AUTH_METHODS = _PUBLIC
    request: OauthRequest

    @property
    def _ground(self) -> OauthGround:
        return cast("OauthGround", self.server.ground)

    def validate_requested_scope(self) -> None:
        given = self.request.parameters
        if read(given.get("scope"), given.get("purpose")) is None:
            raise InvalidScopeError

    def validate_authorization_request(self) -> str:
        redirect_uri = super().validate_authorization_request()
        given = self.request.parameters
        # OpenID Connect Core §3.1.2.6, RFC 9101: said, rather than ignored
        for name, error in (("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")):
            if name in given:
                raise OauthError(error=error, redirect_uri=redirect_uri)
        if given.get("response_mode", "query") != "query":
            raise InvalidRequestError(redirect_uri=redirect_uri)
        return redirect_uri

    def save_authorization_code(self, code: str, request: OauthRequest) -> None:
        given, allowed = request.parameters, request.user
        if allowed is None:
            raise RuntimeError("a code for nobody")
        self._ground.grants.keep_code(
            Code(
                hash_of(code),
                request.client.get_client_id(),
                given["redirect_uri"],
                given["code_challenge"],
                given.get("nonce"),
                allowed,
                UnixTime(self._ground.clock() + CODE_LIFETIME_S),
            )
        )

    def query_authorization_code(self, code: str, client: Registered) -> IssuedCode | None:
        found = self._ground.grants.code(code)
        if found is None:
            return None
        if found.used:
            # RFC 6749 §4.1.2: somebody has it who should not; what came of it is worth nothing any more
            if found.family is not None:
                self.request.ended += self._ground.grants.end_family(found.family)
            return None
        if found.client_id != client.get_client_id() or self._ground.clock() >= found.expires_at:
            return None
        return IssuedCode(found)

    def authenticate_user(self, authorization_code: IssuedCode) -> Allowed:
        return authorization_code.code.allowed

    def delete_authorization_code(self, authorization_code: IssuedCode) -> None:
        """It was taken in the transaction that stored the tokens."""


class S256Only(CodeChallenge):
    """PKCE is asked of every program, and a challenge that is the secret itself is none (RFC 9700 §2.1.1)."""

    SUPPORTED_CODE_CHALLENGE_METHOD = [_METHOD]

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        given = grant.request.parameters
        if "code_challenge" not in given or given.get("code_challenge_method") != _METHOD:
            raise InvalidRequestError
        super().validate_code_challenge(grant, redirect_uri)


class DeviceGrant(DeviceCodeGrant):
    """A program asks whether somebody has entered its code, until they have."""

    TOKEN_ENDPOINT_AUTH_METHODS = _PUBLIC
    request: OauthRequest

    @property
    def _ground(self) -> OauthGround:
        return cast("OauthGround", self.server.ground)

    def query_device_credential(self, device_code: str) -> "IssuedDeviceCode":
        found = self._ground.devices.by_device_code(device_code)
        # RFC 6749 §5.2; the client was authenticated before, by this parameter
        if found is None or found.used or found.client_id != self.request.payload.client_id:
            raise InvalidGrantError
        return IssuedDeviceCode(found, expired=self._ground.clock() >= found.expires_at)

    def query_user_grant(self, user_code: Waiting) -> tuple[Allowed | None, bool] | None:  # what get_user_code gave
        return (user_code.allowed, user_code.allowed is not None) if user_code.answered else None

    def should_slow_down(self, credential: "IssuedDeviceCode") -> bool:
        return not self._ground.devices.polled(credential.waiting.device_hash)


class IssuedDeviceCode:
    """A stored device code as Authlib asks about it."""

    def __init__(self, waiting: Waiting, *, expired: bool) -> None:
        self.waiting = waiting
        self._expired = expired

    def get_client_id(self) -> str:
        return self.waiting.client_id

    def get_scope(self) -> str:
        return self.waiting.scope

    def get_user_code(self) -> Waiting:
        return self.waiting  # the code itself is not stored, and not needed

    def is_expired(self) -> bool:
        return self._expired


class RefreshGrant(RefreshTokenGrant):
    """A refresh token for a new one. One that comes a second time was stolen, or its thief came first: all is ended."""

    TOKEN_ENDPOINT_AUTH_METHODS = _PUBLIC
    INCLUDE_NEW_REFRESH_TOKEN = True
    request: OauthRequest

    @property
    def _ground(self) -> OauthGround:
        return cast("OauthGround", self.server.ground)

    def authenticate_refresh_token(self, refresh_token: str) -> "IssuedRefresh | None":
        found = self._ground.grants.refresh(refresh_token)
        if found is None:
            return None
        if found.used:
            self.request.ended += self._ground.grants.end_family(found.family)
        return None if found.over or self._ground.clock() >= found.expires_at else IssuedRefresh(found)

    def authenticate_user(self, refresh_token: "IssuedRefresh") -> Allowed:
        return refresh_token.refresh.allowed

    def revoke_old_credential(self, refresh_token: "IssuedRefresh") -> None:
        """It was taken in the transaction that stored the tokens."""


class IssuedRefresh:
    """A stored refresh token as Authlib asks about it."""

    def __init__(self, refresh: Refresh) -> None:
        self.refresh = refresh

    def check_client(self, client: Registered) -> bool:
        return self.refresh.client_id == client.get_client_id()

    def get_scope(self) -> str:
        return self.refresh.allowed.scope
