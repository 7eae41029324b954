"""Requests and answers as Authlib sees them. Its server runs in a thread; what it ended there is told afterwards."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.oauth2.rfc6749 import OAuth2Payload, OAuth2Request

from app.store.oauth_grants import Allowed

Headers = list[tuple[str, str]]
MULTIPLE_OR_MALFORMED = "The request is malformed, lacks a parameter or has one twice"
# RFC 6749 §4.1.2.1, §5.2, RFC 7009 §2.2.1, RFC 8628 §3.5, OpenID Connect Core §3.1.2.6. Fixed texts: the library's own
# quote what was sent.
DESCRIPTIONS: Mapping[str, str] = {
    "invalid_request": MULTIPLE_OR_MALFORMED,
    "invalid_client": "No such program is registered here, or it tried to authenticate",
    "invalid_grant": "The code or token is not valid, was used before, or was issued to another",
    "unauthorized_client": "The program is not registered for this",
    "unsupported_grant_type": "This grant type is not supported",
    "unsupported_response_type": "This response type is not supported",
    "unsupported_token_type": "This type of token is not supported",
    "invalid_scope": "The scope or the purpose is malformed, or nothing of it can be granted",
    "access_denied": "The person did not allow it",
    "login_required": "The person has to sign in first",
    "consent_required": "The person has to be asked",
    "interaction_required": "The person has to be asked",
    "request_not_supported": "Parameters in a JWT are not supported",
    "request_uri_not_supported": "Parameters by reference are not supported",
    "authorization_pending": "The person has not answered yet",
    "slow_down": "Ask less often",
    "expired_token": "Nobody answered in time",
}


class Parameters(OAuth2Payload):
    """What was asked, each name once."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = dict(given)

    @property
    def data(self) -> dict[str, str]:
        return self._given

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        return defaultdict(list, {name: [value] for name, value in self._given.items()})


class OauthRequest(OAuth2Request):
    """One request. ``ended``: the sessions that ended while it was answered, for this
    gateway's memory to forget; ``family``: of the tokens that it got.
    """

    payload: Parameters
    user: Allowed | None
    client: Any
    authorization_code: Any
    refresh_token: Any
    credential: Any

    def __init__(self, method: str, uri: str, given: Mapping[str, str], headers: Mapping[str, str]) -> None:
        super().__init__(method, uri, headers=dict(headers))
        self.payload = Parameters(given)
        self.tried_to_authenticate = "authorization" in headers
        self.ended: list[bytes] = []
        self.family = b""

    @property
    def args(self) -> dict[str, str]:
        return self.parameters

    @property
    def form(self) -> dict[str, str]:
        return self.parameters

    @property
    def parameters(self) -> dict[str, str]:
        """Where they stood, query or body, was settled when they were read."""
        return self.payload.data


@dataclass(slots=True)
class Reply:
    """An answer before it is one of the web framework's. ``body``: JSON, or "" with a ``location``."""

    status: int
    body: Any
    headers: Headers = field(default_factory=list)

    @property
    def location(self) -> str | None:
        return next((value for name, value in self.headers if name == "Location"), None)

    @location.setter
    def location(self, value: str) -> None:
        self.headers = [(name, old if name != "Location" else value) for name, old in self.headers]
