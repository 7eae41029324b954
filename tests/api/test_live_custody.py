"""Guardians, wards, lost wallets and erasure on a running gateway and chain, over HTTP and from the command line."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from app.chain.anvil import DEVELOPMENT_KEYS
from app.chain.events import EventReader
from app.chain.quantities import MalformedAnswerError
from app.commands.client import Client, sign_in, sign_typed
from app.commands.output import CommandError
from app.core.consent.basis import GUARDIAN
from app.core.consent.events import AccessLogged, ConsentGranted, ConsentRevoked, Event, PatientEnrolled
from app.core.consent.terms import Capacity
from app.core.signing.words import moment
from app.demo.samples import PATIENTS, write_samples
from app.demo.seeding import claim_enrolment
from tests.support.chain import CAST, Deployed, deployed_in, plan
from tests.support.differential import RunningGateway, Zygote, archive_settings, call_node, running_gateway
from tests.support.needs import PROJECT

_DELAY_S = 3
_DAY_S = 86_400
_IDS = [patient.patient_id for patient in PATIENTS]


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Contracts in which a move can be vetoed for three seconds: a head from the future is believed by no gateway."""
    return asyncio.run(deployed_in(tmp_path_factory.mktemp("hasty"), replace(plan(), move_delay_s=_DELAY_S)))


@pytest.fixture
def gateway(zygote: Zygote, hasty: Deployed, tmp_path: Path) -> Iterator[RunningGateway]:
    write_samples(tmp_path / "files")
    with running_gateway(zygote, hasty, tmp_path / "data", archive_settings(tmp_path / "files")) as running:
        yield running


@pytest.fixture
def reader(hasty: Deployed) -> EventReader:
    return EventReader(hasty.deployment)


# --- What happens over and over --------------------------------------------------------------------------------------


def _enrol(gateway: RunningGateway, patient_id: str, **more: Any) -> dict[str, Any]:
    issuer = {"issuer": "CONSENTRY-DEMO"}
    made: dict[str, Any] = gateway.signed_in("registrar").post(
        "/api/enrolments", {"patient_id": patient_id, **issuer, **more}
    )
    return made


def _patient(gateway: RunningGateway, patient_id: str, **more: Any) -> tuple[LocalAccount, Client, str]:
    """Enrolled and claimed with a new wallet."""
    made, account = _enrol(gateway, patient_id, **more), Account.create()
    return account, claim_enrolment(gateway.url, account, made["code"]), made["patient_key"]


def _sign(client: Client, account: LocalAccount, path: str, body: Any = None, **more: Any) -> tuple[str, Any]:
    """Asks for what is to be signed, signs and hands it in: its words, and the answer."""
    issued = client.post(f"{path}/typed-data", body)
    document = issued["typed_data"]
    answer = client.post(path, {"typed_data": document, "signature": sign_typed(account, document), **more})
    return issued["words"], answer


def _own(client: Client, key: str) -> dict[str, Any]:
    found: dict[str, Any] = next(p for p in client.get("/api/patients")["patients"] if p["patient_key"] == key)
    return found


def _until(client: Client, key: str, satisfied: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    client.until(
        "/api/patients",
        lambda page: any(p["patient_key"] == key and satisfied(p) for p in page["patients"]),
        30,
    )
    return _own(client, key)


def _get(gateway: RunningGateway, client: Client, path: str, accept: str = "application/dicom+json") -> Any:
    headers = {"Authorization": f"Bearer {client.token}", "Accept": accept}
    return requests.get(gateway.url + path, headers=headers, timeout=30)


def _studies(gateway: RunningGateway, client: Client) -> list[str]:
    answer = _get(gateway, client, "/dicom-web/studies")
    assert answer.status_code == 200, answer.text
    return [study["0020000D"]["Value"][0] for study in answer.json()]


def _events(gateway: RunningGateway, reader: EventReader) -> list[Event]:
    found = []
    for log in call_node(gateway.rpc_url, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}):
        try:
            event = reader.read(log)
        except MalformedAnswerError:
            continue  # OpenZeppelin's own
        if event is not None:
            found.append(event)
    return found


def _granted(client: Client, account: LocalAccount, key: str, grantee: str = "physician1") -> tuple[str, str]:
    """A consent to everything that is active: its words, and its id."""
    asked = {
        "patient_key": key,
        "grantee": Account.from_key(DEVELOPMENT_KEYS[CAST.index(grantee)]).address,
        "scope": "all",
        "actions": ["search", "view", "retrieve"],
        "purposes": ["TREAT"],
        "valid_until": int(time.time()) + _DAY_S,
    }
    words, answer = _sign(client, account, "/api/consents", asked)
    client.until(f"/api/consents/{answer['consent_id']}", lambda view: view["status"] == "active", 30)
    return words, answer["consent_id"]


