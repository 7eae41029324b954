"""A phone that keeps passkeys, as Chromium plays one (WebDriver's virtual authenticator, over CDP)."""

from typing import Any

from playwright.sync_api import Browser

from tests.browser.chromium import Wallet, Window

_PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}


class Device:
    """The authenticator of one window. ``credentials``: passkeys that it has from elsewhere, as ``credentials`` gave
    them.
    """

    def __init__(self, window: Window, credentials: list[dict[str, Any]] | None = None) -> None:
        self._session = window.context.new_cdp_session(window.page)
        self._session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        self._id = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
        for credential in credentials or []:
            self._session.send("WebAuthn.addCredential", {"authenticatorId": self._id, "credential": credential})

    @property
    def credentials(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._session.send("WebAuthn.getCredentials", {"authenticatorId": self._id})[
            "credentials"
        ]
        return found

    def refuse(self, *, refuse: bool = True) -> None:
        """The finger is not the holder's, or the holder presses Cancel: a page is told the same."""
        self._session.send("WebAuthn.setUserVerified", {"authenticatorId": self._id, "isUserVerified": not refuse})


class Phone(Window):
    """A window the size of a phone. ``keeps``: whether the phone keeps passkeys at all."""

    def __init__(
        self,
        browser: Browser,
        origin: str,
        wallet: Wallet | None = None,
        *,
        credentials: list[dict[str, Any]] | None = None,
        keeps: bool = True,
        beside: str = "",
    ) -> None:
        super().__init__(browser, origin, wallet, beside, **_PHONE)
        # Before any page looks whether there is one
        self.device = Device(self, credentials) if keeps else None

    @property
    def credentials(self) -> list[dict[str, Any]]:
        """The passkeys that the phone keeps."""
        return [] if self.device is None else self.device.credentials

    def refuse(self, *, refuse: bool = True) -> None:
        """The holder does not confirm, until they do again."""
        assert self.device is not None
        self.device.refuse(refuse=refuse)
