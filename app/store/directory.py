"""Who is 0x…: names, organisations and registration numbers of accounts. Their hashes are on the chain, salted.

An account may have several texts: a new one is written here before the chain vouches for it, and may never be. So
whoever reads says what the chain has.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, delete, select
from sqlmodel.sql.expression import SelectOfScalar

from app.core.identifiers import Address
from app.store.engine import Database, portions
from app.store.tables import DirectoryEntryRow

_BELIEVED_S = 5.0
# A text that the chain did not take up in a week is not on its way any more.
_WAITS_S = 7 * 86400


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """``entry_hash`` (32 bytes) is what the chain holds for the account; ``salt`` (32 bytes) opens it."""

    address: Address
    name: str
    organisation: str
    registration: str
    salt: bytes
    entry_hash: bytes


class Directory:
    """All methods raise StoreUnavailableError. What was read is believed for some seconds, in a bounded memory."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time, capacity: int = 10_000) -> None:
        self._database = database
        self._clock = clock
        self._capacity = capacity
        self._known: OrderedDict[Address, tuple[Sequence[DirectoryEntry], float]] = OrderedDict()

    async def put(self, entry: DirectoryEntry, vouched: Iterable[bytes] | None = None) -> None:
        """Writes the entry beside earlier ones of the account. With ``vouched``, the hashes that the chain has for the
        account: those go that were not taken up in a week.
        """
        row = DirectoryEntryRow(
            address=entry.address,
            name=entry.name,
            organisation=entry.organisation,
            registration=entry.registration,
            salt=entry.salt,
            entry_hash=entry.entry_hash,
            updated_at=int(self._clock()),
        )
        kept = None if vouched is None else list(vouched)

        def work(transaction: Session) -> None:
            if kept is not None:
                given_up = delete(DirectoryEntryRow).where(
                    col(DirectoryEntryRow.address) == entry.address,
                    col(DirectoryEntryRow.updated_at) < int(self._clock()) - _WAITS_S,
                    col(DirectoryEntryRow.entry_hash).not_in(kept),
                )
                transaction.connection().execute(given_up)
            transaction.merge(row)

        await self._database.writing(work)
        self._known.pop(entry.address, None)

    async def find(
        self, addresses: Iterable[Address], on_chain: Mapping[Address, bytes]
    ) -> dict[Address, DirectoryEntry]:
        """The entries of those of the accounts that have one: that of the hash in ``on_chain``, else the newest."""
        asked = list(dict.fromkeys(addresses))
        now = self._clock()
        known = {address: self._known.get(address) for address in asked}
        found = {address: one[0] for address, one in known.items() if one is not None and now - one[1] < _BELIEVED_S}
        missing = [address for address in asked if address not in found]
        for some in portions(missing):
            query = _NEWEST_FIRST.where(col(DirectoryEntryRow.address).in_(some))
            read = _by_account(await self._read(query))
            for address in some:
                found[address] = read.get(address, ())
                self._remember(address, found[address])
        return {address: _chosen(texts, on_chain) for address, texts in found.items() if texts}

    async def all(self, on_chain: Mapping[Address, bytes], limit: int = 10_000) -> list[DirectoryEntry]:
        """Everyone in the directory, by name, each by the same choice."""
        texts = _by_account(await self._read(_NEWEST_FIRST)).values()
        return sorted((_chosen(one, on_chain) for one in texts), key=lambda entry: entry.name)[:limit]

    async def _read(self, query: SelectOfScalar[DirectoryEntryRow]) -> list[DirectoryEntry]:
        return await self._database.reading(lambda transaction: [_entry(row) for row in transaction.exec(query).all()])

    def _remember(self, address: Address, texts: Sequence[DirectoryEntry]) -> None:
        self._known[address] = (texts, self._clock())
        self._known.move_to_end(address)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)


_NEWEST_FIRST = select(DirectoryEntryRow).order_by(
    col(DirectoryEntryRow.updated_at).desc(), col(DirectoryEntryRow.entry_hash)
)


def _by_account(entries: Iterable[DirectoryEntry]) -> dict[Address, list[DirectoryEntry]]:
    found: dict[Address, list[DirectoryEntry]] = {}
    for entry in entries:
        found.setdefault(entry.address, []).append(entry)
    return found


def _chosen(texts: Sequence[DirectoryEntry], on_chain: Mapping[Address, bytes]) -> DirectoryEntry:
    """``texts`` are one account's, the newest first, at least one."""
    wanted = on_chain.get(texts[0].address)
    return next((one for one in texts if one.entry_hash == wanted), texts[0])


def _entry(row: DirectoryEntryRow) -> DirectoryEntry:
    return DirectoryEntry(Address(row.address), row.name, row.organisation, row.registration, row.salt, row.entry_hash)
