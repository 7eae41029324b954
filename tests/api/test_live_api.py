"""The JSON API of a running stack, from outside: sign-in, enrolment, consents, requests, the log, and its refusals."""

import json
import time
from typing import Any

import pytest
import requests
from eth_account import Account
from eth_account.messages import encode_defunct

from app.commands.client import Client, sign_in, sign_typed
from app.commands.output import CommandError
from tests.support.live import Live

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def _problem(answer: requests.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert set(document) == {"type", "title", "status"}
    assert document["status"] == answer.status_code
    return answer.status_code, document["type"].removeprefix("urn:consentry:problem:")


def _post(live: Live, path: str, body: Any, token: str = "") -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.post(live.url + path, json=body, headers=headers, timeout=30)


def _challenge(live: Live, account: Any) -> tuple[str, Any]:
    message = _post(live, "/auth/siwe/nonce", {"address": account.address}).json()["message"]
    return message, account.sign_message(encode_defunct(text=message))


def test_a_nonce_works_once(live: Live) -> None:
    message, signed = _challenge(live, Account.create())
    body = {"message": message, "signature": "0x" + signed.signature.hex()}
    first = _post(live, "/auth/siwe/verify", body)
    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-store"
    assert _problem(_post(live, "/auth/siwe/verify", body)) == (401, "siwe-expired")


def test_a_nonce_belongs_to_its_address(live: Live) -> None:
    mine, other = Account.create(), Account.create()
    message, _ = _challenge(live, mine)
    stolen = message.replace(mine.address, other.address)
    signature = other.sign_message(encode_defunct(text=stolen)).signature.hex()
    answer = _post(live, "/auth/siwe/verify", {"message": stolen, "signature": "0x" + signature})
    assert _problem(answer) == (401, "siwe-expired")


def test_a_signature_has_no_twin(live: Live) -> None:
    message, signed = _challenge(live, Account.create())
    high = signed.r.to_bytes(32) + (_ORDER - signed.s).to_bytes(32) + bytes([55 - signed.v])
    zero_v = bytes(signed.signature[:64]) + bytes([signed.v - 27])
    for forged in (high, zero_v, bytes(65), bytes(64), b"\x01"):
        answer = _post(live, "/auth/siwe/verify", {"message": message, "signature": "0x" + forged.hex()})
        assert _problem(answer) == (401, "bad-signature")
    good = _post(live, "/auth/siwe/verify", {"message": message, "signature": "0x" + signed.signature.hex()})
    assert good.status_code == 200, "a refused signature must not use up the nonce"


def test_a_message_for_another_place(live: Live) -> None:
    account = Account.create()
    message, _ = _challenge(live, account)
    for changed, expected in (
        (message.replace("localhost", "evil.example", 1), (401, "siwe-mismatch")),
        (message.replace("Chain ID: 31337", "Chain ID: 1"), (401, "siwe-mismatch")),
        (message.replace("Chain ID: 31337", "Chain ID: 031337"), (400, "siwe-malformed")),
        (message + "\r", (400, "siwe-malformed")),
        ("a" * 2000, (400, "siwe-malformed")),
    ):
        signature = account.sign_message(encode_defunct(text=changed)).signature.hex()
        answer = _post(live, "/auth/siwe/verify", {"message": changed, "signature": "0x" + signature})
        assert _problem(answer) == expected


def test_logout_ends_the_token_at_once(live: Live) -> None:
    client = live.signed_in("physician1")
    assert "consents" in client.get("/api/consents")
    answer = _post(live, "/auth/logout", {}, client.token)
    assert answer.status_code == 204
    for path in ("/api/consents", "/dicom-web/studies"):
        gone = requests.get(live.url + path, headers={"Authorization": f"Bearer {client.token}"}, timeout=30)
        assert _problem(gone) == (401, "unauthenticated")
        assert "www-authenticate" in gone.headers


def test_the_cookie_is_for_our_own_pages_only(live: Live) -> None:
    message, signed = _challenge(live, live.account("patient1"))
    body = {"message": message, "signature": "0x" + signed.signature.hex(), "cookie": True}
    answer = _post(live, "/auth/siwe/verify", body)
    assert "access_token" not in answer.json()
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-consentry=")
    assert {"HttpOnly", "Secure", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    sent = {"Cookie": cookie.partition(";")[0]}
    assert requests.get(live.url + "/api/consents", headers=sent, timeout=30).status_code == 200
    foreign = requests.post(live.url + "/auth/logout", headers=sent | {"Origin": "https://evil.example"}, timeout=30)
    assert _problem(foreign) == (403, "forbidden")
    own = requests.post(live.url + "/auth/logout", headers=sent | {"Origin": live.document["gateway_url"]}, timeout=30)
    assert own.status_code == 204


@pytest.mark.parametrize(
    ("body", "media_type", "expected"),
    [
        (
            b'{"address":"0x' + b"0" * 40 + b'","address":"0x' + b"1" * 40 + b'"}',
            "application/json",
            (400, "invalid-json"),
        ),
        (b'{"address":NaN}', "application/json", (400, "invalid-json")),
        (b'{"address":1e400}', "application/json", (400, "invalid-json")),
        (b'{"address":' * 40 + b"1" + b"}" * 40, "application/json", (400, "invalid-json")),
        (b'{"address":"\\ud800"}', "application/json", (400, "invalid-json")),
        (b'{"address":"0x' + b"0" * 40 + b'","more":1}', "application/json", (422, "invalid-request")),
        (b'{"address":1}', "application/json", (422, "invalid-request")),
        (b"{}", "application/json", (422, "invalid-request")),
        (b"[]", "application/json", (422, "invalid-request")),
        (b"{", "application/json", (400, "invalid-json")),
        (b'"' + b"a" * 70_000 + b'"', "application/json", (413, "payload-too-large")),
        (b"address=0x", "application/x-www-form-urlencoded", (415, "unsupported-media-type")),
        (b"{}", "", (415, "unsupported-media-type")),
    ],
)
def test_bodies_are_read_strictly(live: Live, body: bytes, media_type: str, expected: tuple[int, str]) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = requests.post(live.url + "/auth/siwe/nonce", data=body, headers=headers, timeout=30)
    assert _problem(answer) == expected


def test_unknown_paths_and_methods(live: Live) -> None:
    assert _problem(requests.get(live.url + "/nothing", timeout=30)) == (404, "not-found")
    assert _problem(requests.get(live.url + "/healthz/", timeout=30)) == (404, "not-found")
    wrong = requests.delete(live.url + "/healthz", timeout=30)
    assert _problem(wrong) == (405, "method-not-allowed")
    assert "GET" in wrong.headers["allow"]


def test_two_authorizations_are_ambiguous(live: Live) -> None:
    import http.client  # noqa: PLC0415 - requests folds equal headers into one

    connection = http.client.HTTPConnection("127.0.0.1", int(live.settings["CONSENTRY_PORT"]), timeout=30)
    connection.putrequest("GET", "/api/consents")
    connection.putheader("Authorization", "Bearer a")
    connection.putheader("Authorization", "Bearer b")
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["type"]) == (400, "urn:consentry:problem:ambiguous-credentials")
    connection.close()


def test_only_registrars_enrol(live: Live) -> None:
    for name in ("physician1", "patient1", "auditor"):
        client = live.signed_in(name)
        answer = _post(live, "/api/enrolments", {"patient_id": "X-1"}, client.token)
        assert _problem(answer) == (403, "forbidden")


def test_an_enrolment_is_claimed_once_and_by_its_code_only(live: Live) -> None:
    registrar = live.signed_in("registrar")
    enrolled = registrar.post("/api/enrolments", {"patient_id": "CLAIM-1", "issuer": "T"})
    account = Account.create()
    client, _ = sign_in(live.url, account)
    wrong = _post(live, "/api/enrolments/claim/typed-data", {"code": "0" * 26}, client.token)
    assert _problem(wrong) == (404, "not-found")
    document = client.post("/api/enrolments/claim/typed-data", {"code": enrolled["code"]})["typed_data"]
    body = {"code": enrolled["code"], "typed_data": document, "signature": sign_typed(account, document)}
    thief = Account.create()
    stolen = _post(live, "/api/enrolments/claim", body | {"signature": sign_typed(thief, document)}, client.token)
    assert _problem(stolen) == (401, "bad-signature")
    other_code = "1" * 26
    assert _problem(_post(live, "/api/enrolments/claim", body | {"code": other_code}, client.token)) == (
        422,
        "transaction-refused",
    )
    assert client.post("/api/enrolments/claim", body)["status"] == "submitted"
    client.until("/api/patients", lambda answer: bool(answer["patients"]), 20)
    again = _post(live, "/api/enrolments/claim", body, client.token)
    assert _problem(again) == (409, "nonce-conflict")
    twice = _post(live, "/api/enrolments", {"patient_id": "CLAIM-1", "issuer": "T"}, registrar.token)
    assert _problem(twice) == (409, "conflict")


def _epoch(live: Live, client: Client) -> int:
    """The patient's epoch as the gateway sees it at the chain's head: each revocation that lands raises it."""
    body = {
        "grantee": live.account("physician2").address,
        "scope": "all",
        "actions": ["view"],
        "purposes": ["TREAT"],
        "valid_until": int(time.time()) + 3600,
    }
    return int(client.post("/api/consents/typed-data", body)["typed_data"]["message"]["epoch"])


def _revoked_on_chain(live: Live, patient: str, consent: str) -> None:
    """Takes the consent back and waits for the block: what is issued before it would be void."""
    client = live.signed_in(patient)
    before = _epoch(live, client)
    live.revoked(patient, consent)
    deadline = time.monotonic() + 30
    while _epoch(live, client) == before:
        assert time.monotonic() < deadline, "the revocation did not land"
        time.sleep(0.1)


@pytest.fixture
def offer(live: Live) -> tuple[Client, dict[str, Any]]:
    """A consent of patient1, issued and not signed."""
    client = live.signed_in("patient1")
    body = {
        "grantee": live.account("physician2").address,
        "scope": "all",
        "actions": ["view"],
        "purposes": ["TREAT"],
        "valid_until": int(time.time()) + 3600,
    }
    return client, client.post("/api/consents/typed-data", body)["typed_data"]


@pytest.mark.parametrize(
    ("part", "member", "value"),
    [
        ("message", "actions", 15),
        ("message", "actions", "2"),
        ("message", "actions", True),
        ("message", "patientKey", "0x00"),
        ("message", "grantee", "0x" + "11" * 32),
        ("message", "extra", 1),
        ("message", "words", "I allow nothing."),
        ("message", "validUntil", 1),
        ("message", "effect", 2),
        ("message", "deadline", 1),
        ("domain", "chainId", 1),
        ("domain", "chainId", "31337"),
        ("domain", "verifyingContract", "0x" + "22" * 20),
        ("domain", "name", "Other"),
        ("domain", "salt", "0x"),
    ],
)
def test_typed_data_that_was_changed_is_refused(
    live: Live, offer: tuple[Client, dict[str, Any]], part: str, member: str, value: object
) -> None:
    client, document = offer
    document[part][member] = value
    signature = "0x" + "11" * 65
    answer = _post(live, "/api/consents", {"typed_data": document, "signature": signature}, client.token)
    assert _problem(answer) == (422, "invalid-typed-data")


def test_a_consent_is_signed_by_its_patient_and_lands_once(live: Live, offer: tuple[Client, dict[str, Any]]) -> None:
    client, document = offer
    stranger = Account.create()
    forged = {"typed_data": document, "signature": sign_typed(stranger, document)}
    assert _problem(_post(live, "/api/consents", forged, client.token)) == (401, "bad-signature")
    other = live.signed_in("physician1")
    good = {"typed_data": document, "signature": sign_typed(live.account("patient1"), document)}
    assert _problem(_post(live, "/api/consents", good, other.token)) == (403, "forbidden")
    accepted = _post(live, "/api/consents", good, client.token)
    assert accepted.status_code == 202
    consent = accepted.json()["consent_id"]
    assert _problem(_post(live, "/api/consents", good, client.token)) == (409, "nonce-conflict")
    view = client.until(f"/api/consents/{consent}", lambda one: one["status"] == "active", 20)
    assert (view["actions"], view["purposes"], view["scope"]) == (["view"], ["TREAT"], "all")
    assert _problem(_post(live, "/api/consents", good, client.token)) == (409, "nonce-conflict")
    hidden = requests.get(
        f"{live.url}/api/consents/{consent}", headers={"Authorization": f"Bearer {other.token}"}, timeout=30
    )
    assert _problem(hidden) == (404, "not-found")
    _revoked_on_chain(live, "patient1", consent)
    assert client.get(f"/api/consents/{consent}")["status"] == "revoked"


def test_a_revocation_voids_what_was_signed_before_it(live: Live, offer: tuple[Client, dict[str, Any]]) -> None:
    client, withheld = offer
    _revoked_on_chain(live, "patient1", live.granted("patient1", "physician1"))
    body = {"typed_data": withheld, "signature": sign_typed(live.account("patient1"), withheld)}
    assert _problem(_post(live, "/api/consents", body, client.token)) == (409, "nonce-conflict")


def test_a_consent_cannot_be_asked_for_somebody_else(live: Live) -> None:
    client = live.signed_in("patient1")
    key = next(one for one in live.document["patients"] if one["account"] == "patient2")["patient_key"]
    body = {
        "patient_key": key,
        "grantee": live.account("physician1").address,
        "scope": "all",
        "actions": ["view"],
        "purposes": ["TREAT"],
        "valid_until": int(time.time()) + 3600,
    }
    assert _problem(_post(live, "/api/consents/typed-data", body, client.token)) == (403, "forbidden")


@pytest.mark.parametrize(
    "change",
    [
        {"purposes": ["CURIOSITY"]},
        {"actions": []},
        {"actions": ["delete"]},
        {"valid_until": 1},
        {"valid_until": "soon"},
        {"scope": "some"},
        {"scope": {"studies": []}},
        {"scope": {"studies": ["1.2/3"]}},
        {"grantee": "0x00"},
        {"grantee": "0x" + "00" * 20},
        {"effect": "maybe"},
        {"more": 1},
    ],
)
def test_terms_that_mean_nothing_are_refused(live: Live, change: dict[str, object]) -> None:
    client = live.signed_in("patient1")
    body = {
        "grantee": live.account("physician1").address,
        "scope": "all",
        "actions": ["view"],
        "purposes": ["TREAT"],
        "valid_until": int(time.time()) + 3600,
    }
    answer = _post(live, "/api/consents/typed-data", body | change, client.token)
    assert _problem(answer) == (422, "invalid-request")


def test_asking_finds_nothing_out(live: Live) -> None:
    client = live.signed_in("physician2")
    known = live.document["patients"][0]
    real = _post(
        live,
        "/api/access-requests",
        {"patient_id": known["patient_id"], "issuer": known["issuer"], "reason": "r"},
        client.token,
    )
    invented = _post(live, "/api/access-requests", {"patient_id": "NOBODY", "reason": "r"}, client.token)
    assert real.status_code == invented.status_code == 202
    assert real.json().keys() == invented.json().keys()
    mine = client.get("/api/access-requests")["requests"]
    assert {one["patient_key"] for one in mine} == {None}
    patient = live.signed_in("patient1")
    waiting = patient.get("/api/access-requests")["requests"]
    assert real.json()["id"] in {one["id"] for one in waiting}
    declined = patient.post(f"/api/access-requests/{real.json()['id']}/decision", {"decision": "decline"})
    assert declined["status"] == "declined"
    with pytest.raises(CommandError, match="409"):
        patient.post(f"/api/access-requests/{real.json()['id']}/decision", {"decision": "accept"})
    with pytest.raises(CommandError, match="404"):
        patient.post(f"/api/access-requests/{invented.json()['id']}/decision", {"decision": "accept"})
    with pytest.raises(CommandError, match="403"):
        patient.post("/api/access-requests", {"patient_id": "X", "reason": "r"})


def test_explain_says_which_consent_decides(live: Live) -> None:
    consent = live.granted("patient2", "physician2", actions=["retrieve"])
    patient = live.signed_in("patient2")
    actor = live.account("physician2").address
    answer = patient.get("/api/explain", actor=actor, action="retrieve", purpose="TREAT")
    assert (answer["verdict"], answer["basis"]) == ("permit", consent)
    assert patient.get("/api/explain", actor=actor, action="search")["reason"] == "no-consent"
    assert patient.get("/api/explain", actor=live.account("auditor").address)["reason"] == "no-role"
    live.revoked("patient2", consent)
    assert patient.get("/api/explain", actor=actor)["verdict"] == "deny"
    key = next(one for one in live.document["patients"] if one["account"] == "patient2")["patient_key"]
    with pytest.raises(CommandError, match="404"):
        live.signed_in("physician1").get("/api/explain", actor=actor, patient_key=key)
    audited = live.signed_in("auditor").get("/api/explain", actor=actor, patient_key=key)
    assert audited["verdict"] == "deny"


def test_who_looked_is_for_those_it_concerns(live: Live) -> None:
    live.granted("patient1", "physician1")
    doctor = live.signed_in("physician1")
    answer = requests.get(
        live.url + "/dicom-web/studies", headers={"Authorization": f"Bearer {doctor.token}"}, timeout=30
    )
    assert answer.status_code == 200
    record = answer.headers["access-record-id"].split(",")[0].strip()
    patient, auditor = live.signed_in("patient1"), live.signed_in("auditor")
    for client in (patient, auditor, doctor):
        seen = {one["id"]: one for one in client.get("/api/accesses")["accesses"]}
        assert seen[record]["actor_name"].startswith("Dr. Ines Castellan")
        assert seen[record]["purpose"] == "TREAT"
    stranger = live.signed_in("patient2")
    assert record not in {one["id"] for one in stranger.get("/api/accesses")["accesses"]}
    with pytest.raises(CommandError, match="404"):
        stranger.get(f"/api/accesses/{record}/proof")
    patient.until("/api/accesses", lambda page: all(one["seq"] is not None for one in page["accesses"]), 30)
    assert patient.get(f"/api/accesses/{record}/proof")["id"] == record
    for nonsense in ("00", "zz", "0" * 32):
        with pytest.raises(CommandError, match="404"):
            patient.get(f"/api/accesses/{nonsense}/proof")
    with pytest.raises(CommandError, match="403"):
        patient.get("/api/accesses/export")


def test_health_says_what_is_the_matter(live: Live) -> None:
    assert requests.get(live.url + "/healthz", timeout=30).json() == {"status": "ok"}
    ready = requests.get(live.url + "/readyz", timeout=30)
    assert ready.status_code == 200
    document = ready.json()
    assert document["status"] == "ready"
    assert document["chain"]["standing"] == "known"
    assert document["chain"]["head"] > 0
    metrics = requests.get(live.url + "/metrics", timeout=30).text
    assert "consentry_standing_known 1.0" in metrics
    assert requests.get(live.url + "/openapi.json", timeout=30).json()["info"]["title"] == "Consentry"
