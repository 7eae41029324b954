"""What the JSON API needs from the rest, handed over by the composition root. No globals, no imports of settings."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from app.api.siwe_message import Place
from app.chain.contracts import CallData, Contracts
from app.chain.deployment import Deployment
from app.chain.nodes import Nodes
from app.core.consent.mirror import Standing
from app.core.identifiers import Address, UnixTime
from app.core.signing.typed_data import Domains
from app.pacs.origin import Origin
from app.store.access_requests import AccessRequests
from app.store.accesses import Accesses
from app.store.consents import Consents
from app.store.directory import Directory
from app.store.identity_desk import IdentityDesk
from app.store.journal import Journal
from app.store.outbox import NewCall, Outbox, OutboxCall
from app.store.patients import Patients
from app.store.sessions import Sessions
from app.store.siwe_nonces import SiweNonces


@dataclass(frozen=True, slots=True)
class Condition:
    """How the loops fare, for readiness and metrics. Ages in seconds; texts name no secret and no identifier.

    ``chain_problem``: why the chain is not followed; None while it is. ``lag``: blocks between the nodes' head and
    ours. ``late``: the oldest record has waited too long for its block. ``trouble``: what keeps the log or the relayed
    messages from the chain.
    """

    chain_problem: str | None
    confirmed_age_s: float | None
    lag: int | None
    reorganisations: int
    waiting: int
    oldest_age_s: int
    late: bool
    trouble: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wiring:
    """Everything a route may use. ``standing`` gives None while the chain's state is not known well enough to
    decide.
    """

    place: Place
    deployment: Deployment
    site_key: bytes = field(repr=False)
    token_lifetime_s: int
    claim_lifetime_s: int
    relayer: Address
    standing: Callable[[], Standing | None]
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
    patients: Patients
    consents: Consents
    accesses: Accesses
    access_requests: AccessRequests
    directory: Directory
    identities: IdentityDesk

    @property
    def domains(self) -> Domains:
        """Where the messages that people sign are meant for."""
        names = ("PatientRegistry", "ConsentRegistry", "CareTeams")
        return Domains(self.place.chain_id, *map(self.deployment.address, names))

    def relayed(self, kind: str, reference: bytes, call: CallData) -> NewCall:
        """The call as the relayer's account will send it."""
        return NewCall(self.relayer, kind, reference, call.to, call.data)

    async def relay(self, kind: str, reference: bytes, call: CallData) -> OutboxCall:
        """Queue a call, durably; it is on its way when this returns. Raises StoreUnavailableError."""
        queued = await self.outbox.enqueue(self.relayed(kind, reference, call))
        self.wake_relay()
        return queued


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
