"""``consentry team``: care teams from a terminal: founded by a registrar, changed by their leads."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.client import DEFAULT_GATEWAY, GatewayOption, KeystoreOption, sign_in, sign_typed, signed_in, wallet
from app.commands.output import JsonOption, emit, emit_table, say

team = typer.Typer(help="Found, change and list care teams.", no_args_is_help=True)

_DAY_S = 86400
_SETTLE_S = 30.0
TeamArgument = Annotated[str, typer.Argument(help="The team's id, 0x….")]


@team.command("create")
def create(
    lead: Annotated[str, typer.Argument(help="Who leads it first: an account, 0x….")],
    days: Annotated[int, typer.Option(help="For how many days from now they lead it.", min=1)] = 365,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Found a team (registrars); waits until its lead is there. `consentry directory set` gives it its name."""
    client = signed_in(gateway, keystore)
    identity = client.post("/api/care-teams", {"lead": lead, "valid_until": int(time.time()) + days * _DAY_S})["team"]

    def led(answer: dict[str, Any]) -> bool:
        return any(one["team"] == identity and one["leads"] for one in answer["teams"])

    client.until("/api/care-teams", led, _SETTLE_S)
    document = {"team": identity, "lead": lead, "directory_account": identity[:42]}
    emit(document, as_json, [f"team  {identity}", f"to name it: consentry directory set {identity[:42]} --name …"])


@team.command("set")
def put(
    identity: TeamArgument,
    account: Annotated[str, typer.Argument(help="Whose part: an account, 0x….")],
    lead: Annotated[bool, typer.Option("--lead", help="As a lead, not as a member.")] = False,
    days: Annotated[int, typer.Option(help="For how many days from now.", min=1)] = 365,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make somebody a member (or a lead), signed by a lead; again replaces the time."""
    _change(identity, account, lead, int(time.time()) + days * _DAY_S, gateway, keystore, as_json)


@team.command("end")
def end(
    identity: TeamArgument,
    account: Annotated[str, typer.Argument(help="Whose part: an account, 0x….")],
    lead: Annotated[bool, typer.Option("--lead", help="As a lead, not as a member.")] = False,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """End somebody's part, signed by a lead."""
    _change(identity, account, lead, None, gateway, keystore, as_json)


@team.command("list")
def list_teams(
    gateway: GatewayOption = DEFAULT_GATEWAY, keystore: KeystoreOption = None, as_json: JsonOption = False
) -> None:
    """List the teams with their leads and members."""
    teams = signed_in(gateway, keystore).get("/api/care-teams")["teams"]
    rows = [
        {"team": one["team"], "name": one["name"], "part": part, **{k: who[k] for k in ("account", "valid_until")}}
        for one in teams
        for part in ("leads", "members")
        for who in one[part]
    ]
    emit_table(rows, ["name", "part", "account", "valid_until", "team"], as_json, "no teams")


def _change(
    identity: str, account: str, lead: bool, until: int | None, gateway: str, keystore: Path | None, as_json: bool
) -> None:
    own = wallet(keystore)
    client, _ = sign_in(gateway, own)
    asked = {"account": account, "part": "lead" if lead else "member", "valid_until": until}
    issued = client.post(f"/api/care-teams/{identity}/parts/typed-data", asked)
    say(issued["words"])
    document = issued["typed_data"]
    body = {"typed_data": document, "signature": sign_typed(own, document)}
    answer = client.post(f"/api/care-teams/{identity}/parts", body)
    emit(answer, as_json, [f"team     {answer['team']}", f"account  {answer['account']}"])
