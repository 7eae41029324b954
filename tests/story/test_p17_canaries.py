"""P17: nothing about a patient and no secret in the log, the metrics, the errors, our URLs or the chain.

Everything that a patient's files say and every secret of the stack is made unmistakable; the stack is then used,
misused and broken, over both kinds of archive and logging all it can; and everything it said is searched.
"""

import base64
import gzip
import json
import os
import re
import secrets
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from app.chain.anvil import DEVELOPMENT_KEYS
from app.chain.contracts import CallData, Contracts
from app.commands.client import Client, sign_typed
from app.core.consent.basis import role_id
from app.core.consent.terms import Role
from app.core.identifiers import Address, Subject
from tests.support.chain import ALWAYS, CAST, Deployed
from tests.support.dicom_files import write_odd_files
from tests.support.differential import (
    PUBLIC_URL,
    RunningGateway,
    Zygote,
    archive_settings,
    call_node,
    held_in,
    running_gateway,
)
from tests.support.differential_pacs import FAULTS, FaultyPacs, faulty_pacs

JSON = "application/dicom+json"
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_SHORTEST = 12  # of what is searched in other forms than text: less would be found by chance
_STUDY = "2.25.771201234567890123456789"
_PRIVATE_FIELDS = {
    "PatientID": "CANARYID-5417",
    "IssuerOfPatientID": "CANARYISSUER-5418",
    "PatientName": "CANARYNAME^Zephyrine",
    "PatientBirthDate": "18470213",
    "OtherPatientNames": "CANARYALIAS^Zephy",
    "PatientAddress": "CANARYADDRESS 12 Rue Morgue",
    "PatientTelephoneNumbers": "CANARYFON5550199",
    "PatientComments": "CANARYCOMMENT about her",
    "AccessionNumber": "CANARYACCESSION1",
    "StudyDescription": "CANARYSTUDY of the left knee",
    "SeriesDescription": "CANARYSERIES sagittal",
    "ReferringPhysicianName": "CANARYREFERRER^Hal",
    "InstitutionName": "CANARYINSTITUTION clinic",
    "StudyID": "CANARYSTID16",
    "ImageComments": "CANARYIMAGECOMMENT",
    "StudyInstanceUID": _STUDY,
    "SeriesInstanceUID": f"{_STUDY}.2",
    "SOPInstanceUID": f"{_STUDY}.2.3",
}
_SUBJECT = Subject(_PRIVATE_FIELDS["PatientID"], _PRIVATE_FIELDS["IssuerOfPatientID"])


# --- The search ------------------------------------------------------------------------------------------------------


def forms(canary: bytes) -> list[bytes]:
    """The canary as text, in hexadecimal of both cases, and inside any base64 (of both alphabets)."""
    if len(canary) < _SHORTEST:
        return [canary]
    found = [canary, canary.hex().encode(), canary.hex().upper().encode()]
    for before in range(3):
        # Without the characters that also depend on what stands before and behind.
        whole = len(canary) - (len(canary) + before) % 3
        encoded = base64.b64encode(bytes(before) + canary[:whole])[4 if before else 0 :]
        found += [encoded, encoded.replace(b"+", b"-").replace(b"/", b"_")]
    return found


def found_in(haystack: bytes, canaries: dict[str, bytes]) -> list[str]:
    return [name for name, canary in canaries.items() if any(form in haystack for form in forms(canary))]


@pytest.mark.parametrize("before", [b"", b"x", b"xy"])
def test_p17_the_search_finds_what_is_there(before: bytes) -> None:
    canary = os.urandom(32)
    around = before + canary + b"tail"
    for planted in (
        around,
        around.hex().encode(),
        around.hex().upper().encode(),
        base64.b64encode(around),
        base64.urlsafe_b64encode(around),
    ):
        assert found_in(b"some log line " + planted + b" and more", {"planted": canary}) == ["planted"]
    assert found_in(b"some log line " + os.urandom(200).hex().encode(), {"planted": canary}) == []


# --- The stack, with a canary in everything --------------------------------------------------------------------------


@dataclass
class Said:
    """What the gateway said to callers that must hold no canary: every header, and the bodies of errors."""

    pieces: list[bytes] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    def note(self, status: int, headers: Any, body: bytes) -> None:
        self.statuses.add(status)
        self.pieces.append("\n".join(f"{name}: {value}" for name, value in headers).encode())
        if status >= 400:
            self.pieces.append(body)