def _revoke(client: Client, account: LocalAccount, consent: str) -> None:
    _sign(client, account, f"/api/consents/{consent}/revocation")
    client.until(f"/api/consents/{consent}", lambda view: view["revoked_as"] is not None, 30)


# --- Guardians -------------------------------------------------------------------------------------------------------


def test_a_guardian_acts_and_every_record_says_so(gateway: RunningGateway, reader: EventReader) -> None:
    account, patient, key = _patient(gateway, _IDS[0])
    _patient(gateway, _IDS[1])
    aunt = Account.create()
    until = int(time.time()) + _DAY_S
    words, answer = _sign(
        patient,
        account,
        f"/api/patients/{key}/guardian",
        {"guardian": aunt.address, "valid_until": until},
        name="Aunt May",
    )
    assert words.startswith(f"I name “{aunt.address}” as my guardian until {moment(until)}")  # type: ignore[arg-type]
    assert "May" not in words
    assert answer["status"] == "submitted"
    seen = _until(patient, key, lambda p: p["guardian"] is not None)
    assert seen["capacity"] == "self"
    guardian = {"account": aunt.address, "signer": aunt.address.lower(), "name": "Aunt May", "until": until}
    assert seen["guardian"] == guardian

    client, signed_in = sign_in(gateway.url, aunt)
    assert (signed_in["purpose"], signed_in["roles"]) == ("FAMRQT", ["GUARDIAN"])
    attorney, _ = sign_in(gateway.url, aunt, "PWATRNY")
    assert (_own(client, key)["capacity"], _own(client, key)["code"]) == ("guardian", seen["code"])
    hers = _studies(gateway, patient)
    assert hers
    assert _studies(gateway, client) == _studies(gateway, attorney) == hers
    assert _get(gateway, client, f"/dicom-web/studies/{hers[0]}", "multipart/related; type=*/*").status_code in {
        200,
        406,
    }
    dicom = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    assert _get(gateway, client, f"/dicom-web/studies/{hers[0]}", dicom).status_code == 200
    assert _get(gateway, attorney, f"/dicom-web/studies/{hers[0]}/metadata").status_code == 200
    with pytest.raises(CommandError, match="404"):
        client.post(f"/api/patients/{key}/guardian/typed-data", {})

    words, consent = _granted(client, aunt, key)
    assert "all “the person I act for”'s images" in words
    assert _studies(gateway, gateway.signed_in("physician1")) == hers
    _revoke(client, aunt, consent)
    own_words, own = _granted(patient, account, key, "physician2")
    assert "my images" in own_words
    shown = {view["consent_id"]: view for view in patient.get("/api/consents")["consents"]}
    assert (shown[consent]["granted_as"], shown[consent]["revoked_as"]) == ("guardian", "guardian")
    assert (shown[own]["granted_as"], shown[own]["revoked_as"]) == ("self", None)

    page = patient.until("/api/accesses", lambda p: all(one["seq"] is not None for one in p["accesses"]), 60)
    looked = {(one["actor"], one["action"], one["purpose"], one["basis"]) for one in page["accesses"]}
    assert {
        (aunt.address, "search", "FAMRQT", "guardian"),
        (aunt.address, "retrieve", "FAMRQT", "guardian"),
        (aunt.address, "search", "PWATRNY", "guardian"),
    } <= looked
    assert {one[2:] for one in looked if one[0] == aunt.address} == {("FAMRQT", "guardian"), ("PWATRNY", "guardian")}
    assert (account.address, "search", "PATRQT", "self") in looked

    _the_chain_says_guardian(_events(gateway, reader), bytes.fromhex(aunt.address[2:]))

    words, _ = _sign(patient, account, f"/api/patients/{key}/guardian", {})
    assert words.startswith("Nobody is my guardian any more")
    _until(patient, key, lambda p: p["guardian"] is None)
    assert _studies(gateway, client) == []


def _the_chain_says_guardian(events: list[Event], aunt: bytes) -> None:
    logged = [event for event in events if isinstance(event, AccessLogged) and event.accessor == aunt]
    assert logged
    assert {event.basis for event in logged} == {GUARDIAN}
    capacities = [(e.capacity, e.grantor == aunt) for e in events if isinstance(e, ConsentGranted)]
    assert capacities == [(Capacity.GUARDIAN, True), (Capacity.CONTROLLER, False)]
    assert [e.capacity for e in events if isinstance(e, ConsentRevoked)] == [Capacity.GUARDIAN]


