"""Care teams: founded by the registrar, run by their own leads with signed changes, named by the directory."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.hexadecimal import AddressText, checksum, from_hex, to_hex, word
from app.api.signed import DEADLINE_S, SignedBody, issue, must_be_accepted, must_be_signed, open_message, read_message
from app.api.wiring import Wiring, wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import person, person_of
from app.core.consent.teams import Team
from app.core.consent.terms import Role, TeamPart, Window
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address, Grantee, UnixTime
from app.core.signing.messages import TeamChange
from app.core.signing.typed_data import words_hash

router = APIRouter(tags=["care teams"])

FOUND = "found-team"
CHANGE = "change-team"
_LATEST = 1 << 40  # far below the 48 bits a time has on the chain


class Founding(Strict):
    """Who leads the new team first, and until when (Unix seconds)."""

    lead: AddressText
    valid_until: Annotated[int, Field(gt=0, lt=_LATEST)]


class PartAsked(Strict):
    """An account's part. Times in Unix seconds; ``valid_until`` null ends it, ``valid_from`` left out means now."""

    account: AddressText
    part: Literal["member", "lead"]
    valid_from: Annotated[int, Field(ge=0, lt=_LATEST)] | None = None
    valid_until: Annotated[int, Field(gt=0, lt=_LATEST)] | None


@router.get("/api/care-teams")
async def listing(request: Request, caller: SignedIn) -> dict[str, Any]:
    """Every team with its people: who is asked to let a team in should know who that is."""
    wiring = wiring_of(request)
    teams = sorted(caller.standing.head.teams)
    return {"teams": [await _view(wiring, caller, team) for team in teams]}


@router.get("/api/care-teams/{team}")
async def one(request: Request, caller: SignedIn, team: str) -> dict[str, Any]:
    """One team, else 404."""
    return await _view(wiring_of(request), caller, _team(caller, team)[0])


@router.post("/api/care-teams", status_code=202, openapi_extra=documented(Founding))
async def found(
    request: Request, caller: SignedIn, asked: Annotated[Founding, Depends(body_of(Founding))]
) -> dict[str, Any]:
    """Create a team and set its first lead. Only a registrar."""
    wiring = wiring_of(request)
    caller.must_hold(Role.REGISTRAR)
    if asked.valid_until <= caller.now:
        raise ProblemError(problem("invalid-request"))
    team = Grantee(wiring.random_bytes(32))
    if person_of(team) is not None:  # once in 2^96
        raise ProblemError(problem("conflict"))
    create = wiring.contracts.teams.create(team)
    await must_be_accepted(wiring, create)
    await wiring.relay(FOUND, team, create)
    window = Window(caller.now, UnixTime(asked.valid_until))
    # Sent after the other by the same account, so it finds the team.
    lead = wiring.contracts.teams.set_part(team, Address(from_hex(asked.lead)), TeamPart.LEAD, window)
    await wiring.relay(CHANGE, team, lead)
    return {"team": to_hex(team), "status": "submitted"}


@router.post("/api/care-teams/{team}/parts/typed-data", openapi_extra=documented(PartAsked))
async def prepare(
    request: Request, caller: SignedIn, team: str, asked: Annotated[PartAsked, Depends(body_of(PartAsked))]
) -> dict[str, Any]:
    """The change as a document for a lead to sign."""
    wiring = wiring_of(request)
    identity, known = _team(caller, team)
    part = TeamPart[asked.part.upper()]
    _must_be_entitled(caller, known, part)
    account = Address(from_hex(asked.account))
    start, until = UnixTime(0), UnixTime(0)
    if asked.valid_until is not None:
        start = caller.now if asked.valid_from is None else UnixTime(asked.valid_from)
        until = UnixTime(asked.valid_until)
        if until <= max(start, caller.now):
            raise ProblemError(problem("invalid-request"))
    elif asked.valid_from is not None or account not in known.part(part):
        raise ProblemError(problem("invalid-request"))
    change = TeamChange(identity, account, part, start, until, known.nonce, UnixTime(caller.now + DEADLINE_S))
    document = await issue(wiring, caller.standing, change)
    return {"typed_data": document, "words": document["message"]["words"]}


@router.post("/api/care-teams/{team}/parts", status_code=202, openapi_extra=documented(SignedBody))
async def submit(
    request: Request, caller: SignedIn, team: str, signed: Annotated[SignedBody, Depends(body_of(SignedBody))]
) -> dict[str, Any]:
    """Relay a signed change of a team."""
    wiring = wiring_of(request)
    identity, known = _team(caller, team)
    change, words = read_message(wiring, caller.now, signed.typed_data, TeamChange)
    if change.team != identity:
        raise ProblemError(problem("invalid-typed-data"))
    _must_be_entitled(caller, known, change.part)
    opened = await open_message(wiring, caller.standing, change, words)
    signer, signature = caller.signer, from_hex(signed.signature)
    await must_be_signed(wiring, opened, signer, signature)
    call = wiring.contracts.teams.set_part_by_signature(change, words_hash(opened.words), signer, signature)
    await must_be_accepted(wiring, call)
    await wiring.relay(CHANGE, opened.digest, call)
    return {"team": to_hex(identity), "account": checksum(change.account), "status": "submitted"}


def _team(caller: Caller, text: str) -> tuple[Grantee, Team]:
    identity = word(text)
    known = None if identity is None else caller.standing.head.teams.get(Grantee(identity))
    if identity is None or known is None:
        raise ProblemError(problem("not-found"))
    return Grantee(identity), known


def _must_be_entitled(caller: Caller, team: Team, part: TeamPart) -> None:
    if team.has(TeamPart.LEAD, caller.actor, caller.now):
        return
    if part is not TeamPart.LEAD:
        raise ProblemError(problem("forbidden"))
    caller.must_hold(Role.REGISTRAR)


async def _view(wiring: Wiring, caller: Caller, identity: Grantee) -> dict[str, Any]:
    team = caller.standing.head.teams[identity]
    return {
        "team": to_hex(identity),
        "name": await grantee_name(wiring, caller.standing, identity),
        "leads": [await _person(wiring, caller, *entry) for entry in sorted(team.leads.items())],
        "members": [await _person(wiring, caller, *entry) for entry in sorted(team.members.items())],
    }


async def _person(wiring: Wiring, caller: Caller, account: Address, window: Window) -> dict[str, Any]:
    return {
        "account": checksum(account),
        "name": await grantee_name(wiring, caller.standing, person(account)),
        "valid_from": window.start,
        "valid_until": window.end,
        "now": window.holds(caller.now),
    }
