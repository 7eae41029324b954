"""Who an account is, in words: the text is kept here, and counts once the chain has its hash, which the admin's own
wallet sends.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.api.admins import must_be_admin, must_run_staff, to_send
from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.hexadecimal import AddressText, address, checksum, from_hex, to_hex
from app.api.wiring import wiring_of
from app.api.wording import vouched_entries, vouched_entry
from app.core.consent.basis import directory_account
from app.core.consent.mirror import Standing
from app.core.directory import SALT_BYTES, entry_hash
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address
from app.core.signing.words import MAX_NAME_LENGTH, plain
from app.store.directory import DirectoryEntry

router = APIRouter(tags=["directory"])

_Text = Annotated[str, Field(max_length=MAX_NAME_LENGTH)]


class EntryAsked(Strict):
    """Who the account is. A team's account is the first 20 bytes of its id."""

    account: AddressText
    name: _Text
    organisation: _Text = ""
    registration: _Text = ""


@router.get("/api/directory/entries")
async def listing(request: Request, caller: SignedIn) -> dict[str, Any]:
    """Every account that holds a role, leads or is in a team, is a team, or is in the directory; with what the chain
    vouches for. For registrars and the default admin.
    """
    wiring = wiring_of(request)
    await must_run_staff(wiring, caller)
    state = caller.standing.head
    teams = {directory_account(team) for team in state.teams}
    people = {account for _role, account in state.roles} | set(state.directory)
    people |= {account for team in state.teams.values() for account in (*team.leads, *team.members)}
    entries = await vouched_entries(wiring, caller.standing, people | teams)
    views = [_view(caller, account, entries.get(account)) | {"team": account in teams} for account in people | teams]
    return {"entries": sorted(views, key=lambda view: ((view["name"] or "").casefold(), view["account"]))}


@router.get("/api/directory/entries/{account}")
async def one(request: Request, caller: SignedIn, account: str) -> dict[str, Any]:
    """What the chain has for the account, and the text that fits it. Raises 404 for what is no account."""
    wiring = wiring_of(request)
    await must_run_staff(wiring, caller)
    found = address(account)
    if found is None:
        raise ProblemError(problem("not-found"))
    return _view(caller, found, await vouched_entry(wiring, caller.standing, found))


@router.post("/api/directory/entries", openapi_extra=documented(EntryAsked))
async def prepare(
    request: Request, caller: SignedIn, asked: Annotated[EntryAsked, Depends(body_of(EntryAsked))]
) -> dict[str, Any]:
    """Keeps the text and gives the transaction that has the chain vouch for it, for the admin's own wallet. Until the
    chain has it, readers see what it vouched for before.
    """
    wiring = wiring_of(request)
    await must_be_admin(wiring, caller)
    account = Address(from_hex(asked.account))
    name, organisation, registration = map(plain, (asked.name, asked.organisation, asked.registration))
    if not name:
        raise ProblemError(problem("invalid-request"))
    salt = wiring.random_bytes(SALT_BYTES)
    hashed = entry_hash(salt, name, organisation, registration)
    call = wiring.contracts.roles.set_directory_entry(account, hashed)
    more = [f"organisation “{organisation}”"] * bool(organisation) + [f"registration “{registration}”"] * bool(
        registration
    )
    words = (
        f"I vouch that the account {checksum(account)} is {', '.join([f'“{name}”', *more])}. "
        "Patients and colleagues read this name, and my account beside it."
    )
    sent = await to_send(wiring, caller, call, words)
    entry = DirectoryEntry(account, name, organisation, registration, salt, hashed)
    await wiring.directory.put(entry, _on_chain(caller.standing, account))
    return {**sent, "account": checksum(account), "entry_hash": to_hex(hashed)}


def _on_chain(standing: Standing, account: Address) -> list[bytes]:
    """At the head and finally: what a reorganisation may bring back is not let go."""
    known = (state.directory.get(account) for state in (standing.head, standing.final))
    return [one for one in known if one is not None]


def _view(caller: Caller, account: Address, entry: DirectoryEntry | None) -> dict[str, Any]:
    on_chain = caller.standing.head.directory.get(account)
    return {
        "account": checksum(account),
        "name": None if entry is None else entry.name,
        "organisation": None if entry is None else entry.organisation,
        "registration": None if entry is None else entry.registration,
        "entry_hash": None if on_chain is None else to_hex(on_chain),
    }
