"""Passkeys and contract wallets on a running stack: claimed with, signed in with, granted and revoked with."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_account.signers.local import LocalAccount

from app.commands.client import Client, sign_typed
from app.commands.output import CommandError
from app.core.http.credentials import SESSION_COOKIE
from app.core.keccak import keccak256
from tests.support.authenticator import Answer, Authenticator
from tests.support.contract_wallet import ContractWallet
from tests.support.live import Live

_FINAL_S = 60


@dataclass
class Patient:
    """Somebody who has claimed with a passkey, and their phone."""

    live: Live
    device: Authenticator
    signer: str
    patient_key: str

    def signed_in(self) -> Client:
        client = Client(self.live.url)
        options = client.post("/auth/passkey/signin/options")["public_key"]
        answer = client.post("/auth/passkey/signin/verify", {"credential": self.device.get(options)})
        return Client(self.live.url, answer["access_token"])


def _device(live: Live) -> Authenticator:
    return Authenticator(origin=live.document["gateway_url"], credential_id=time.time_ns().to_bytes(16))


def _code(live: Live, patient_id: str) -> str:
    answer = live.signed_in("registrar").post("/api/enrolments", {"patient_id": patient_id, "issuer": "T"})
    assert answer["claim_url"] == f"{live.document['gateway_url']}/claim#{answer['code']}"
    return str(answer["code"])


def _made(live: Live, device: Authenticator, code: str) -> str:
    client = Client(live.url)
    options = client.post("/auth/passkey/registration/options", {"code": code})["public_key"]
    made = {"code": code, "credential": device.create(options)}
    return str(client.post("/auth/passkey/registration/verify", made)["signer"])


def _digest(document: dict[str, Any]) -> bytes:
    message = encode_typed_data(full_message=document)
    return keccak256(b"\x19" + message.version + message.header + message.body)


def _over(device: Authenticator, document: dict[str, Any], **given: Any) -> str:
    return "0x" + device.sign(_digest(document), **given).encoded().hex()


def _post(live: Live, path: str, body: object, **headers: str) -> requests.Response:
    return requests.post(live.url + path, json=body, headers=headers, timeout=30)


def _problem(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rsplit(":", 1)[-1]


def _until_active(live: Live, cookie: str, document: dict[str, Any]) -> list[str]:
    seen: list[str] = []
    until = time.monotonic() + _FINAL_S
    while not seen or seen[-1] != "active":
        assert time.monotonic() < until, seen
        path = f"/api/enrolments/claim/0x{_digest(document).hex()}"
        answer = requests.get(live.url + path, headers={"Cookie": f"{SESSION_COOKIE}={cookie}"}, timeout=30)
        assert answer.status_code == 200, answer.text
        seen.append(answer.json()["status"])
        time.sleep(0.05)
    return seen


@pytest.fixture(scope="module")
def patient(live: Live) -> Patient:
    device, code = _device(live), _code(live, "PASSKEY-1")
    signer = _made(live, device, code)
    issued = Client(live.url).post("/api/enrolments/claim/typed-data", {"code": code, "controller": signer})
    document = issued["typed_data"]
    assert issued["words"] == document["message"]["words"]
    body = {"code": code, "typed_data": document, "signature": _over(device, document), "cookie": True}
    claimed = _post(live, "/api/enrolments/claim", body)
    assert claimed.status_code == 202, claimed.text
    assert claimed.json()["controller"] == signer
    assert claimed.json()["purpose"] == "PATRQT"
    # The signature is public from now on: it signs nobody else in, whatever they know besides.
    again = _post(live, "/api/enrolments/claim", body)
    assert again.status_code in {401, 409}
    assert "set-cookie" not in again.headers
    assert _until_active(live, claimed.cookies[SESSION_COOKIE], document)[-1] == "active"
    return Patient(live, device, signer, issued["patient_key"])


def test_who_claimed_signs_in_again_and_is_the_patient(live: Live, patient: Patient) -> None:
    client = patient.signed_in()
    (shown,) = client.get("/api/patients")["patients"]
    assert (shown["patient_key"], shown["status"]) == (patient.patient_key, "claimed")
    assert client.get("/auth/passkey")["signer"] == patient.signer


def _terms(live: Live, grantee: str, **other: object) -> dict[str, Any]:
    return {
        "grantee": live.account(grantee).address,
        "scope": "all",
        "actions": ["search", "view"],
        "purposes": ["TREAT"],
        "valid_until": int(time.time()) + 3600,
        **other,
    }


def _signed(
    client: Client, path: str, sign: Callable[[dict[str, Any]], str], asked: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Asked for, signed, handed in. What a revocation that has not landed made void is asked for again."""
    for attempt in range(20):
        document = client.post(f"{path}/typed-data", asked)["typed_data"]
        try:
            answer: dict[str, Any] = client.post(path, {"typed_data": document, "signature": sign(document)})
        except CommandError as error:
            if attempt == 19 or "nonce-conflict" not in str(error):
                raise
            time.sleep(1)
        else:
            return answer
    raise AssertionError


def _grants_and_revokes(live: Live, client: Client, sign: Callable[[dict[str, Any]], str]) -> None:
    granted = _signed(client, "/api/consents", sign, _terms(live, "physician1"))
    client.until(f"/api/consents/{granted['consent_id']}", lambda view: view["status"] == "active", _FINAL_S)
    several = _signed(
        client,
        "/api/consents",
        sign,
        {**_terms(live, "physician1"), "also": [_terms(live, "physician2", effect="deny")]},
    )
    assert len(several["consent_ids"]) == 2
    for consent in several["consent_ids"]:
        client.until(f"/api/consents/{consent}", lambda view: view["status"] == "active", _FINAL_S)
    revoked = _signed(client, f"/api/consents/{granted['consent_id']}/revocation", sign)
    assert revoked["status"] == "revoked"
    client.until(f"/api/consents/{granted['consent_id']}", lambda view: view["status"] == "revoked", _FINAL_S)


