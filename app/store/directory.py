"""Who is 0x…: names, organisations and registration numbers of accounts. Their hashes are on the chain, salted."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlmodel import col, select

from app.core.identifiers import Address
from app.store.engine import Database
from app.store.tables import DirectoryEntryRow

_BELIEVED_S = 5.0


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
        self._known: OrderedDict[Address, tuple[DirectoryEntry | None, float]] = OrderedDict()

    async def put(self, entry: DirectoryEntry) -> None:
        """Writes the entry, in place of an earlier one of the account."""
        row = DirectoryEntryRow(
            address=entry.address,
            name=entry.name,
            organisation=entry.organisation,
            registration=entry.registration,
            salt=entry.salt,
            entry_hash=entry.entry_hash,
            updated_at=int(self._clock()),
        )
        await self._database.writing(lambda transaction: transaction.merge(row))
        self._remember(entry.address, entry)

    async def find(self, addresses: Iterable[Address]) -> dict[Address, DirectoryEntry]:
        """The entries of those of the accounts that have one."""
        asked = list(dict.fromkeys(addresses))
        now = self._clock()
        known = {address: self._known.get(address) for address in asked}
        found = {address: one[0] for address, one in known.items() if one is not None and now - one[1] < _BELIEVED_S}
        missing = [address for address in asked if address not in found]
        if missing:
            query = select(DirectoryEntryRow).where(col(DirectoryEntryRow.address).in_(missing))
            rows = await self._database.reading(lambda transaction: list(transaction.exec(query).all()))
            read = {Address(row.address): _entry(row) for row in rows}
            for address in missing:
                self._remember(address, read.get(address))
                found[address] = read.get(address)
        return {address: entry for address, entry in found.items() if entry is not None}

    async def all(self, limit: int = 10_000) -> list[DirectoryEntry]:
        """Everyone in the directory, by name."""
        query = select(DirectoryEntryRow).order_by(col(DirectoryEntryRow.name)).limit(limit)
        return await self._database.reading(lambda transaction: [_entry(row) for row in transaction.exec(query).all()])

    def _remember(self, address: Address, entry: DirectoryEntry | None) -> None:
        self._known[address] = (entry, self._clock())
        self._known.move_to_end(address)
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)


def _entry(row: DirectoryEntryRow) -> DirectoryEntry:
    return DirectoryEntry(Address(row.address), row.name, row.organisation, row.registration, row.salt, row.entry_hash)
