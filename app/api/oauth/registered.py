"""A registered program as Authlib asks about it."""

from typing import Any

from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE

from app.core.oauth.redirects import fits
from app.core.oauth.scopes import OFFLINE, granted, read
from app.store.oauth_clients import OauthClient


class Registered(ClientMixin):
    """Public: it has no secret, and proves itself by PKCE and by where it is reached."""

    def __init__(self, client: OauthClient) -> None:
        self.client = client

    @property
    def client_metadata(self) -> dict[str, Any]:
        return {"post_logout_redirect_uris": list(self.client.post_logout_redirect_uris)}

    def get_client_id(self) -> str:
        return self.client.client_id

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str) -> str | None:
        """No wider than it is registered for; what the person may not do is taken away when they are asked."""
        asked = read(scope)
        return (asked and granted(asked, set(self.client.scopes), may_upload=True)) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return any(fits(known, redirect_uri, native=self.client.native) for known in self.client.redirect_uris)

    def check_client_secret(self, client_secret: str) -> bool:
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "none"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and bool(self.client.redirect_uris)

    def check_grant_type(self, grant_type: str) -> bool:
        return {
            "authorization_code": bool(self.client.redirect_uris),
            "refresh_token": OFFLINE in self.client.scopes,
            DEVICE_CODE_GRANT_TYPE: self.client.device,
        }.get(grant_type, False)