def test_a_passkey_grants_one_and_several_and_revokes(live: Live, patient: Patient) -> None:
    _grants_and_revokes(live, patient.signed_in(), lambda document: _over(patient.device, document))


def test_a_signature_that_the_contract_would_take_and_we_do_not_is_not_relayed(live: Live, patient: Patient) -> None:
    client = patient.signed_in()
    document = client.post("/api/consents/typed-data", _terms(live, "physician2"))["typed_data"]
    elsewhere = Authenticator(private=patient.device.private, origin="http://localhost:1")
    framed = patient.device.client_data("webauthn.get", _digest(document), crossOrigin=True)
    high: Answer = patient.device.sign(_digest(document))
    for signature in (
        _over(elsewhere, document),
        _over(patient.device, document, client_data=framed),
        "0x" + high.encoded(s=2**256 - 1).hex(),
        "0x" + bytes(65).hex(),
    ):
        answer = _post(
            live,
            "/api/consents",
            {"typed_data": document, "signature": signature},
            Authorization=f"Bearer {client.token}",
        )
        assert _problem(answer) == (401, "bad-signature")
    good = _signed(client, "/api/consents", lambda issued: _over(patient.device, issued), _terms(live, "physician2"))
    assert good["status"] == "submitted"


def test_a_claim_by_code_alone(live: Live) -> None:
    """What the code opens without a session, and what it does not."""
    device, code = _device(live), _code(live, "PASSKEY-2")
    stranger = "0x" + live.document["contracts"]["PasskeyVerifier"]["address"][2:].lower() + device.key.hex()
    ask = "/api/enrolments/claim/typed-data"
    assert _problem(_post(live, ask, {"code": code})) == (401, "unauthenticated")
    assert _problem(_post(live, ask, {"code": code, "controller": stranger})) == (422, "invalid-request")
    assert _problem(_post(live, ask, {"code": "1" * 26, "controller": "0x" + "11" * 20})) == (404, "not-found")
    signer = _made(live, device, code)
    assert signer == stranger
    document = _post(live, ask, {"code": code, "controller": signer}).json()["typed_data"]
    body = {"typed_data": document, "signature": _over(device, document)}
    claim = "/api/enrolments/claim"
    assert _problem(_post(live, claim, body | {"code": "nonsense"})) == (404, "not-found")
    assert _problem(_post(live, claim, body | {"code": "1" * 26})) == (401, "unauthenticated")
    assert _problem(_post(live, claim, body | {"claim_signature": "0x" + "11" * 65})) == (401, "unauthenticated")
    assert _problem(_post(live, claim, body | {"claim_signature": "0x11", "cookie": True})) == (422, "invalid-request")
    assert _problem(_post(live, claim, body | {"code": code, "claim_signature": "0x11"})) == (422, "invalid-request")
    assert _problem(_post(live, claim, body)) == (422, "invalid-request")
    elsewhere = Authenticator(private=device.private, origin="https://example.org")
    stolen = body | {"code": code, "signature": _over(elsewhere, document), "cookie": True}
    refused = _post(live, claim, stolen)
    assert _problem(refused) == (401, "bad-signature")
    assert "set-cookie" not in refused.headers
    first = _post(live, claim, body | {"code": code})
    assert (first.status_code, "set-cookie" in first.headers) == (202, False), "no session unless asked for"
    later = _post(live, claim, body | {"code": code, "cookie": True})
    assert later.status_code in {401, 409}, "and none for who comes second"
    assert "set-cookie" not in later.headers


def test_how_far_a_claim_is_told_to_whoever_signed_in_only(live: Live, patient: Patient) -> None:
    path = "/api/enrolments/claim/0x" + "11" * 32
    assert requests.get(live.url + path, timeout=30).status_code == 401
    for unknown in (path, "/api/enrolments/claim/0x11", "/api/enrolments/claim/x"):
        with pytest.raises(CommandError, match="404"):
            patient.signed_in().get(unknown)


def test_a_contract_wallet_signs_in_claims_grants_and_revokes(live: Live) -> None:
    owner: LocalAccount = Account.create()
    wallet = ContractWallet(live.rpc_url, owner, live.account("physician2").address)
    code, client = _code(live, "CONTRACT-1"), Client(live.url)
    issued = client.post("/api/enrolments/claim/typed-data", {"code": code, "controller": wallet.address})
    body = {"code": code, "typed_data": issued["typed_data"], "signature": sign_typed(owner, issued["typed_data"])}
    claimed = _post(live, "/api/enrolments/claim", body | {"cookie": True})
    assert claimed.status_code == 202, claimed.text
    assert claimed.json()["address"] == wallet.address
    _until_active(live, claimed.cookies[SESSION_COOKIE], issued["typed_data"])
    asked = client.post("/auth/siwe/nonce", {"address": wallet.address})

    def signed_in_by(account: LocalAccount) -> requests.Response:
        signature = "0x" + account.sign_message(encode_defunct(text=asked["message"])).signature.hex()
        return _post(live, "/auth/siwe/verify", {"message": asked["message"], "signature": signature})

    assert _problem(signed_in_by(Account.create())) == (401, "bad-signature")
    answer = signed_in_by(owner)
    assert answer.json()["roles"] == ["PATIENT"]
    session = Client(live.url, answer.json()["access_token"])
    _grants_and_revokes(live, session, lambda document: sign_typed(owner, document))