@dataclass
class Canaries:
    """``nowhere``: may not be on the chain either. ``unsaid``: signatures that the chain is there to check."""

    nowhere: dict[str, bytes] = field(default_factory=dict)
    unsaid: dict[str, bytes] = field(default_factory=dict)

    def both_forms(self, name: str, text: str) -> None:
        """A secret that is bytes and is written in hexadecimal."""
        self.nowhere[name] = bytes.fromhex(text.removeprefix("0x"))


@dataclass
class Stage:
    gateway: RunningGateway
    said: Said
    canaries: Canaries
    deployed: Deployed
    pacs: FaultyPacs | None
    token: str = ""

    def get(self, path: str, token: str = "", accept: str = "*/*", **more: str) -> int:
        with suppress(OSError, requests.RequestException):
            headers = {"Accept": accept} | ({"Authorization": f"Bearer {token}"} if token else {}) | more
            answer = requests.get(self.gateway.url + path, headers=headers, timeout=30, allow_redirects=False)
            self.said.note(answer.status_code, answer.headers.items(), answer.content)
            return answer.status_code
        return 0

    def post(self, path: str, body: Any, token: str = "") -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = requests.post(self.gateway.url + path, json=body, headers=headers, timeout=30)
        self.said.note(answer.status_code, answer.headers.items(), answer.content)
        return answer


