"""Fills a new development chain through the gateway's own front door: names for the accounts, two enrolled
patients, and programs to sign in with.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from eth_account import Account as Wallet
from eth_account.signers.local import LocalAccount

from app.api.wiring import Wiring
from app.chain.account import Account
from app.chain.sender import Signer
from app.commands.client import Client, sign_in, sign_typed
from app.core.dicom.dicomjson import identity
from app.core.dicom.dicomweb import Level, Search
from app.core.directory import SALT_BYTES, entry_hash
from app.core.identifiers import Address, Subject
from app.settings import Settings
from app.store.directory import DirectoryEntry
from app.store.oauth_clients import OauthClient, OauthClients

# Names of made-up people; the portal and the signed words show them instead of hex.
_PEOPLE = {
    "admin": ("Clara Nowak", "St. Elsewhere Hospital, administration", ""),
    "physician1": ("Dr. Ines Castellan", "St. Elsewhere Hospital", "GMC 7000001"),
    "physician2": ("Dr. Tomas Brandt", "Harbour Clinic", "GMC 7000002"),
    "emergency": ("Dr. Mina Sato", "St. Elsewhere Hospital, emergency department", "GMC 7000003"),
    "auditor": ("Ruth Adeyemi", "St. Elsewhere Hospital, data protection", ""),
    "registrar": ("Jonas Weber", "St. Elsewhere Hospital, front desk", ""),
}
_READING = ("openid", "profile", "dicomweb", "offline_access")
_PROGRAMS = (
    OauthClient(
        "ohif",
        "OHIF on this machine",
        redirect_uris=("http://localhost:3000/callback",),
        post_logout_redirect_uris=("http://localhost:3000/",),
        scopes=_READING,
        native=True,
    ),
    OauthClient(
        "desktop",
        "A desktop program",
        redirect_uris=("http://127.0.0.1/callback", "http://[::1]/callback"),
        scopes=(*_READING, "dicomweb.upload"),
        native=True,
        device=True,
    ),
)
_LOOK_AT = 200
_CLAIM_WAIT_S = 60.0


async def seed(wiring: Wiring, settings: Settings, names: Sequence[str], keys: Sequence[bytes]) -> list[dict[str, str]]:
    """Enrol and claim the archive's first two patients for patient1 and patient2, unless that was done before.

    The first of the keys is the admin's. Gives dev.json's ``patients``.
    """
    accounts = {name: Wallet.from_key(key) for name, key in zip(names, keys, strict=False)}
    await _fill_directory(wiring, accounts, keys[0])
    await asyncio.to_thread(_register_programs, wiring.oauth.ground.clients)
    subjects = await _first_subjects(wiring)
    gateway = f"http://127.0.0.1:{settings.port}"
    return await asyncio.to_thread(_enrol_all, gateway, accounts, subjects)


async def _fill_directory(wiring: Wiring, accounts: dict[str, LocalAccount], admin_key: bytes) -> None:
    """Who everybody is, here in words and on the chain by its hash, as far as either is missing."""
    admin = Account(wiring.nodes, Signer.of(admin_key), wiring.deployment.chain_id)
    standing = wiring.standing()
    on_chain = {} if standing is None else standing.head.directory
    known = {entry.address: entry for entry in await wiring.directory.all(on_chain)}
    for name, (person, organisation, registration) in _PEOPLE.items():
        address = Address(bytes.fromhex(accounts[name].address[2:]))
        entry = known.get(address)
        if entry is None:
            salt = wiring.random_bytes(SALT_BYTES)
            hashed = entry_hash(salt, person, organisation, registration)
            entry = DirectoryEntry(address, person, organisation, registration, salt, hashed)
            await wiring.directory.put(entry)
        if on_chain.get(address) != entry.entry_hash:
            call = wiring.contracts.roles.set_directory_entry(address, entry.entry_hash)
            await admin.send(await admin.next_nonce(), call.to, call.data)


def _register_programs(clients: OauthClients) -> None:
    """Those of docs/VIEWERS.md, unless somebody registered their own by these names."""
    for program in _PROGRAMS:
        if clients.find(program.client_id) is None:
            clients.put(program)


async def _first_subjects(wiring: Wiring) -> list[Subject]:
    found = {identity(row) for row in await wiring.origin.search(Search(level=Level.STUDY, limit=_LOOK_AT))}
    usable = sorted((s for s in found if s.patient_id), key=lambda s: (s.patient_id, s.issuer))
    return usable[:2]


def _enrol_all(gateway: str, accounts: dict[str, LocalAccount], subjects: Sequence[Subject]) -> list[dict[str, str]]:
    registrar, _ = sign_in(gateway, accounts["registrar"])
    known = {(p["patient_id"], p["issuer"]): p for p in registrar.get("/api/patients")["patients"]}
    made = []
    for account, subject in zip(("patient1", "patient2"), subjects, strict=False):
        patient = known.get((subject.patient_id, subject.issuer))
        if patient is None or patient["status"] != "claimed":
            patient = _enrol(gateway, registrar, accounts[account], subject)
        made.append(
            {
                "patient_id": subject.patient_id,
                "issuer": subject.issuer,
                "patient_key": patient["patient_key"],
                "account": account,
            }
        )
    return made


def _enrol(gateway: str, registrar: Client, account: LocalAccount, subject: Subject) -> dict[str, Any]:
    enrolled: dict[str, Any] = registrar.post(
        "/api/enrolments", {"patient_id": subject.patient_id, "issuer": subject.issuer}
    )
    claim_enrolment(gateway, account, enrolled["code"])
    return enrolled


def claim_enrolment(gateway: str, account: LocalAccount, code: str) -> Client:
    """Claim with the one-time code and this wallet, and wait until the chain says so. Gives the signed-in client."""
    client, _ = sign_in(gateway, account)
    issued = client.post("/api/enrolments/claim/typed-data", {"code": code})
    signature = sign_typed(account, issued["typed_data"])
    client.post("/api/enrolments/claim", {"code": code, "typed_data": issued["typed_data"], "signature": signature})

    def claimed(answer: dict[str, Any]) -> bool:
        return (issued["patient_key"], "claimed") in {(p["patient_key"], p["status"]) for p in answer["patients"]}

    client.until("/api/patients", claimed, _CLAIM_WAIT_S)
    return client
