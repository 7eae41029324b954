"""What the JSON API needs from the rest, handed over by the composition root. No globals, no imports of settings."""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Request

from app.api.siwe_message import Place
from app.chain.contracts import Contracts
from app.chain.deployment import Deployment
from app.core.identifiers import UnixTime
from app.core.mirror import Standing
from app.loops.submit import Relay
from app.pacs.origin import Origin
from app.store.access_requests import AccessRequests
from app.store.accesses import Accesses
from app.store.consents import Consents
from app.store.directory import Directory
from app.store.journal import Journal
from app.store.patients import Patients
from app.store.sessions import Sessions
from app.store.siwe_nonces import SiweNonces


@dataclass(frozen=True, slots=True)
class Wiring:
    """Everything a route may use. ``standing`` gives None while the chain's state is not known well enough to decide."""

    place: Place
    deployment: Deployment
    site_key: bytes
    token_lifetime_s: int
    claim_lifetime_s: int
    standing: Callable[[], Standing | None]
    clock: Callable[[], UnixTime]
    random_bytes: Callable[[int], bytes]
    origin: Origin
    contracts: Contracts
    relay: Relay
    journal: Journal
    sessions: Sessions
    siwe_nonces: SiweNonces
    patients: Patients
    consents: Consents
    accesses: Accesses
    access_requests: AccessRequests
    directory: Directory


def wiring_of(request: Request) -> Wiring:
    """The wiring of the application that serves this request."""
    wiring: Wiring = request.app.state.wiring
    return wiring