def _write_canary_files(folder: Path) -> None:
    odd = write_odd_files(folder)
    dataset = pydicom.dcmread(odd[0].path)
    for keyword, value in _PRIVATE_FIELDS.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(dataset.SOPInstanceUID)
    for file in odd:
        file.path.unlink()
    dataset.save_as(folder / "CANARYFILE.dcm", enforce_file_format=True)
    whole = (folder / "CANARYFILE.dcm").read_bytes()
    # What a disk or a careless export leaves behind: cut short, and with a length that runs past the end.
    (folder / "broken-1.dcm").write_bytes(whole[: len(whole) // 2])
    at = whole.index(b"CANARYNAME") - 2
    (folder / "broken-2.dcm").write_bytes(whole[:at] + b"\xff\xff" + whole[at + 2 :])


def _give_roles(deployed: Deployed, rpc_url: str, accounts: dict[Role, LocalAccount]) -> None:
    roles = Contracts.of(deployed.deployment).roles
    admin = Account.from_key(DEVELOPMENT_KEYS[CAST.index("admin")]).address
    for role, account in accounts.items():
        call: CallData = roles.set_role(role_id(role), Address(bytes.fromhex(account.address[2:])), ALWAYS)
        sent = {"from": admin, "to": "0x" + call.to.hex(), "data": "0x" + call.data.hex(), "gas": hex(1_000_000)}
        call_node(rpc_url, "eth_sendTransaction", sent)
        call_node(rpc_url, "anvil_setBalance", account.address, hex(10**21))


@pytest.fixture(scope="module", params=["archive", "faulty"])
def stage(
    request: pytest.FixtureRequest, zygote: Zygote, deployed: Deployed, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    base = tmp_path_factory.mktemp(f"canaries-{request.param}")
    _write_canary_files(base / "files")
    file = next(file for file in held_in(base / "files") if file.path.name == "CANARYFILE.dcm")
    recorder, relayer, password = Account.create(), Account.create(), "CANARYPASSWORD" + secrets.token_hex(8)
    canaries = Canaries({name: value.encode() for name, value in _PRIVATE_FIELDS.items()})
    canaries.nowhere |= {"PACS password": password.encode(), "PACS user": b"CANARYUSERNAME"}
    credentials = base64.b64encode(f"CANARYUSERNAME:{password}".encode()).decode()
    canaries.nowhere["recorder key"], canaries.nowhere["relayer key"] = bytes(recorder.key), bytes(relayer.key)
    site_key = secrets.token_hex(32)
    canaries.both_forms("site key", site_key)
    id_token_key = secrets.token_hex(32)
    canaries.both_forms("ID token key", id_token_key)
    with faulty_pacs(file) as pacs:
        settings = archive_settings(base / "files")
        if request.param == "faulty":
            settings = {
                "CONSENTRY_PACS_URL": pacs.url,
                "CONSENTRY_PACS_USERNAME": "CANARYUSERNAME",
                "CONSENTRY_PACS_PASSWORD": password,
                "CONSENTRY_PACS_TIMEOUT_S": "2",
            }
        with running_gateway(
            zygote,
            deployed,
            base / "gateway",
            settings,
            lambda url: _give_roles(deployed, url, {Role.RECORDER: recorder, Role.REGISTRAR: relayer}),
            CONSENTRY_LOG_LEVEL="debug",
            CONSENTRY_SITE_KEY=site_key,
            CONSENTRY_RECORDER_KEY=bytes(recorder.key).hex(),
            CONSENTRY_RELAYER_KEY=bytes(relayer.key).hex(),
            CONSENTRY_ID_TOKEN_KEY=id_token_key,
            CONSENTRY_SUBJECT_TTL_S="1",
        ) as gateway:
            stage = Stage(gateway, Said(), canaries, deployed, pacs if request.param == "faulty" else None)
            _use(stage)
            _misuse(stage)
            _break(stage)
            if stage.pacs is not None:
                assert pacs.seen == {f"Basic {credentials}"}, "the password was never used: the test shows nothing"
            yield stage


def _signed_in(stage: Stage, account: LocalAccount) -> Client:
    message = stage.post("/auth/siwe/nonce", {"address": account.address}).json()["message"]
    signature = account.sign_message(encode_defunct(text=message)).signature
    answer = stage.post("/auth/siwe/verify", {"message": message, "signature": "0x" + signature.hex()}).json()
    number = len(stage.canaries.nowhere)
    stage.canaries.nowhere[f"token {number}"] = answer["access_token"].encode()
    stage.canaries.nowhere[f"sign-in signature {number}"] = bytes(signature)[:64]
    return Client(stage.gateway.url, answer["access_token"])


def _use(stage: Stage) -> None:
    """The whole way: enrol, claim, consent, look, ask, revoke."""
    wallet: LocalAccount = Account.create()
    registrar, doctor = (
        _signed_in(stage, Account.from_key(DEVELOPMENT_KEYS[CAST.index(name)])) for name in ("registrar", "physician1")
    )
    patient = _signed_in(stage, wallet)
    enrolled = stage.post(
        "/api/enrolments", {"patient_id": _SUBJECT.patient_id, "issuer": _SUBJECT.issuer}, registrar.token
    ).json()
    stage.canaries.nowhere["claim code"] = enrolled["code"].encode()
    issued = patient.post("/api/enrolments/claim/typed-data", {"code": enrolled["code"]})
    stage.canaries.nowhere["claim words"] = issued["words"].encode()
    signature = sign_typed(wallet, issued["typed_data"])
    stage.canaries.unsaid["claim signature"] = bytes.fromhex(signature[2:])[:64]
    claim = {"code": enrolled["code"], "typed_data": issued["typed_data"], "signature": signature}
    assert stage.post("/api/enrolments/claim", claim, patient.token).status_code == 202
    patient.until("/api/patients", lambda answer: bool(answer["patients"]), 120)
    assert stage.post("/api/enrolments/claim", claim, patient.token).status_code == 409
    reason = "CANARYREASON: her knee hurts"
    stage.canaries.nowhere["reason"] = reason.encode()
    body = {"patient_id": _SUBJECT.patient_id, "issuer": _SUBJECT.issuer, "reason": reason}
    stage.post("/api/access-requests", body, doctor.token)
    consent = _consent(stage, patient, wallet)
    targets = [("/studies", JSON), ("/studies?includefield=all&PatientName=CANARYNAME*", JSON), ("/instances", JSON)]
    study, series, instance = f"/studies/{_STUDY}", f"/series/{_STUDY}.2", f"/instances/{_STUDY}.2.3"
    targets += [(study, DICOM), (f"{study}/metadata", JSON), (f"{study}{series}{instance}", DICOM)]
    for target, accept in targets:
        assert stage.get(f"/dicom-web{target}", doctor.token, accept) == 200, target
    for path in (
        "/api/accesses",
        "/api/accesses/export",
        "/api/consents",
        "/api/patients",
        f"/api/explain?study={_STUDY}",
    ):
        for who in (patient, doctor, registrar):
            stage.get(path, who.token)
    revocation = patient.post(f"/api/consents/{consent}/revocation/typed-data")
    signature = sign_typed(wallet, revocation["typed_data"])
    stage.canaries.unsaid["revocation signature"] = bytes.fromhex(signature[2:])[:64]
    body = {"typed_data": revocation["typed_data"], "signature": signature}
    assert stage.post(f"/api/consents/{consent}/revocation", body, patient.token).status_code == 202
    assert stage.get(f"/dicom-web{study}", doctor.token, DICOM) == 404
    time.sleep(1)  # the revocation's epoch reaches the mirror
    _consent(stage, patient, wallet)
    stage.token = doctor.token


def _consent(stage: Stage, patient: Client, wallet: LocalAccount) -> str:
    asked = {
        "grantee": Account.from_key(DEVELOPMENT_KEYS[CAST.index("physician1")]).address,
        "scope": {"studies": [_STUDY]},
        "actions": ["search", "view", "retrieve"],
        "purposes": ["TREAT"],
        "valid_until": int(time.time()) + 86_400,
    }
    issued = patient.post("/api/consents/typed-data", asked)
    number = len(stage.canaries.unsaid)
    stage.canaries.nowhere[f"words {number}"] = issued["words"].encode()
    signature = sign_typed(wallet, issued["typed_data"])
    stage.canaries.unsaid[f"consent signature {number}"] = bytes.fromhex(signature[2:])[:64]
    body = {"typed_data": issued["typed_data"], "signature": signature}
    changed = json.loads(json.dumps(body))
    changed["typed_data"]["message"]["words"] = "CANARYNAME^Zephyrine says"
    assert stage.post("/api/consents", changed, patient.token).status_code == 422
    forged = body | {"signature": signature[:-6] + "1234" + signature[-2:]}
    assert stage.post("/api/consents", forged, patient.token).status_code == 401
    answer = stage.post("/api/consents", body, patient.token)
    assert answer.status_code == 202
    consent = str(answer.json()["consent_id"])
    patient.until(f"/api/consents/{consent}", lambda view: view["status"] == "active", 120)
    return consent


def _misuse(stage: Stage) -> None:
    """Bad requests of every kind, each with something in it that may not come back."""
    good, name = stage.token, "CANARYNAME"
    for target in (
        f"/studies/{name}",
        f"/studies/{_STUDY}/series/{name}%2F..",
        f"/studies/{_STUDY}/frames/{name}",
        f"/studies?PatientName={name}&PatientName={name}",
        f"/studies?{name}=1",
        f"/studies?PatientBirthDate=18470213x{name}",
        f"/studies?limit={name}",
        f"/studies?includefield={name}",
        f"/{name}",
        f"/studies/{_STUDY}.9/metadata",
    ):
        for used in (good, "", f"{name}.CANARYPASSWORD", good + "x"):
            status = stage.get(f"/dicom-web{target}", used, JSON)
            assert 400 <= status < 500, (target, status)
    stage.get("/dicom-web/studies", good, f"image/{name}")
    stage.get(f"/{name}/{_SUBJECT.patient_id}?access_token={good}")
    stage.get("/dicom-web/studies", good, JSON, **{"X-Forwarded-Host": f"{name}.example", "Cookie": f"a={name}"})
    stage.get("/api/consents", "", JSON, Cookie=f"__Host-consentry={good}x")
    for path in ("/auth/siwe/nonce", "/auth/siwe/verify", "/api/enrolments", "/api/enrolments/claim", "/api/consents"):
        for body in ({"patient_id": name}, [name], name, {"message": name, "signature": name}, {"code": name}):
            assert stage.post(path, body, good).status_code >= 400
        raw = requests.post(
            stage.gateway.url + path,
            data=b'{"patient_id":"CANARYNAME","patient_id":1e999',
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {good}"},
            timeout=30,
        )
        stage.said.note(raw.status_code, raw.headers.items(), raw.content)
    for head in (
        f"GET /dicom-web/studies/{_STUDY} HTTP/1.1\r\nHost: a\r\nHost: {name}\r\n\r\n",
        f"GET /{name} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n{name}",
        f"GET /{name} HTTP/1.1\r\nHost: a\r\n{name}: {'x' * 20000}\r\nAuthorization: Bearer {good}\r\n\r\n",
        f"GET /{name}\nHost {name}\n\n",
        f"{name} {_STUDY}\r\n\r\n",
        f"GET /{name} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {good}\r\nAuthorization: Bearer {name}\r\n\r\n",
    ):
        with closing(socket.create_connection(("127.0.0.1", stage.gateway.port), timeout=60)) as connection:
            connection.sendall(head.encode())
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            with suppress(OSError):
                while piece := connection.recv(65536):
                    answer += piece
            stage.said.pieces.append(answer)


def _break(stage: Stage) -> None:
    """The archive answers wrongly, or its files change under the gateway."""
    token = stage.token
    study = f"/dicom-web/studies/{_STUDY}"
    instance = f"{study}/series/{_STUDY}.2/instances/{_STUDY}.2.3"
    targets = [(study, DICOM), (f"{study}/metadata", JSON), (instance, DICOM), (f"{instance}/frames/1", "*/*")]
    targets += [("/dicom-web/studies", JSON), (f"{instance}/rendered", "image/png")]
    if stage.pacs is not None:
        statuses = set()
        for fault in FAULTS:
            stage.pacs.fault = fault
            statuses |= {stage.get(target, token, accept) for target, accept in targets}
        stage.pacs.fault = "none"
        assert statuses & {502, 504}, statuses
        return
    folder = Path(stage.gateway.settings["CONSENTRY_PACS_URL"].removeprefix("file://"))
    file = folder / "CANARYFILE.dcm"
    whole = file.read_bytes()
    file.write_bytes(whole[:300])
    statuses = {stage.get(target, token, accept) for target, accept in targets}
    file.unlink()
    statuses |= {stage.get(target, token, accept) for target, accept in targets}
    file.write_bytes(whole)
    assert max(statuses) >= 404, statuses


# --- Nothing is found ------------------------------------------------------------------------------------------------


def test_p17_nothing_in_the_log(stage: Stage) -> None:
    text = stage.gateway.log.read_bytes()
    assert b" DEBUG " in text, "the log does not say all it could"
    assert found_in(text, stage.canaries.nowhere | stage.canaries.unsaid) == []


def test_p17_nothing_in_errors_headers_and_metrics(stage: Stage) -> None:
    for path in ("/metrics", "/readyz", "/healthz", "/openapi.json"):
        answer = requests.get(stage.gateway.url + path, timeout=30)
        assert answer.status_code == 200
        stage.said.pieces.append(answer.content)
    assert {400, 401, 404, 409, 422} <= stage.said.statuses, "too few kinds of errors were met"
    assert found_in(b"\n".join(stage.said.pieces), stage.canaries.nowhere | stage.canaries.unsaid) == []


def test_p17_nothing_on_the_chain(stage: Stage) -> None:
    """Every transaction, every log, and the whole state as the node keeps it."""
    url = stage.gateway.rpc_url
    auditor = stage.gateway.signed_in("auditor")
    auditor.until("/api/accesses", lambda page: all(one["seq"] is not None for one in page["accesses"]), 120)
    height = int(call_node(url, "eth_blockNumber"), 16)
    blocks = [call_node(url, "eth_getBlockByNumber", hex(number), True) for number in range(height + 1)]
    logs = call_node(url, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
    dump = gzip.decompress(bytes.fromhex(call_node(url, "anvil_dumpState")[2:]))
    haystack = json.dumps(blocks).encode() + json.dumps(logs).encode() + dump
    # A consent's signature is on the chain to be checked there: so the search looks where it would have to.
    assert "claim signature" in found_in(haystack, stage.canaries.unsaid)
    with closing(sqlite3.connect(Path(stage.gateway.settings["CONSENTRY_DATA_DIR"]) / "consentry.db")) as database:
        salts = database.execute("SELECT salt FROM patient UNION SELECT salt FROM access_record").fetchall()
    assert len(salts) > 5
    canaries = stage.canaries.nowhere | {f"salt {number}": bytes(salt) for number, (salt,) in enumerate(salts)}
    canaries = {name: value for name, value in canaries.items() if len(value) >= _SHORTEST}
    assert found_in(haystack, canaries) == []


def test_p17_our_urls_name_no_patient(stage: Stage) -> None:
    """Of an authorised answer, each link: UIDs that address the resource, and nothing else."""
    token = stage.token
    target = f"/dicom-web/studies/{_STUDY}/instances?includefield=all"
    answer = requests.get(
        stage.gateway.url + target, headers={"Authorization": f"Bearer {token}", "Accept": JSON}, timeout=30
    )
    if stage.pacs is None:
        return
    links = re.findall(rb"https?://[^\"]+", answer.content)
    assert links
    assert all(link.startswith(PUBLIC_URL.encode()) for link in links)
    uids = {name for name in _PRIVATE_FIELDS if name.endswith("InstanceUID")}
    private = {name: value for name, value in stage.canaries.nowhere.items() if name not in uids}
    assert found_in(b"\n".join(links), private) == []