def test_a_guardian_is_named_by_the_controllers_signature_once_and_in_bounds(gateway: RunningGateway) -> None:
    account, patient, key = _patient(gateway, _IDS[0])
    path, aunt = f"/api/patients/{key}/guardian", Account.create().address
    now = int(time.time())
    for asked in (
        {"guardian": aunt},
        {"valid_until": now + 60},
        {"guardian": aunt, "valid_until": now - 1},
        {"guardian": aunt, "valid_until": now + 26 * 366 * _DAY_S},
        {"guardian": account.address, "valid_until": now + 60},
        {"guardian": "0x" + "00" * 20, "valid_until": now + 60},
        {"guardian": "0x" + "11" * 19, "valid_until": now + 60},
        {"guardian": "0x" + "11" * 641, "valid_until": now + 60},
    ):
        with pytest.raises(CommandError, match="422"):
            patient.post(f"{path}/typed-data", asked)
    document = patient.post(f"{path}/typed-data", {"guardian": aunt, "valid_until": now + 600})["typed_data"]
    with pytest.raises(CommandError, match="401 bad-signature"):
        patient.post(path, {"typed_data": document, "signature": sign_typed(Account.create(), document)})
    signed = {"typed_data": document, "signature": sign_typed(account, document)}
    with pytest.raises(CommandError, match="404"):
        gateway.signed_in("physician1").post(path, signed)
    changed = json.loads(json.dumps(signed))
    changed["typed_data"]["message"]["validUntil"] += 1
    with pytest.raises(CommandError, match="422 invalid-typed-data"):
        patient.post(path, changed)
    patient.post(path, signed)
    _until(patient, key, lambda p: p["guardian"] is not None)
    with pytest.raises(CommandError, match="409 nonce-conflict"):
        patient.post(path, signed)
    passkey = "0x" + "ab" * 84
    _sign(patient, account, path, {"guardian": passkey, "valid_until": now + 600})
    assert _until(patient, key, lambda p: p["guardian"]["signer"] == passkey)["guardian"]["name"] is None


# --- Wards -----------------------------------------------------------------------------------------------------------


def test_who_claims_a_ward_acts_as_guardian_until_the_day(gateway: RunningGateway, reader: EventReader) -> None:
    until = int(time.time()) + 12
    for wrong in (int(time.time()) - 1, int(time.time()) + 26 * 366 * _DAY_S, 0, -5):
        with pytest.raises(CommandError, match="422"):
            _enrol(gateway, _IDS[0], ward_until=wrong)
    made, mother = _enrol(gateway, _IDS[0], ward_until=until), Account.create()
    assert made["ward_until"] == until
    client, _ = sign_in(gateway.url, mother)
    issued = client.post("/api/enrolments/claim/typed-data", {"code": made["code"]})
    assert "as the guardian of the person whose record this is" in issued["words"]
    assert _IDS[0] not in issued["words"]
    document = issued["typed_data"]
    client.post(
        "/api/enrolments/claim",
        {"code": made["code"], "typed_data": document, "signature": sign_typed(mother, document)},
    )
    key = made["patient_key"]
    seen = _until(client, key, lambda p: p["status"] == "claimed")
    assert (seen["capacity"], seen["ward_until"], seen["guardian"]) == ("guardian", until, None)
    client, signed_in = sign_in(gateway.url, mother)
    assert signed_in["purpose"] == "FAMRQT"
    assert _studies(gateway, client)
    assert _studies(gateway, sign_in(gateway.url, mother, "PATRQT")[0]) == [], "nobody is the ward but the ward"
    words, _ = _granted(client, mother, key)
    assert "all “the person I act for”'s images" in words
    events = _events(gateway, reader)
    assert [e.ward_until for e in events if isinstance(e, PatientEnrolled)] == [until]
    assert [e.capacity for e in events if isinstance(e, ConsentGranted)] == [Capacity.GUARDIAN]
    with pytest.raises(CommandError, match="422"):
        client.post(
            f"/api/patients/{key}/guardian/typed-data",
            {"guardian": Account.create().address, "valid_until": until + 1},
        )
    # The day has come: the desk moves the record to the person, and nobody can veto.
    time.sleep(max(0.0, until - time.time()) + 1.5)
    assert _studies(gateway, client) == []
    assert client.get("/api/patients")["patients"] == []
    grown = Account.create()
    begun = _recovery(gateway, _IDS[0])
    own, _ = sign_in(gateway.url, grown)
    claimed = own.post("/api/recoveries/claim", {"code": begun["code"]})
    path = f"/api/recoveries/{claimed['id']}"
    own.until(path, lambda view: view["status"] == "ready", 30)
    with pytest.raises(CommandError, match="404"):
        client.post(f"{path}/veto/typed-data")
    words, _ = _sign(own, grown, f"{path}/acceptance")
    assert "guardian" not in words
    own.until(path, lambda view: view["status"] == "finished", 30)
    seen = _own(own, key)
    assert (seen["capacity"], seen["ward_until"]) == ("self", None)
    assert _studies(gateway, sign_in(gateway.url, grown)[0])


