"""The gateway as the command line reaches it: over HTTP like everybody else, signed in with a wallet."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import requests
import typer
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_account.signers.local import LocalAccount

from app.commands.output import CommandError

_TIMEOUT_S = 60

GatewayOption = Annotated[
    str, typer.Option("--gateway", envvar="CONSENTRY_GATEWAY_URL", help="The gateway's address.", show_default=True)
]
KeystoreOption = Annotated[
    Path | None,
    typer.Option(
        "--keystore", help="An encrypted key file (its password comes from CONSENTRY_KEYSTORE_PASSWORD or a prompt)."
    ),
]
DEFAULT_GATEWAY = "http://localhost:8080"


@dataclass(frozen=True, slots=True)
class Client:
    """One gateway, as one caller (``token`` "" before signing in)."""

    gateway: str
    token: str = ""

    def get(self, path: str, **query: str | int | None) -> Any:  # noqa: ANN401 - the API's JSON
        """The JSON answer. Raises CommandError naming the problem."""
        return self._send("GET", path, params={k: v for k, v in query.items() if v is not None})

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - the API's JSON
        """The JSON answer. Raises CommandError naming the problem."""
        return self._send("POST", path, json=body if body is not None else {})

    def delete(self, path: str) -> Any:  # noqa: ANN401 - the API's JSON
        """The JSON answer. Raises CommandError naming the problem."""
        return self._send("DELETE", path)

    def until(self, path: str, satisfied: Callable[[Any], bool], within_s: float) -> Any:  # noqa: ANN401 - the API's JSON
        """Ask again until the answer satisfies. Raises CommandError when it does not within that many seconds."""
        deadline = time.monotonic() + within_s
        while not satisfied(answer := self.get(path)):
            if time.monotonic() > deadline:
                raise CommandError(f"{path} did not change within {within_s:.0f} s")
            time.sleep(0.1)
        return answer

    def _send(self, method: str, path: str, **request: Any) -> Any:  # noqa: ANN401 - the API's JSON
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            answer = requests.request(
                method,
                self.gateway.rstrip("/") + path,
                headers=headers,
                timeout=_TIMEOUT_S,
                allow_redirects=False,
                **request,
            )
        except requests.RequestException as error:
            raise CommandError(f"the gateway cannot be reached ({type(error).__name__})") from None
        if answer.status_code >= 400:
            raise CommandError(_problem(answer))
        return answer.json() if answer.content else None


def wallet(keystore: Path | None) -> LocalAccount:
    """The caller's account: from a keystore file, else from CONSENTRY_WALLET_KEY. Raises CommandError."""
    if keystore is not None:
        password = os.environ.get("CONSENTRY_KEYSTORE_PASSWORD") or typer.prompt("Password", hide_input=True, err=True)
        try:
            key = "0x" + bytes(Account.decrypt(keystore.read_text(), password)).hex()
        except (OSError, ValueError, KeyError, TypeError):
            raise CommandError("the keystore file cannot be opened with this password") from None
    else:
        key = os.environ.get("CONSENTRY_WALLET_KEY", "")
        if not key:
            raise CommandError("no wallet: give --keystore FILE or set CONSENTRY_WALLET_KEY")
    try:
        account: LocalAccount = Account.from_key(key)
    except (ValueError, TypeError):
        raise CommandError("CONSENTRY_WALLET_KEY is not a private key of 32 bytes in hexadecimal") from None
    return account


def sign_in(gateway: str, account: LocalAccount, purpose: str | None = None) -> tuple[Client, dict[str, Any]]:
    """A client that is signed in, and the sign-in's answer (access_token, expires_in, address, roles)."""
    client = Client(gateway)
    asked = client.post("/auth/siwe/nonce", {"address": account.address})
    signature = account.sign_message(encode_defunct(text=asked["message"])).signature
    body = {"message": asked["message"], "signature": "0x" + signature.hex()}
    answer = client.post("/auth/siwe/verify", body | ({"purpose": purpose} if purpose else {}))
    return Client(gateway, answer["access_token"]), answer


def signed_in(gateway: str, keystore: Path | None, purpose: str | None = None) -> Client:
    """A client from CONSENTRY_TOKEN if set, else by signing in with the wallet."""
    token = os.environ.get("CONSENTRY_TOKEN", "")
    if token and keystore is None:
        return Client(gateway, token)
    return sign_in(gateway, wallet(keystore), purpose)[0]


def sign_typed(account: LocalAccount, typed_data: dict[str, Any]) -> str:
    """The wallet's signature over a typed-data document, as ``eth_signTypedData_v4`` gives it."""
    return "0x" + account.sign_message(encode_typed_data(full_message=typed_data)).signature.hex()


def _problem(answer: requests.Response) -> str:
    try:
        document = answer.json()
        return f"{answer.status_code} {document['type'].rsplit(':', 1)[-1]}: {document['title']}"
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {answer.status_code}"
