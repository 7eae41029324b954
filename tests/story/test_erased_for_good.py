"""After an erasure nothing matches any more: the whole database, the site key and the full list of PatientIDs against
everything that is on the chain (the last line of PROMISES' table), tried by brute force on a running stack.

Every attack is also run on a patient who was not erased, or before the erasure, and must succeed there.
"""

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from eth_account import Account
from eth_account.signers.local import LocalAccount
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from app.chain.anvil import DEVELOPMENT_KEYS
from app.chain.deployment import load
from app.commands.audit import verify_chain
from app.commands.client import Client, sign_in, sign_typed
from app.commands.output import CommandError
from app.core.exported import to_line
from app.core.identifiers import StudyUid, Subject
from app.core.pseudonym import patient_key, study_key
from app.core.signing.reference import without_reference
from app.core.signing.typed_data import words_hash
from app.demo.samples import ISSUER, PATIENTS, write_samples
from app.demo.seeding import claim_enrolment
from app.store.tables import Row
from tests.support.authenticator import Authenticator
from tests.support.chain import CAST, Deployed, deployed_in, plan
from tests.support.differential import (
    PUBLIC_URL,
    RunningGateway,
    Zygote,
    archive_settings,
    call_node,
    held_in,
    running_gateway,
)

_HERS, _HIS = PATIENTS[0].patient_id, PATIENTS[1].patient_id
_AUNT, _REASON, _UNANSWERED = "CANARYAUNT May", "CANARYREASON for the knee", "UNANSWERED words of the asker"
_PHONE, _HOOK, _GLASS = "CANARYPHONE", "CANARYHOOK", "CANARYGLASS because she fell"
_DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
# Tables that hold nothing of a patient, and why. Whoever adds a table fills it in the story below, or says so here.
_NOT_OF_PATIENTS = {
    "directory_entry": "staff and teams by name: whoever is staff is tied to their account by it",
    "erasure": "filled by the erasure itself, and looked at after it",
    "invitation": "staff by name, as they were invited",
    "oauth_client": "programs",
    "oauth_code": "an account and a program, for a minute",
    "oauth_device": "an account and a program, for minutes",
    "oauth_family": "an account and a program",
    "oauth_refresh": "an account and a program",
    "passkey_challenge": "gone once it is answered",
    "verification": "an auditor's run",
}


@dataclass
class Story:
    """What was done, and what is to be found nowhere."""

    gateway: RunningGateway
    deployed: Deployed
    folder: Path
    keys: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, LocalAccount] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    one_time_codes: list[str] = field(default_factory=list)
    before: "Database | None" = None

    @property
    def site_key(self) -> bytes:
        return bytes.fromhex(self.gateway.settings["CONSENTRY_SITE_KEY"])

    def studies(self, patient_id: str) -> set[str]:
        return {file.study for file in held_in(self.folder / "files") if file.subject.patient_id == patient_id}

    def read(self) -> "Database":
        path = Path(self.gateway.settings["CONSENTRY_DATA_DIR"]) / "consentry.db"
        with closing(sqlite3.connect(path)) as database:
            tables = {
                table: [dict(zip([c[0] for c in rows.description], row, strict=True)) for row in rows.fetchall()]
                for table in sorted(Row.metadata.tables)
                for rows in [database.execute(f'SELECT * FROM "{table}"')]
            }
        files = b"".join(one.read_bytes() for one in sorted(path.parent.glob("consentry.db*")))
        return Database(tables, files)


@dataclass(frozen=True)
class Database:
    """Every row of every table, and the bytes of the files."""

    tables: dict[str, list[dict[str, Any]]]
    files: bytes

    def values(self) -> Iterator[bytes]:
        for rows in self.tables.values():
            for row in rows:
                yield from map(_raw, row.values())


