"""``consentry deploy``, ``role`` and ``db``: what the PACS admin does on the chain and to the database."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import typer
from eth_utils.address import to_checksum_address

from app.chain.account import Account, NotTakenError
from app.chain.contracts import CallData, Contracts, RevertError
from app.chain.deploy import EMERGENCY_DURATION_S, EMERGENCY_QUOTA, Plan
from app.chain.deploy import deploy as put_on_chain
from app.chain.deployment import Deployment, DeploymentError
from app.chain.deployment import load as load_deployment
from app.chain.events import EventReader
from app.chain.heads import poll_heads
from app.chain.nodes import Nodes
from app.chain.rpc import RpcError
from app.chain.sender import Signer
from app.commands.client import KeystoreOption, wallet
from app.commands.configured import settings_or_fail
from app.commands.output import CommandError, JsonOption, emit, emit_table, say
from app.core.consent.basis import ROLE_IDS, role_id
from app.core.consent.state import State
from app.core.consent.terms import Role, Window
from app.core.identifiers import Address, UnixTime
from app.loops.catch_up import HistoryError, Source
from app.loops.follow import FOLLOWED
from app.loops.rebuild import rebuild
from app.settings import Settings
from app.store.engine import StoreUnavailableError, UnfitDatabaseError, open_database
from app.store.migrate import upgrade

role = typer.Typer(help="Grant, withdraw and list roles on the chain (the admin's wallet signs).", no_args_is_help=True)
database = typer.Typer(help="The database's schema.", no_args_is_help=True)

T = TypeVar("T")

_DAY_S = 86400
# Whoever waits longer for a lost key, or leaves a glass broken longer, has mistyped: the contracts keep it for good.
_LONGEST_DELAY_HOURS = 8760
_LONGEST_EMERGENCY_MINUTES = 1440
_MOST_EMERGENCIES = 1000
RoleArgument = Annotated[Role, typer.Argument(help="The staff role.", case_sensitive=False)]
AccountArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="The account, 0x….")]


def deploy(
    move_delay_hours: Annotated[
        int, typer.Option(help="How long a patient's old wallet can veto a move.", min=1, max=_LONGEST_DELAY_HOURS)
    ] = 72,
    admin_delay_hours: Annotated[
        int, typer.Option(help="How long the admin's succession takes.", min=1, max=_LONGEST_DELAY_HOURS)
    ] = 48,
    emergency_minutes: Annotated[
        int, typer.Option(help="How long an emergency lasts at the most.", min=1, max=_LONGEST_EMERGENCY_MINUTES)
    ] = EMERGENCY_DURATION_S // 60,
    emergency_quota: Annotated[
        int, typer.Option(help="How many emergencies one person may open a day.", min=1, max=_MOST_EMERGENCIES)
    ] = EMERGENCY_QUOTA,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the contracts on the configured chain and write the deployment file; goes on where it was cut short.

    The wallet pays and becomes the first admin; grant the other roles with `consentry role grant`. What bounds a move
    and an emergency cannot be changed later; where a deployment file exists nothing is deployed, and what holds there
    is told. Passkeys are bound to the host of CONSENTRY_PUBLIC_URL.
    """
    settings, signer = settings_or_fail(), Signer.of(bytes(wallet(keystore).key))
    plan = Plan(
        chain_id=settings.chain_id,
        admin_delay_s=admin_delay_hours * 3600,
        move_delay_s=move_delay_hours * 3600,
        emergency_duration_s=emergency_minutes * 60,
        emergency_quota=emergency_quota,
        rp_id=urlsplit(settings.origin_url).hostname or "",
    )

    async def work() -> tuple[Deployment, dict[str, int]]:
        async with Nodes.of(settings.rpc_urls) as nodes:
            made = await put_on_chain(nodes, signer, plan, settings.deployment_path, say)
            return made, await _bounds(nodes, Contracts.of(made))

    made, bounds = _run(work())
    addresses = {name: str(to_checksum_address(one.address)) for name, one in made.contracts.items()}
    document = {"chain_id": made.chain_id, "file": str(settings.deployment_path), "contracts": addresses, **bounds}
    lines = [f"{name}  {address}" for name, address in addresses.items()]
    emit(document, as_json, [*lines, *(f"{name}  {value}" for name, value in bounds.items())])


