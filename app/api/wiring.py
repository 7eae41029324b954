"""What the JSON API needs from the rest, handed over by the composition root. No globals, no imports of settings."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from app.api.oauth.server import OauthServer
from app.api.reports.typesetting import Typesetter
from app.api.siwe_message import Place
from app.chain.contracts import CallData, Contracts
from app.chain.default_admin import DefaultAdmin
from app.chain.deployment import Deployment
from app.chain.nodes import Nodes
from app.chain.vouching import Vouching
from app.core.consent.mirror import Standing
from app.core.identifiers import Address, UnixTime
from app.core.signing.passkey import RelyingParty
from app.core.signing.typed_data import Domains
from app.pacs.origin import Origin
from app.store.access_requests import AccessRequests
from app.store.accesses import Accesses
from app.store.consents import Consents
from app.store.contacts import Contacts
from app.store.directory import Directory
from app.store.emergencies import Emergencies
from app.store.erasures import Erasures
from app.store.guardian_names import GuardianNames
from app.store.identity_desk import IdentityDesk
from app.store.invitations import Invitations
from app.store.journal import Journal
from app.store.outbox import NewCall, Outbox, OutboxCall
from app.store.passkey_challenges import PasskeyChallenges
from app.store.passkeys import Passkeys
from app.store.patients import Patients
from app.store.recoveries import Recoveries
from app.store.sessions import Sessions
from app.store.siwe_nonces import SiweNonces
from app.store.verifications import Verifications


@dataclass(frozen=True, slots=True)
class Condition:
    """How the loops fare, for readiness and metrics. Ages in seconds; texts name no secret and no identifier.

    ``chain_problem``: why the chain is not followed; None while it is. ``lag``: blocks between the nodes' head and
    ours. ``late``: the oldest record has waited too long for its block. ``trouble``: what keeps the log or the relayed
    messages from the chain. ``notices_waiting`` and ``notices_given_up``: messages to people that are still to be
    delivered, and those that could not be. ``alarms``: each kind that was raised since the start, and how often.
    """

    chain_problem: str | None
    confirmed_age_s: float | None
    lag: int | None
    reorganisations: int
    waiting: int
    oldest_age_s: int
    late: bool
    trouble: tuple[str, ...]
    notices_waiting: int
    notices_given_up: int
    alarms: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """How people can be told what happens: what the settings allow."""

    mail: bool
    webhooks: bool
    private_webhooks: bool


@dataclass(frozen=True, slots=True)
class EmergencyRules:
    """What the EmergencyAccess contract was deployed with: seconds, and openings of one person in a UTC day."""

    longest_s: int
    quota: int


@dataclass(frozen=True, slots=True)
class Wiring:
    """Everything a route may use. ``standing`` gives None while the chain's state is not known well enough to
    decide; ``snapshot`` then gives the last one and its age in seconds, while that is young enough for an emergency.
    ``move_delay_s``: how long a move to another controller can be vetoed at least.
    """

    place: Place
    deployment: Deployment
    site_key: bytes = field(repr=False)
    token_lifetime_s: int
    claim_lifetime_s: int
    move_delay_s: int
    relayer: Address
    standing: Callable[[], Standing | None]
    snapshot: Callable[[], tuple[Standing, float] | None]
    emergency_rules: EmergencyRules
    condition: Callable[[], Condition]
    wake_relay: Callable[[], None]
    clock: Callable[[], UnixTime]
    random_bytes: Callable[[int], bytes]
    origin: Origin
    contracts: Contracts
    nodes: Nodes
    outbox: Outbox
    journal: Journal
    sessions: Sessions
    siwe_nonces: SiweNonces
    passkeys: Passkeys
    passkey_challenges: PasskeyChallenges
    patients: Patients
    consents: Consents
    emergencies: Emergencies
    accesses: Accesses
    access_requests: AccessRequests
    directory: Directory
    oauth: OauthServer
    verifications: Verifications
    contacts: Contacts
    reach: Reach
    typesetter: Typesetter
    vouching: Vouching
    default_admin: DefaultAdmin
    guardian_names: GuardianNames
    recoveries: Recoveries
    invitations: Invitations
    erasures: Erasures
    identities: IdentityDesk

    @property
    def domains(self) -> Domains:
        """Where the messages that people sign are meant for."""
        names = ("PatientRegistry", "ConsentRegistry", "CareTeams", "EmergencyAccess")
        return Domains(self.place.chain_id, *map(self.deployment.address, names))

    @property
    def relying_party(self) -> RelyingParty:
        """Whom the passkeys of this gateway are made for."""
        return RelyingParty(self.place.origin_url, self.deployment.address("PasskeyVerifier"))

    def relayed(self, kind: str, reference: bytes, call: CallData) -> NewCall:
        """The call as the relayer's account will send it."""
        return NewCall(self.relayer, kind, reference, call.to, call.data)

    async def relay(self, kind: str, reference: bytes, call: CallData) -> OutboxCall:
        """Queue a call, durably; it is on its way when this returns. Raises StoreUnavailableError."""
        queued = await self.outbox.enqueue(self.relayed(kind, reference, call))
        self.wake_relay()
        return queued

    async def relay_anew(self, kind: str, reference: bytes, call: CallData) -> bool:
        """The same for who must be the first: False where a call of this kind and reference is on its way already."""
        anew = await self.outbox.begin(self.relayed(kind, reference, call))
        self.wake_relay()
        return anew


def wiring_of(request: Request) -> Wiring:
    """The wiring of the application that serves this request."""
    wiring: Wiring = request.app.state.wiring
    return wiring


def reading_turn(request: Request) -> asyncio.Semaphore:
    """To be held while a sign-in message is read, which may take a third of a second of one processor: whoever sends
    many of them waits, and everybody else's requests go on.
    """
    turn: asyncio.Semaphore = request.app.state.reading_turn
    return turn