def _raw(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode()


@pytest.fixture(scope="module")
def story(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("erased")
    write_samples(folder / "files")
    _write_odd_ones(folder / "files")
    hasty = asyncio.run(deployed_in(tmp_path_factory.mktemp("hasty"), replace(plan(), move_delay_s=2)))
    pacs = archive_settings(folder / "files")
    with running_gateway(zygote, hasty, folder / "data", pacs, CONSENTRY_WEBHOOKS="private") as gateway:
        told = Story(gateway, hasty, folder)
        _tell(told)
        told.before = told.read()
        yield told


def _write_odd_ones(folder: Path) -> None:
    """For each of the two a study under an identity that says less than the usual one."""
    for number, patient_id in enumerate((_HERS, _HIS)):
        path = get_testdata_file("CT_small.dcm", download=False)
        assert isinstance(path, str)
        dataset = pydicom.dcmread(path)
        dataset.PatientID, dataset.PatientName = patient_id, "Canary^Odd"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID(f"2.25.99100{number}"), UID(f"2.25.99200{number}")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.99300{number}")
        dataset.save_as(folder / f"odd-{number}.dcm")


def _sort_out_the_odd_ones(story: Story, registrar: Client) -> None:
    registrar.post("/api/identities/scan", {})
    registrar.until("/api/identities/scan", lambda scan: scan["state"] == "finished", 60)
    for patient_id in (_HERS, _HIS):
        asked = {"kind": "alias", "patient_key": story.keys[patient_id], "patient_id": patient_id, "issuer": ""}
        registrar.post("/api/identities/resolutions", asked | {"reason": f"{_REASON} of {patient_id}"})


def _sign(client: Client, account: LocalAccount, path: str, body: Any = None, **more: Any) -> Any:
    document = client.post(f"{path}/typed-data", body)["typed_data"]
    return client.post(path, {"typed_data": document, "signature": sign_typed(account, document), **more})


def _get(story: Story, client: Client, path: str, accept: str = "application/dicom+json") -> requests.Response:
    headers = {"Authorization": f"Bearer {client.token}", "Accept": accept}
    return requests.get(story.gateway.url + path, headers=headers, timeout=30)


def _tell(story: Story) -> None:
    """Both patients live the same life, so that what finds the one would find the other."""
    gateway = story.gateway
    registrar, doctor = gateway.signed_in("registrar"), gateway.signed_in("physician1")
    for patient_id in (_HERS, _HIS):
        made = registrar.post("/api/enrolments", {"patient_id": patient_id, "issuer": ISSUER})
        key, account = made["patient_key"], Account.create()
        story.one_time_codes.append(made["code"])
        client = claim_enrolment(gateway.url, account, made["code"])
        story.keys[patient_id], story.accounts[patient_id] = key, account
        story.codes[patient_id] = client.get("/api/patients")["patients"][0]["code"]
        aunt = {"guardian": _passkey(client, patient_id), "valid_until": int(time.time()) + 3600}
        _sign(client, account, f"/api/patients/{key}/guardian", aunt, name=f"{_AUNT} of {patient_id}")
        hook = {"webhook": f"https://127.0.0.1:9/{_HOOK}-{patient_id}"}
        put = requests.put(
            f"{gateway.url}/api/contact",
            json=hook,
            headers={"Authorization": f"Bearer {client.token}"},
            timeout=30,
        )
        assert put.status_code == 200, put.text
        _break_the_glass(gateway, patient_id)
        named = sorted(story.studies(patient_id))[:1]
        for scope, grantee in (("all", "physician1"), ({"studies": named}, "physician2")):
            asked = {
                "grantee": _address(grantee),
                "scope": scope,
                "actions": ["search", "view", "retrieve"],
                "purposes": ["TREAT"],
                "valid_until": int(time.time()) + 86_400,
            }
            consent = _sign(client, account, "/api/consents", asked)["consent_id"]
            client.until(f"/api/consents/{consent}", lambda view: view["status"] == "active", 60)
        about = {"patient_id": patient_id, "issuer": ISSUER}
        for answer in ("accept", "decline", None):
            reason = _UNANSWERED if answer is None else f"{_REASON} of {patient_id}"
            request = doctor.post("/api/access-requests", {**about, "reason": reason})["id"]
            if answer is not None:
                body = {"decision": answer} | ({"consent_id": _consent_of(client)} if answer == "accept" else {})
                client.post(f"/api/access-requests/{request}/decision", body)
        assert _get(story, doctor, f"/dicom-web/studies/{named[0]}", _DICOM).status_code == 200
        assert _get(story, client, "/dicom-web/studies").status_code == 200
        code = registrar.post("/api/recoveries", about)["code"]
        story.one_time_codes.append(code)
        new = sign_in(gateway.url, Account.create())[0]
        moving = new.post("/api/recoveries/claim", {"code": code})["id"]
        new.until(f"/api/recoveries/{moving}", lambda view: view["status"] in {"pending", "ready"}, 30)
        _sign(client, account, f"/api/recoveries/{moving}/veto")
        story.one_time_codes.append(registrar.post("/api/recoveries", about)["code"])
        own = [one for one in client.get("/api/consents")["consents"] if one["scope"] != "all"]
        _sign(client, account, f"/api/consents/{own[0]['consent_id']}/revocation")
        story.clients[patient_id] = client
    _sort_out_the_odd_ones(story, registrar)
    auditor = gateway.signed_in("auditor")
    auditor.until("/api/accesses", lambda page: all(one["status"] == "final" for one in page["accesses"]), 120)
    deadline = time.monotonic() + 60
    while not story.read().tables["known_accessor"] and time.monotonic() < deadline:
        time.sleep(0.5)  # first accesses are noticed a while after they were made


def _passkey(client: Client, patient_id: str) -> str:
    """One that is called after somebody; its signer."""
    device = Authenticator(origin=PUBLIC_URL, rp_id="gateway.example", credential_id=os.urandom(16))
    called = {"name": f"{_PHONE} of {patient_id}"}
    options = client.post("/auth/passkey/registration/options", called)["public_key"]
    made = client.post("/auth/passkey/registration/verify", {**called, "credential": device.create(options)})
    return str(made["signer"])


def _break_the_glass(gateway: RunningGateway, patient_id: str) -> None:
    """Opened, used, and reviewed by somebody else."""
    rescuer, auditor = gateway.signed_in("emergency", "ETREAT"), gateway.signed_in("auditor")
    asked = {"patient_id": patient_id, "issuer": ISSUER, "reason": f"{_GLASS} of {patient_id}"}
    issued = rescuer.post("/api/emergency-access/typed-data", asked)
    document = issued["typed_data"]
    signed = {"typed_data": document, "signature": sign_typed(_account("emergency"), document)}
    opened = rescuer.post("/api/emergency-access", asked | signed | {"reason_salt": issued["reason_salt"]})
    path = f"/api/emergency-access/{opened['emergency_id']}"
    auditor.until(path, lambda one: one["status"] != "submitted", 60)
    found = {"finding": "justified", "note": f"{_GLASS} noted of {patient_id}"}
    issued = auditor.post(f"{path}/review/typed-data", found)
    document = issued["typed_data"]
    signed = {"typed_data": document, "signature": sign_typed(_account("auditor"), document)}
    auditor.post(f"{path}/review", signed | {"note": found["note"], "note_salt": issued["note_salt"]})


def _account(name: str) -> LocalAccount:
    account: LocalAccount = Account.from_key(DEVELOPMENT_KEYS[CAST.index(name)])
    return account


def _address(name: str) -> str:
    return str(_account(name).address)


def _consent_of(client: Client) -> str:
    return next(str(one["consent_id"]) for one in client.get("/api/consents")["consents"] if one["scope"] == "all")


def _erase(story: Story, patient_id: str) -> dict[str, Any]:
    registrar, key = story.gateway.signed_in("registrar"), story.keys[patient_id]
    asked = {"reason": "patient-request", "patient_id": patient_id, "issuer": ISSUER}
    registrar.post(f"/api/patients/{key}/erasure", asked)
    ended: dict[str, Any] = registrar.until(f"/api/erasures/{key}", lambda one: one["status"] == "erased", 60)
    time.sleep(2.5)  # one more round of the sweep, with the write-ahead log
    return ended


# --- The chain, taken apart -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Public:
    """Everything on the chain, as the 32-byte words and as the whole bytes that it is made of."""

    words: set[bytes]
    everything: bytes

    @classmethod
    def of(cls, rpc_url: str) -> "Public":
        pieces = []
        for number in range(int(call_node(rpc_url, "eth_blockNumber"), 16) + 1):
            block = call_node(rpc_url, "eth_getBlockByNumber", hex(number), True)
            pieces += [bytes.fromhex(one["input"][2:]) for one in block["transactions"]]
        for log in call_node(rpc_url, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"}):
            pieces += [bytes.fromhex(one[2:]) for one in (*log["topics"], log["data"])]
        words = {piece[at : at + 32] for piece in pieces for shift in (0, 4) for at in range(shift, len(piece), 32)}
        return cls({word for word in words if len(word) == 32}, b"|".join(pieces))


def _candidates(database: Database) -> set[bytes]:
    """Every 32 bytes in a row of the database, as salts to be tried: whole values, and windows into longer ones."""
    found = {bytes(32)}
    for value in database.values():
        found |= {value[at : at + 32] for at in range(max(0, min(len(value), 600) - 31))}
    return {one for one in found if len(one) == 32}


def _matches(story: Story, database: Database, public: Public, patient_id: str) -> list[str]:
    """What the brute force finds of this patient."""
    contract = load(story.deployed.deployment_path).address("PatientRegistry")
    subject, studies = Subject(patient_id, ISSUER), [StudyUid(uid) for uid in story.studies(patient_id)]
    found = []
    for salt in _candidates(database):
        if patient_key(story.site_key, salt, subject, 31337, contract) in public.words:
            found.append("the patient key")
        found += [
            "a study key"
            for study in studies
            if study_key(story.site_key, salt, study, 31337, contract) in public.words
        ]
    return sorted(set(found))


def _described(story: Story, patient_id: str) -> list[str]:
    """What words may say of this patient's studies: their descriptions and dates, as anybody at the PACS reads them."""
    (sample,) = [one for one in PATIENTS if one.patient_id == patient_id]
    return [f"{one.description} of {one.date[:4]}-{one.date[4:6]}-{one.date[6:]}" for one in sample.studies]


# --- The story --------------------------------------------------------------------------------------------------------


def test_the_attacks_succeed_before(story: Story) -> None:
    public, database = Public.of(story.gateway.rpc_url), story.read()
    for patient_id in (_HERS, _HIS):
        assert _matches(story, database, public, patient_id) == ["a study key", "the patient key"]
    empty = {table for table, rows in database.tables.items() if not rows}
    assert empty == _NOT_OF_PATIENTS.keys(), "a table that the story does not fill: see _NOT_OF_PATIENTS"


def test_p17_words_on_the_chain_cannot_be_guessed(story: Story) -> None:
    """Their hash is public. Of words about studies somebody at the PACS can guess every part but the reference."""
    public, database = Public.of(story.gateway.rpc_url), story.read()
    said = [json.loads(row["typed_data"])["message"]["words"] for row in database.tables["consent_message"]]
    about_studies = [words for words in said if any(text in words for text in _described(story, _HERS))]
    assert about_studies
    for words in about_studies:
        assert words_hash(words) in public.words
        assert without_reference(words) != words
        assert words_hash(without_reference(words)) not in public.words


def test_erased_and_nothing_matches(story: Story) -> None:
    registrar, auditor = story.gateway.signed_in("registrar"), story.gateway.signed_in("auditor")
    exported_before = _export(story, auditor, "before.jsonl")
    ended = _erase(story, _HERS)
    public, database = Public.of(story.gateway.rpc_url), story.read()
    key = bytes.fromhex(story.keys[_HERS][2:])
    assert key in public.words, "the chain forgets nothing"

    assert _matches(story, database, public, _HERS) == []
    assert _matches(story, database, public, _HIS) == ["a study key", "the patient key"]
    assert story.before is not None
    assert _matches(story, story.before, public, _HERS) == ["a study key", "the patient key"], "a backup still would"

    # No table says who it was, and no row beside a value of hers on the chain says anything that could.
    salt = next(row["salt"] for row in story.before.tables["patient"] if row["patient_key"] == key)
    secrets = [salt, story.codes[_HERS].replace("-", "").encode(), *(uid.encode() for uid in story.studies(_HERS))]
    secrets += [_HERS.encode(), f"{_AUNT} of {_HERS}".encode(), f"{_REASON} of {_HERS}".encode()]
    secrets += [f"{what} of {_HERS}".encode() for what in (_PHONE, _GLASS, f"{_GLASS} noted")]
    secrets += [f"{_HOOK}-{_HERS}".encode()]
    for table, columns in (("emergency", ["reason_salt"]), ("emergency_review", ["note_salt"])):
        secrets += [row[name] for row in story.before.tables[table] if row["patient_key"] == key for name in columns]
    secrets += [text.encode() for text in _described(story, _HERS)]
    secrets += [row["salt"] for row in story.before.tables["access_record"] if row["patient_key"] == key]
    for table, rows in database.tables.items():
        for row in rows:
            whole = b"|".join(map(_raw, row.values()))
            for secret in secrets:
                for form in (secret, secret.hex().encode()):
                    assert form not in whole, f"{table} still holds what names her: {sorted(row)}"
    for secret in secrets:
        assert secret not in database.files, "the files still hold it, if not the tables"
    unanswered = [row for row in database.tables["access_request"] if row["message"] == _UNANSWERED]
    assert len(unanswered) == 2, "who asked does not learn by this that there was somebody"
    hers_on_chain = _values_of(story.before, key)
    for row in unanswered:
        whole = b"|".join(_raw(value) for name, value in row.items() if name != "requester")
        assert ("patient_key", key) not in row.items()
        if row["patient_key"].hex() != story.keys[_HIS][2:]:
            assert not any(value in whole for value in hers_on_chain)

    # The erasure is on record, and says of whom to nobody.
    page = auditor.until("/api/erasures", lambda one: one["erasures"][0]["tx_hash"], 30)
    (listed,) = page["erasures"]
    assert {**listed, "tx_hash": None, "block": None} == {**ended, "tx_hash": None, "block": None}
    assert (listed["patient_key"], listed["reason"]) == (story.keys[_HERS], "patient-request")
    assert listed["registrar"] == _address("registrar")
    assert {one["patient_id"] for one in registrar.get("/api/patients")["patients"]} == {_HIS}

    # The log stays what it was.
    deployment = story.deployed.deployment_path
    for records in (None, exported_before):
        report = verify_chain(story.gateway.rpc_url, deployment, records)
        assert report.good, report.lines()
        assert not any("erased" in line for line in report.lines())
    report = verify_chain(story.gateway.rpc_url, deployment, _export(story, auditor, "after.jsonl"))
    assert report.good, report.lines()
    hers = sum(row["patient_key"] == key for row in database.tables["access_record"])
    assert hers > 1
    assert f"{hers} records of erased patients, closed for good" in report.lines()


def test_p17_nothing_of_it_in_the_log_of_the_gateway(story: Story) -> None:
    said = story.gateway.log.read_bytes()
    secrets = [_HERS, _HIS, _AUNT, _REASON, _UNANSWERED, *story.codes.values(), *story.one_time_codes]
    assert len(story.one_time_codes) == 6
    for secret in secrets:
        for form in (secret, secret.replace("-", ""), secret.encode().hex()):
            assert form.encode() not in said, secret


def test_nobody_is_let_in_and_she_can_be_enrolled_anew(story: Story) -> None:
    doctor, registrar = story.gateway.signed_in("physician1"), story.gateway.signed_in("registrar")
    found = {one["0020000D"]["Value"][0] for one in _get(story, doctor, "/dicom-web/studies").json()}
    assert found == story.studies(_HIS)
    for study in story.studies(_HERS):
        assert _get(story, doctor, f"/dicom-web/studies/{study}", _DICOM).status_code == 404
    assert story.clients[_HERS].get("/api/patients") == {"patients": []}
    made = registrar.post("/api/enrolments", {"patient_id": _HERS, "issuer": ISSUER})
    assert made["patient_key"] != story.keys[_HERS]
    client = claim_enrolment(story.gateway.url, Account.create(), made["code"])
    found = {one["0020000D"]["Value"][0] for one in _get(story, client, "/dicom-web/studies").json()}
    assert found == {
        file.study for file in held_in(story.folder / "files") if file.subject == Subject(_HERS, ISSUER)
    }, "but what was said of odd identities went with the erasure"
    accesses = client.until("/api/accesses", lambda page: page["accesses"], 30)["accesses"]
    assert {one["patient_key"] for one in accesses} == {made["patient_key"]}, "what was before is nobody's"
    assert _get(story, doctor, f"/dicom-web/studies/{min(story.studies(_HERS))}", _DICOM).status_code == 404
    with pytest.raises(CommandError, match="404"):
        registrar.post(
            f"/api/patients/{story.keys[_HERS]}/erasure",
            {"reason": "patient-request", "patient_id": _HERS, "issuer": ISSUER},
        )


def _values_of(database: Database, key: bytes) -> set[bytes]:
    """What of hers is on the chain and stood in a row beside her key: consent ids, commitments."""
    found = {key}
    for table, columns in (("consent_message", ["consent_id"]), ("access_record", ["commitment"])):
        found |= {row[name] for row in database.tables[table] if row["patient_key"] == key for name in columns}
    return found


def _export(story: Story, auditor: Client, name: str) -> Path:
    cursor, lines = None, []
    while True:
        page = auditor.get("/api/accesses/export", limit=1000, cursor=cursor)
        lines += [to_line(bytes.fromhex(one["record"][2:]), bytes.fromhex(one["salt"][2:])) for one in page["records"]]
        cursor = page["next"]
        if cursor is None:
            break
    path = story.folder / name
    path.write_text("".join(line + "\n" for line in reversed(lines)))
    return path