async def _bounds(nodes: Nodes, contracts: Contracts) -> dict[str, int]:
    """What the contracts were made with, as they say it themselves."""
    return {
        "move_delay_s": await contracts.ask(nodes, contracts.patients.move_delay_s()),
        "emergency_duration_s": await contracts.ask(nodes, contracts.emergencies.max_duration_s()),
        "emergency_quota": await contracts.ask(nodes, contracts.emergencies.quota()),
    }


@role.command("grant")
def grant(
    name: RoleArgument,
    account: AccountArgument,
    days: Annotated[int, typer.Option(help="For how many days from now.", min=1, max=3650)] = 365,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an account a role until a date; again replaces the date."""
    now = int(time.time())
    # A little before now: a block's clock may be behind ours.
    window = Window(UnixTime(now - 60), UnixTime(now + days * _DAY_S))
    holder = account_of(account)
    send_as_admin(lambda contracts: contracts.roles.set_role(role_id(name), holder, window), keystore)
    document = {"role": name.value, "account": account, "valid_from": window.start, "valid_until": window.end}
    emit(document, as_json, [f"{account} holds {name.value} for {days} days"])


@role.command("revoke")
def revoke(
    name: RoleArgument, account: AccountArgument, keystore: KeystoreOption = None, as_json: JsonOption = False
) -> None:
    """Withdraw a role; it ends with the block that holds this."""
    holder = account_of(account)
    send_as_admin(lambda contracts: contracts.roles.withdraw_role(role_id(name), holder), keystore)
    emit({"role": name.value, "account": account, "withdrawn": True}, as_json, [f"{name.value} withdrawn"])


@role.command("list")
def list_roles(as_json: JsonOption = False) -> None:
    """List who holds which role, read from the chain."""
    settings = settings_or_fail()
    names = {identity: one.value for one, identity in ROLE_IDS.items()}
    now = int(time.time())
    state = _run(_state(settings))
    rows = [
        {
            "role": names.get(identity, "0x" + identity.hex()),
            "account": str(to_checksum_address(holder)),
            "valid_from": window.start,
            "valid_until": window.end,
            "now": "yes" if window.holds(UnixTime(now)) else "no",
        }
        for (identity, holder), window in state.roles.items()
    ]
    rows.sort(key=lambda row: (str(row["role"]), str(row["account"])))
    emit_table(rows, ["role", "account", "valid_from", "valid_until", "now"], as_json, "nobody holds a role")


@database.command("upgrade")
def upgrade_database(as_json: JsonOption = False) -> None:
    """Bring the configured database to the newest schema."""
    settings = settings_or_fail()
    if not settings.database_url:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        opened = open_database(settings.database)
        try:
            upgrade(opened)
        finally:
            opened.close()
    except (StoreUnavailableError, UnfitDatabaseError) as error:
        raise CommandError(str(error)) from None
    emit({"upgraded": True}, as_json, ["the database has the newest schema"])


def send_as_admin(call_of: Callable[[Contracts], CallData], keystore: Path | None) -> None:
    settings, signer = settings_or_fail(), Signer.of(bytes(wallet(keystore).key))

    async def work() -> None:
        deployment = await asyncio.to_thread(load_deployment, settings.deployment_path)
        contracts = Contracts.of(deployment)
        call = call_of(contracts)
        async with Nodes.of(settings.rpc_urls) as nodes:
            await nodes.check_chain(deployment.chain_id)
            await contracts.simulate(nodes, call, signer.address)
            account = Account(nodes, signer, deployment.chain_id)
            await account.send(await account.next_nonce(), call.to, call.data)

    _run(work())


async def _state(settings: Settings) -> State:
    """What the chain says at its head."""
    deployment = await asyncio.to_thread(load_deployment, settings.deployment_path)
    async with Nodes.of(settings.rpc_urls) as nodes:
        heads = await poll_heads(nodes, deployment.chain_id, final_tag=False)
        addresses = tuple(deployment.address(name) for name in FOLLOWED)
        source = Source(nodes, addresses, EventReader(deployment))
        mirror = await rebuild(source, deployment, heads.head.ref.number, 1, lambda _done, _total: None)
    return mirror.head.state


def account_of(text: str) -> Address:
    if len(text) != 42 or not text.startswith("0x"):
        raise typer.BadParameter("an account is 0x and 40 hexadecimal digits")
    try:
        return Address(bytes.fromhex(text[2:]))
    except ValueError:
        raise typer.BadParameter("an account is 0x and 40 hexadecimal digits") from None


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (DeploymentError, NotTakenError, RpcError, RevertError, HistoryError) as error:
        raise CommandError(str(error)) from None
