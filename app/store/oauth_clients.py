"""The programs that people may sign in with, as an operator registered them. All of them are public (RFC 6749 §2.1): a
secret in a browser or on a desktop is none.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlmodel import Session, col, select

from app.store.ending import end_families
from app.store.engine import Database
from app.store.tables import OauthClientRow, OauthFamilyRow


@dataclass(frozen=True, slots=True)
class OauthClient:
    """One program. ``native``: it runs on the person's machine, and listens there on whatever port is free.
    ``device``: it may be let in from another machine, by a code.
    """

    client_id: str
    name: str
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    native: bool = False
    device: bool = False


class OauthClients:
    """All methods block, and raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def find(self, client_id: str) -> OauthClient | None:
        """The program of this id."""

        def work(transaction: Session) -> OauthClient | None:
            row = transaction.get(OauthClientRow, client_id)
            return None if row is None else _client(row)

        return self._database.read(work)

    def all(self) -> list[OauthClient]:
        """Every program, by id."""
        query = select(OauthClientRow).order_by(col(OauthClientRow.client_id))
        return self._database.read(lambda transaction: [_client(row) for row in transaction.exec(query).all()])

    def put(self, client: OauthClient) -> None:
        """Registers the program, in place of an earlier one of its id."""
        row = OauthClientRow(
            client_id=client.client_id,
            name=client.name,
            redirect_uris=json.dumps(client.redirect_uris),
            post_logout_redirect_uris=json.dumps(client.post_logout_redirect_uris),
            scopes=json.dumps(client.scopes),
            native=client.native,
            device=client.device,
            created_at=int(self._clock()),
        )
        self._database.write(lambda transaction: transaction.merge(row))

    def remove(self, client_id: str) -> bool:
        """Takes the program away and ends all that it holds, on running gateways within two seconds. False: unknown."""
        now = int(self._clock())

        def work(transaction: Session) -> bool:
            row = transaction.get(OauthClientRow, client_id)
            end_families(transaction, col(OauthFamilyRow.client_id) == client_id, now)
            if row is not None:
                transaction.delete(row)
            return row is not None

        return self._database.write(work)


def _client(row: OauthClientRow) -> OauthClient:
    return OauthClient(
        row.client_id,
        row.name,
        tuple(json.loads(row.redirect_uris)),
        tuple(json.loads(row.post_logout_redirect_uris)),
        tuple(json.loads(row.scopes)),
        row.native,
        row.device,
    )
