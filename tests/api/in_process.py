"""The API in this process: a real store, a state folded from events, and neither node nor archive."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Scope

from app.api.application import create_application
from app.api.oauth.ground import OauthGround
from app.api.oauth.id_tokens import SigningKey
from app.api.oauth.server import OauthServer
from app.api.reports.typesetting import Typesetter
from app.api.siwe_message import Place
from app.api.wiring import EmergencyRules, Reach, Wiring
from app.chain.artefacts import NAMES
from app.chain.contracts import CallData, Contracts
from app.chain.deployment import Contract, Deployment
from app.chain.vouching import Vouched
from app.core.consent.basis import role_id
from app.core.consent.events import Event, PatientClaimed, PatientEnrolled, RoleSet
from app.core.consent.fold import fold_all
from app.core.consent.mirror import Standing
from app.core.consent.state import GENESIS, State
from app.core.consent.terms import Purpose, Role, Window
from app.core.identifiers import Address, BlockHash, BlockRef, PatientKey, Signer, Subject, UnixTime
from app.core.signing.passkey import RelyingParty
from app.pacs.origin import OriginUnavailableError
from app.store.access_requests import AccessRequests
from app.store.accesses import Accesses
from app.store.consents import Consents
from app.store.contacts import Contacts
from app.store.directory import Directory
from app.store.emergencies import Emergencies
from app.store.engine import Database
from app.store.erasures import Erasures
from app.store.guardian_names import GuardianNames
from app.store.identity_desk import IdentityDesk
from app.store.invitations import Invitations
from app.store.outbox import NewCall, Outbox, OutboxCall
from app.store.passkey_challenges import PasskeyChallenges
from app.store.passkeys import Passkeys
from app.store.patients import Patients
from app.store.recoveries import Recoveries
from app.store.sessions import Sessions
from app.store.siwe_nonces import SiweNonces

NOW = UnixTime(1_790_000_000)
CHAIN_ID = 31337
SITE_KEY = bytes(32)
SIGNING_KEY = SigningKey(bytes(range(1, 33)))
PATIENT, PHYSICIAN, AUDITOR, STRANGER, REGISTRAR, GUARDIAN, RELAYER = (
    Address(bytes([n]) * 20) for n in (1, 2, 3, 4, 5, 6, 7)
)
ADMIN = Address(b"\x0a" * 20)
PATIENT_KEY = PatientKey(bytes([7]) * 32)
DEPLOYMENT = Deployment(
    CHAIN_ID,
    BlockRef(0, BlockHash(bytes(32))),
    {name: Contract(Address(bytes([0xC0 + at]) * 20), "abi.json", bytes(32)) for at, name in enumerate(NAMES)},
)
_ALWAYS = Window(UnixTime(0), UnixTime(1 << 40))
BEFORE: tuple[Event, ...] = (
    RoleSet(role_id(Role.PHYSICIAN), PHYSICIAN, _ALWAYS),
    RoleSet(role_id(Role.AUDITOR), AUDITOR, _ALWAYS),
    RoleSet(role_id(Role.REGISTRAR), REGISTRAR, _ALWAYS),
    PatientEnrolled(PATIENT_KEY, Address(bytes([9]) * 20), _ALWAYS.end),
    PatientClaimed(PATIENT_KEY, PATIENT, Signer(PATIENT)),
)


@dataclass(slots=True)
class SilentOrigin:
    """An archive that does not answer, and remembers that it was asked; unless another ``answers`` for it."""

    asked: int = 0
    answers: Any = None

    async def search(self, search: object) -> list[Any]:
        self.asked += 1
        if self.answers is None:
            raise OriginUnavailableError("silent")
        found: list[Any] = await self.answers.search(search)
        return found

    async def subjects_of(self, study: object) -> Any:
        self.asked += 1
        if self.answers is None:
            raise OriginUnavailableError("silent")
        return await self.answers.subjects_of(study)


@dataclass(slots=True)
class Vouchers:
    """Who vouches for whom, as a test says."""

    known: dict[Address, Vouched] = field(default_factory=dict)

    async def find(self, account: Address, _entry: bytes) -> Vouched | None:
        return self.known.get(account)


@dataclass(slots=True)
class Admin:
    """Who the default admin is, as a test says; None: the nodes do not say."""

    known: Address | None = ADMIN

    async def find(self) -> Address | None:
        return self.known


@dataclass(slots=True)
class InProcess:
    """``state`` is what the chain says at the head; ``final`` is what it says finally, the same unless given."""

    database: Database
    origin: SilentOrigin = field(default_factory=SilentOrigin)
    vouching: Vouchers = field(default_factory=Vouchers)
    admin: Admin = field(default_factory=Admin)
    state: State = field(default_factory=lambda: fold_all(GENESIS, BEFORE))
    final: State | None = None
    now: UnixTime = NOW
    wiring: Wiring = field(init=False)
    application: ASGIApp = field(init=False)

    def __post_init__(self) -> None:
        patients = Patients(self.database, clock=lambda: self.now)
        self.wiring = cast(
            "Wiring",
            _Parts(
                place=Place("http://localhost:8080", CHAIN_ID),
                deployment=DEPLOYMENT,
                domains=Wiring.domains.fget(SimpleNamespace(place=Place("", CHAIN_ID), deployment=DEPLOYMENT)),  # type: ignore[attr-defined]
                site_key=SITE_KEY,
                token_lifetime_s=600,
                claim_lifetime_s=600,
                move_delay_s=3600,
                standing=self._standing,
                snapshot=lambda: None,
                emergency_rules=EmergencyRules(longest_s=14_400, quota=2),
                emergencies=Emergencies(self.database, clock=lambda: self.now),
                accesses=Accesses(self.database),
                clock=lambda: self.now,
                random_bytes=bytes,
                nodes=None,
                origin=self.origin,
                sessions=Sessions(self.database, clock=lambda: self.now),
                siwe_nonces=SiweNonces(self.database),
                passkeys=Passkeys(self.database),
                passkey_challenges=PasskeyChallenges(self.database),
                relying_party=RelyingParty("http://localhost:8080", DEPLOYMENT.address("PasskeyVerifier")),
                patients=patients,
                consents=Consents(self.database),
                access_requests=AccessRequests(self.database, clock=lambda: self.now),
                directory=Directory(self.database, clock=lambda: self.now),
                oauth=OauthServer(
                    OauthGround.over(self.database, "http://localhost:8080", SIGNING_KEY, lambda: self.now, 300, 3_000)
                ),
                contacts=Contacts(self.database),
                reach=Reach(mail=True, webhooks=True, private_webhooks=False),
                typesetter=Typesetter(),
                vouching=self.vouching,
                default_admin=self.admin,
                guardian_names=GuardianNames(self.database),
                recoveries=Recoveries(self.database, clock=lambda: self.now),
                invitations=Invitations(self.database, clock=lambda: self.now),
                erasures=Erasures(self.database, patients, clock=lambda: self.now),
                contracts=Contracts.of(DEPLOYMENT),
                relayer=RELAYER,
                relayed=self._relayed,
                relay=self._relay,
                wake_relay=lambda: None,
                outbox=Outbox(self.database),
                identities=IdentityDesk(self.database, patients),
            ),
        )

        self.application = create_application(self.wiring)

    def _relayed(self, kind: str, reference: bytes, call: CallData) -> NewCall:
        return NewCall(RELAYER, kind, reference, call.to, call.data)

    async def _relay(self, kind: str, reference: bytes, call: CallData) -> OutboxCall:
        return await self.wiring.outbox.enqueue(self._relayed(kind, reference, call))

    def _standing(self) -> Standing:
        final = self.state if self.final is None else self.final
        return Standing(final, self.state, BlockRef(9, BlockHash(bytes(32))), self.now)

    async def enrolled(self) -> None:
        await self.wiring.patients.enrol(Subject("P-1", "S"), PATIENT_KEY, bytes(32))

    async def call(self, who: Address | Signer | None, method: str, path: str, body: object = None) -> "Answer":
        """One request of that actor or signer, signed in for it."""
        headers = []
        if who is not None:
            token, _ = await self.wiring.sessions.create(Signer(who), Purpose.TREAT, UnixTime(self.now + 600))
            headers.append((b"authorization", b"Bearer " + token.encode()))
        if body is not None:
            headers.append((b"content-type", b"application/json"))
        return await asked(self.application, method, path, headers, b"" if body is None else json.dumps(body).encode())


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole."""

    status_code: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


async def asked(
    app: ASGIApp, method: str, path: str, headers: Sequence[tuple[bytes, bytes]] = (), body: bytes = b""
) -> Answer:
    """One request to an ASGI application. ``path`` may carry a query."""
    sent: list[Message] = []

    asked_for = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        for message in asked_for:
            return message
        await asyncio.Event().wait()  # the client stays, and says no more
        raise AssertionError("unreachable")

    async def send(message: Message) -> None:
        sent.append(message)

    raw_path, _, query = path.encode().partition(b"?")
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": unquote_to_bytes(raw_path).decode(),
        "raw_path": raw_path,
        "query_string": query,
        "headers": list(headers),
        "root_path": "",
    }
    await app(scope, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], told, b"".join(one.get("body", b"") for one in sent[1:]))


class _Parts(SimpleNamespace):
    """What of a Wiring a test provides; asking for anything else fails."""