# --- Lost wallets ----------------------------------------------------------------------------------------------------


def _recovery(gateway: RunningGateway, patient_id: str) -> dict[str, Any]:
    begun: dict[str, Any] = gateway.signed_in("registrar").post(
        "/api/recoveries", {"patient_id": patient_id, "issuer": "CONSENTRY-DEMO"}
    )
    return begun


def test_a_lost_wallet_is_replaced_after_the_delay(gateway: RunningGateway) -> None:
    old, patient, key = _patient(gateway, _IDS[0])
    _, consent = _granted(patient, old, key)
    registrar = gateway.signed_in("registrar")
    first = _recovery(gateway, _IDS[0])
    second = _recovery(gateway, _IDS[0])
    assert second["recovery_url"].endswith("/recover#" + second["code"])
    assert second["status"] == "waiting-for-patient"
    new = Account.create()
    own, _ = sign_in(gateway.url, new)
    with pytest.raises(CommandError, match="404"):
        own.post("/api/recoveries/claim", {"code": first["code"]})  # one is open at a time
    with pytest.raises(CommandError, match="403"):
        own.post("/api/recoveries/claim", {"code": second["code"], "controller": Account.create().address})
    with pytest.raises(CommandError, match="409"):
        patient.post("/api/recoveries/claim", {"code": second["code"]})  # to the very same
    claimed = own.post("/api/recoveries/claim", {"code": second["code"]})
    assert (claimed["status"], claimed["delay_s"]) == ("starting", _DELAY_S)
    with pytest.raises(CommandError, match="404"):
        own.post("/api/recoveries/claim", {"code": second["code"]})
    path = f"/api/recoveries/{claimed['id']}"
    pending = own.until(path, lambda view: view["status"] in {"pending", "ready"}, 30)
    assert pending["account"] == new.address
    with pytest.raises(CommandError, match="409"):
        own.post(f"{path}/acceptance/typed-data")
    for client in (patient, registrar):
        queue = {one["id"]: one for one in client.get("/api/recoveries")["recoveries"]}
        assert queue[claimed["id"]]["account"] == new.address
        assert queue[first["id"]]["status"] == "replaced"
    assert {one["patient_id"] for one in registrar.get("/api/recoveries")["recoveries"]} == {_IDS[0]}
    assert "patient_id" not in patient.get(path)
    assert _own(patient, key)["move"]["account"] == new.address
    stranger, _ = sign_in(gateway.url, Account.create())
    assert stranger.get("/api/recoveries") == {"recoveries": []}
    for method, where in (
        ("get", path),
        ("post", f"{path}/acceptance/typed-data"),
        ("post", f"{path}/veto/typed-data"),
    ):
        with pytest.raises(CommandError, match="404"):
            getattr(stranger, method)(where)
    own.until(path, lambda view: view["status"] == "ready", 30)
    words, _ = _sign(own, new, f"{path}/acceptance")
    assert words.startswith(f"I take over this patient record with my new key “{new.address}” (move number 1)")
    own.until(path, lambda view: view["status"] == "finished", 30)
    registrar.until(path, lambda view: view["ended_at"] is not None, 30)
    assert _studies(gateway, sign_in(gateway.url, new)[0])
    assert _studies(gateway, patient) == [], "the old key decides no more"
    assert own.get(f"/api/consents/{consent}")["status"] == "active", "a consent outlives the wallet that gave it"


