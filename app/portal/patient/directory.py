"""Whom a patient can let in: people and care teams that the directory names and the chain vouches for."""

import unicodedata
from dataclasses import dataclass

from app.api.caller import Caller
from app.api.hexadecimal import checksum, to_hex
from app.api.wiring import Wiring
from app.core.consent.basis import directory_account, person
from app.core.consent.policy import holds_role
from app.core.consent.terms import Role
from app.core.directory import entry_hash
from app.core.identifiers import Grantee
from app.store.directory import DirectoryEntry

_MOST = 20


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody in the directory. ``grantee`` is written as the API takes it; ``verified``: the chain vouches for the
    entry.
    """

    grantee: str
    name: str
    organisation: str
    registration: str
    team: bool
    verified: bool


async def search(wiring: Wiring, caller: Caller, text: str) -> list[Known]:
    """Physicians and teams whose name or organisation holds every word of the text, at most 20. Only what the chain
    vouches for: whoever can write our database must not be able to put a name before a patient.
    """
    words = _folded(text).split()
    teams = {directory_account(team): team for team in caller.standing.head.teams}
    found = []
    for entry in await wiring.directory.all(caller.standing.head.directory):
        place = _folded(f"{entry.name} {entry.organisation}")
        if not all(word in place for word in words) or not _vouched(caller, entry):
            continue
        team = teams.get(entry.address)
        if team is None and not holds_role(caller.standing, Role.PHYSICIAN, entry.address, caller.now):
            continue
        found.append(_known(entry, team, verified=True))
        if len(found) == _MOST:
            break
    return found


async def look_up(wiring: Wiring, caller: Caller, grantee: Grantee) -> Known:
    """Who a grantee is, whether or not the directory knows them."""
    account = directory_account(grantee)
    entry = (await wiring.directory.find([account], caller.standing.head.directory)).get(account)
    team = grantee if person(account) != grantee else None
    if entry is None or not _vouched(caller, entry):
        written = to_hex(grantee) if team is not None else checksum(account)
        return Known(written, "", "", "", team is not None, verified=False)
    return _known(entry, team, verified=True)


def _known(entry: DirectoryEntry, team: Grantee | None, *, verified: bool) -> Known:
    written = checksum(entry.address) if team is None else to_hex(team)
    return Known(written, entry.name, entry.organisation, entry.registration, team is not None, verified)


def _vouched(caller: Caller, entry: DirectoryEntry) -> bool:
    hashed = entry_hash(entry.salt, entry.name, entry.organisation, entry.registration)
    return caller.standing.head.directory.get(entry.address) == hashed


def _folded(text: str) -> str:
    """Without case and accents, so that "muller" finds "Müller"."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in parts if not unicodedata.combining(part))
