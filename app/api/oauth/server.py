"""The authorization server: Authlib's grammar over our storage. Everything here blocks: it runs in a thread."""

import asyncio
import logging
from typing import Any, cast

from authlib.oauth2.rfc6749 import AuthorizationServer, InvalidGrantError
from authlib.oauth2.rfc6749 import OAuth2Error as OauthError
from authlib.oauth2.rfc9207 import IssuerParameter
from authlib.oidc.rpinitiated import EndSessionRequest

from app.api.oauth.endpoints import DeviceAuthorization, EndSession, Revocation
from app.api.oauth.exchange import DESCRIPTIONS, OauthRequest, Reply
from app.api.oauth.grants import (
    CodeGrant,
    DeviceGrant,
    IssuedCode,
    IssuedDeviceCode,
    IssuedRefresh,
    RefreshGrant,
    S256Only,
)
from app.api.oauth.ground import OauthGround
from app.api.oauth.id_tokens import IdTokens, IdTokensOfCodes
from app.api.oauth.registered import Registered
from app.core.identifiers import UnixTime
from app.core.oauth.scopes import OFFLINE
from app.store.oauth_grants import Allowed, Issued
from app.store.sessions import new_token

# At level debug the library writes tokens into the log (P17).
logging.getLogger("authlib").setLevel(logging.INFO)


# Requests of programs, which anybody may send, that are answered at the same time.
_AT_ONCE = 2


class OauthServer(AuthorizationServer):
    """One per process; any thread may call. ``turns``: to be held, on the event loop, by what anybody may ask."""

    def __init__(self, ground: OauthGround) -> None:
        super().__init__()
        self.ground = ground
        self.turns = asyncio.Semaphore(_AT_ONCE)
        tokens = ground.issuer, ground.key, ground.clock, ground.token_lifetime_s
        self.register_grant(CodeGrant, [S256Only(required=True), IdTokensOfCodes(*tokens)])
        self.register_grant(DeviceGrant, [IdTokens(*tokens)])
        self.register_grant(RefreshGrant)
        self.register_endpoint(DeviceAuthorization)  # type: ignore[arg-type]  # the library's own, by another name
        self.register_endpoint(Revocation)
        self.register_endpoint(EndSession)
        self.register_token_generator("default", _new_tokens)  # type: ignore[arg-type]  # any function
        self.issuer_parameter = _Issuer(ground.issuer)
        self.register_extension(self.issuer_parameter)

    def query_client(self, client_id: str) -> Registered | None:
        found = self.ground.clients.find(client_id)
        return None if found is None else Registered(found)

    def save_token(self, token: dict[str, Any], request: OauthRequest) -> None:
        """Stores what was made, together with the taking of what it was made for. Raises InvalidGrantError."""
        ground, allowed = self.ground, request.user
        now = ground.clock()
        proof = request.refresh_token
        refreshed = proof.refresh if isinstance(proof, IssuedRefresh) else None
        if refreshed is not None:
            allowed, ends_at = refreshed.allowed, refreshed.family_ends_at
        else:
            lifetime = ground.refresh_lifetime_s if "refresh_token" in token else ground.token_lifetime_s
            ends_at = UnixTime(now + lifetime)
        if allowed is None:
            raise RuntimeError("a token for nobody")
        access_ends_at = min(UnixTime(now + ground.token_lifetime_s), ends_at)
        issued = Issued(token["access_token"], access_ends_at, token.get("refresh_token"), ends_at)
        if refreshed is not None:
            if not ground.grants.renew(refreshed, token["scope"], issued):
                # Taken by a request at the same time: one of the two is not the program's
                request.ended += ground.grants.end_family(refreshed.family)
                raise InvalidGrantError
        else:
            family = self._begun(request, issued)
            if family is None:
                raise InvalidGrantError
            request.family = family
        token["expires_in"] = access_ends_at - now
        token["purpose"] = allowed.purpose.name

    def _begun(self, request: OauthRequest, issued: Issued) -> bytes | None:
        grants, code, device = self.ground.grants, request.authorization_code, request.credential
        if isinstance(code, IssuedCode):
            return grants.begin_by_code(code.code, issued)
        if isinstance(device, IssuedDeviceCode) and request.user is not None:
            waiting = device.waiting
            return grants.begin_by_device(waiting.device_hash, waiting.client_id, request.user, issued)
        raise RuntimeError("a token for nothing")

    # What is asked of it, with types

    def token(self, asked: OauthRequest) -> Reply:
        """The answer to a token request."""
        return cast("Reply", self.create_token_response(asked))

    def device_authorization(self, asked: OauthRequest) -> Reply:
        """Codes for a program without a browser."""
        return cast("Reply", self.create_endpoint_response("device_authorization", asked))

    def revocation(self, asked: OauthRequest) -> Reply:
        """The end of a token, and of all that belong to it."""
        return cast("Reply", self.create_endpoint_response("revocation", asked))

    def wanted(self, asked: OauthRequest, signed_in: object) -> CodeGrant:
        """An authorization request, found right. Raises OauthError; ``refused`` answers it."""
        return cast("CodeGrant", self.get_consent_grant(asked, signed_in))

    def decided(self, asked: OauthRequest, grant: CodeGrant, allowed: Allowed | None) -> Reply:
        """Where the browser is sent: with a code, or with the person's no."""
        return cast("Reply", self.create_authorization_response(asked, allowed, grant))

    def ending(self, asked: OauthRequest) -> EndSessionRequest:
        """A request to sign out, found right. Raises OauthError."""
        return cast("EndSessionRequest", self.validate_endpoint_request("end_session", asked))

    def ended(self, ending: EndSessionRequest) -> Reply | None:
        """Signs out; None: there is nowhere to be sent back to."""
        return cast("Reply | None", self.create_endpoint_response("end_session", ending))

    # What Authlib asks of a web framework

    def create_oauth2_request(self, request: OauthRequest) -> OauthRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Reply:  # noqa: ANN401
        return Reply(status, body, list(headers))

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def handle_error_response(self, request: OauthRequest, error: OauthError) -> Reply:
        """The error, in words of ours: the library's quote what was sent."""
        name = error.error or ""
        if name not in DESCRIPTIONS:
            name = "invalid_request"
        told = OauthError(
            error=name, description=DESCRIPTIONS[name], state=error.state, redirect_uri=error.redirect_uri
        )
        reply = self.handle_response(*told())
        if reply.location is None and request.tried_to_authenticate:  # RFC 6749 §5.2
            reply.status = 401
            reply.headers.append(("WWW-Authenticate", 'Basic realm="consentry"'))
        return reply

    def refused(self, request: OauthRequest, error: OauthError) -> Reply:
        """An authorization request's error: to the program where the address is known to be its own (RFC 9207 §2)."""
        reply = self.handle_error_response(request, error)
        self.issuer_parameter.add_issuer_parameter(self, reply)
        return reply


class _Issuer(IssuerParameter):
    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def get_issuer(self) -> str:
        return self._issuer


def _new_tokens(
    *, grant_type: str, client: Registered, user: object, scope: str, expires_in: object, include_refresh_token: bool
) -> dict[str, Any]:
    token = {"access_token": new_token(), "token_type": "Bearer", "scope": scope}
    if include_refresh_token and (grant_type == RefreshGrant.GRANT_TYPE or OFFLINE in scope.split(" ")):
        token["refresh_token"] = new_token()
    return token