def test_the_old_controller_vetoes_also_after_the_delay(gateway: RunningGateway) -> None:
    old, patient, _key = _patient(gateway, _IDS[0])
    new = Account.create()
    own, _ = sign_in(gateway.url, new)
    code = _recovery(gateway, _IDS[0])["code"]
    # Shown by a signature, without being signed in: any key that the contracts take can do that.
    anonymous = Client(gateway.url)
    issued = anonymous.post("/api/recoveries/claim/typed-data", {"code": code, "controller": new.address})
    document = issued["typed_data"]
    forged = {"code": code, "typed_data": document, "signature": sign_typed(Account.create(), document)}
    with pytest.raises(CommandError, match="401 bad-signature"):
        anonymous.post("/api/recoveries/claim", forged)
    with pytest.raises(CommandError, match="401 unauthenticated"):
        anonymous.post("/api/recoveries/claim", {"code": code})
    claimed = anonymous.post(
        "/api/recoveries/claim", {"code": code, "typed_data": document, "signature": sign_typed(new, document)}
    )
    path = f"/api/recoveries/{claimed['id']}"
    own.until(path, lambda view: view["status"] == "ready", 30)
    accepting = own.post(f"{path}/acceptance/typed-data")["typed_data"]
    words, _ = _sign(patient, old, f"{path}/veto")
    assert words.startswith("I stop the move of my patient record to another key (move number 1).")
    patient.until(path, lambda view: view["status"] == "vetoed", 30)
    with pytest.raises(CommandError, match="404"):
        own.post(f"{path}/acceptance", {"typed_data": accepting, "signature": sign_typed(new, accepting)})
    with pytest.raises(CommandError, match="409"):
        patient.post(f"{path}/veto/typed-data")
    assert _studies(gateway, patient)
    # By plain transaction: the gateway is not asked, and shows it.
    again = own.post("/api/recoveries/claim", {"code": _recovery(gateway, _IDS[0])["code"]})
    own.until(f"/api/recoveries/{again['id']}", lambda view: view["status"] in {"pending", "ready"}, 30)
    _transact(gateway, old, "vetoMove(bytes32)", _key)
    own.until(f"/api/recoveries/{again['id']}", lambda view: view["status"] == "vetoed", 30)


def test_who_still_has_the_wallet_moves_by_themselves(gateway: RunningGateway) -> None:
    """No signed start exists: the controller sends the transaction; the rest goes through the gateway."""
    old, patient, key = _patient(gateway, _IDS[0])
    new = Account.create()
    own, _ = sign_in(gateway.url, new)
    _transact(gateway, old, "startMove(bytes32,bytes)", key, bytes.fromhex(new.address[2:]))
    patient.until("/api/recoveries", lambda page: [one["id"] for one in page["recoveries"]] == [key], 30)
    (move,) = patient.get("/api/recoveries")["recoveries"]
    assert (move["account"], move["registrar"]) == (new.address, None)
    patient.until("/api/recoveries", lambda page: page["recoveries"][0]["status"] == "ready", 30)
    _sign(own, new, f"/api/recoveries/{key}/acceptance")
    _until(own, key, lambda p: p["capacity"] == "self")


def _transact(gateway: RunningGateway, account: LocalAccount, signature: str, key: str, *tail: bytes) -> None:
    """A plain transaction to the PatientRegistry."""
    types = signature[signature.index("(") + 1 : -1].split(",")
    data = keccak(text=signature)[:4] + encode(types, [bytes.fromhex(key[2:]), *tail])
    call_node(gateway.rpc_url, "anvil_setBalance", account.address, hex(10**20))
    deployment = json.loads(Path(gateway.settings["CONSENTRY_DEPLOYMENT"]).read_text())
    registry = deployment["contracts"]["PatientRegistry"]["address"]
    nonce = int(call_node(gateway.rpc_url, "eth_getTransactionCount", account.address, "latest"), 16)
    signed = account.sign_transaction(
        {
            "to": bytes.fromhex(registry[2:]),
            "data": data,
            "nonce": nonce,
            "gas": 1_000_000,
            "chainId": 31337,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
        }
    )
    sent = call_node(gateway.rpc_url, "eth_sendRawTransaction", "0x" + signed.raw_transaction.hex().removeprefix("0x"))
    deadline = time.monotonic() + 30
    while (receipt := call_node(gateway.rpc_url, "eth_getTransactionReceipt", sent)) is None:
        assert time.monotonic() < deadline, "the chain does not take it"
        time.sleep(0.05)
    assert receipt["status"] == "0x1"


# --- The command line ------------------------------------------------------------------------------------------------


