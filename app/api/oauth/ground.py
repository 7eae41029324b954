"""What sign-in for programs stands on."""

from collections.abc import Callable
from dataclasses import dataclass

from app.api.oauth.id_tokens import SigningKey
from app.core.identifiers import UnixTime
from app.store.engine import Database
from app.store.oauth_clients import OauthClients
from app.store.oauth_devices import OauthDevices
from app.store.oauth_grants import OauthGrants

CODE_LIFETIME_S = 60
DEVICE_LIFETIME_S = 600
POLL_INTERVAL_S = 5


@dataclass(frozen=True, slots=True)
class OauthGround:
    """``issuer``: the public address. ``token_lifetime_s``: of an access token; ``refresh_lifetime_s``: of everything
    that comes of one sign-in, however often it is renewed.
    """

    issuer: str
    key: SigningKey
    clients: OauthClients
    grants: OauthGrants
    devices: OauthDevices
    clock: Callable[[], UnixTime]
    token_lifetime_s: int
    refresh_lifetime_s: int

    @classmethod
    def over(
        cls,
        database: Database,
        issuer: str,
        key: SigningKey,
        clock: Callable[[], UnixTime],
        token_lifetime_s: int,
        refresh_lifetime_s: int,
    ) -> "OauthGround":
        """With its stores in this database."""
        clients, grants = OauthClients(database, clock=clock), OauthGrants(database, clock=clock)
        devices = OauthDevices(database, clock=clock)
        return cls(issuer, key, clients, grants, devices, clock, token_lifetime_s, refresh_lifetime_s)
