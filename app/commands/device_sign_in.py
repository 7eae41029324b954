"""Signs in with a code that is entered on another device (RFC 8628), as any program without a browser does."""

import time
from collections.abc import Callable
from typing import Any

import requests

from app.commands.output import CommandError

_TIMEOUT_S = 60
_SLOWER_BY_S = 5
_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def sign_in_elsewhere(
    gateway: str, client_id: str, scope: str, purpose: str | None, say: Callable[[str], None]
) -> dict[str, Any]:
    """The token's document, once somebody allowed it; ``say`` tells them where. Raises CommandError."""
    gateway = gateway.rstrip("/")
    asked = {"client_id": client_id, "scope": scope} | ({"purpose": purpose} if purpose else {})
    status, waiting = _post(f"{gateway}/oauth/device_authorization", asked)
    if status != 200:
        raise CommandError(_said(status, waiting))
    say(f"Open {waiting['verification_uri']} where your wallet is, and enter the code {waiting['user_code']}")
    say(f"or open {waiting['verification_uri_complete']} and compare the code")
    interval_s, ends_at = waiting["interval"], time.monotonic() + waiting["expires_in"]
    polled = {"grant_type": _GRANT, "device_code": waiting["device_code"], "client_id": client_id}
    while time.monotonic() < ends_at:
        time.sleep(interval_s)
        status, answer = _post(f"{gateway}/oauth/token", polled)
        error = answer.get("error")
        if status == 200:
            return answer
        if error == "slow_down":
            interval_s += _SLOWER_BY_S
        elif error != "authorization_pending":
            raise CommandError(_said(status, answer))
    raise CommandError("nobody entered the code in time")


def _post(url: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
    try:
        answer = requests.post(url, form, timeout=_TIMEOUT_S, allow_redirects=False)
        document = answer.json()
    except requests.RequestException as error:
        raise CommandError(f"the gateway cannot be reached ({type(error).__name__})") from None
    return answer.status_code, document if isinstance(document, dict) else {}


def _said(status: int, document: dict[str, Any]) -> str:
    return f"{status} {document.get('error') or document.get('type')}: {document.get('error_description', '')}"