def _run(gateway: RunningGateway, account: LocalAccount, *arguments: str, fails: int = 0, typed: str = "") -> Any:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    environment = {"CONSENTRY_GATEWAY_URL": gateway.url, "CONSENTRY_WALLET_KEY": account.key.hex()}
    ended = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments, *(() if fails else ("--json",))],
        cwd=PROJECT,
        env=clean | environment,
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == fails, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr if fails else json.loads(ended.stdout)


def _cast(name: str) -> LocalAccount:
    account: LocalAccount = Account.from_key(DEVELOPMENT_KEYS[CAST.index(name)])
    return account


def test_all_of_it_from_the_command_line(gateway: RunningGateway) -> None:
    registrar, doctor, patient, aunt, new = _cast("registrar"), _cast("physician1"), *(Account.create() for _ in "123")
    made = _run(gateway, registrar, "patient", "enrol", _IDS[0], "--issuer", "CONSENTRY-DEMO")
    key = made["patient_key"]
    claim_enrolment(gateway.url, patient, made["code"])
    ward = _run(gateway, registrar, "patient", "enrol", _IDS[1], "--ward-until", "2040-05-01")
    assert ward["ward_until"] == 2219443200
    assert "YYYY-MM-DD" in _run(gateway, registrar, "patient", "enrol", _IDS[1], "--ward-until", "1 May", fails=2)
    (own,) = _run(gateway, patient, "patient", "list")
    # Ask, withdraw, answer.
    asked = _run(gateway, doctor, "request", "ask", own["code"], "--reason", "Second opinion", "--days", "30")
    _run(gateway, doctor, "request", "withdraw", asked["id"])
    assert "409" in _run(gateway, patient, "request", "answer", asked["id"], "--decline", fails=1)
    asked = _run(
        gateway, doctor, "request", "ask", "--patient-id", _IDS[0], "--issuer", "CONSENTRY-DEMO", "--reason", "r"
    )
    accepted = _run(gateway, patient, "request", "answer", asked["id"], "--accept", "--action", "search", "--days", "2")
    assert accepted["status"] == "granted"
    mine = {one["id"]: one for one in _run(gateway, doctor, "request", "list")}
    assert mine[asked["id"]]["status"] == "granted"
    (got,) = _run(gateway, doctor, "consent", "list")
    assert (got["consent_id"], got["actions"]) == (mine[asked["id"]]["consent_id"], ["search"])
    _run(gateway, doctor, "request", "ask", "--reason", "r", fails=2)
    # A guardian, a lost wallet.
    named = _run(gateway, patient, "patient", "guardian", aunt.address, "--until", "2040-01-01", "--name", "Aunt May")
    assert named["guardian"] == aunt.address.lower()
    begun = _run(gateway, registrar, "patient", "recover", _IDS[0], "--issuer", "CONSENTRY-DEMO")
    assert "403" in _run(gateway, doctor, "patient", "recover", _IDS[0], fails=1)
    used = _run(gateway, new, "patient", "use-code", begun["code"])
    assert used["status"] in {"pending", "ready"}
    _run(gateway, patient, "patient", "veto", used["id"])
    begun = _run(gateway, registrar, "patient", "recover", _IDS[0], "--issuer", "CONSENTRY-DEMO")
    used = _run(gateway, new, "patient", "use-code", begun["code"])
    time.sleep(_DELAY_S + 1)
    _run(gateway, new, "patient", "take-over", used["id"])
    statuses = {one["status"] for one in _run(gateway, registrar, "patient", "recoveries")}
    # A move that began before the veto was looked at makes it one that was replaced
    assert statuses <= {"vetoed", "replaced", "finished", "ready"}
    # Erased, after the id was typed once more.
    erase = ("patient", "erase", _IDS[0], "--issuer", "CONSENTRY-DEMO")
    assert "differ" in _run(gateway, registrar, *erase, fails=1, typed="DEMO-9999\n")
    assert "no such patient" in _run(gateway, doctor, *erase, "--confirm", _IDS[0], fails=1)
    erased = _run(gateway, registrar, *erase, "--confirm", _IDS[0])
    assert (erased["status"], erased["patient_key"]) == ("erased", key)
    assert "no such patient" in _run(gateway, registrar, *erase, "--confirm", _IDS[0], fails=1)
    listed = gateway.signed_in("auditor").get("/api/erasures")["erasures"]
    assert [(one["patient_key"], one["registrar"], one["reason"]) for one in listed] == [
        (key, registrar.address, "patient-request")
    ]
    assert listed[0]["tx_hash"]
    assert _IDS[0] not in json.dumps(listed)
