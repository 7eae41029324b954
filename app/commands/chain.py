"""``consentry deploy``, ``role`` and ``db``: what the PACS admin does on the chain and to the database."""

import asyncio
import time
from typing import Annotated

import typer

from app.chain.contracts import Contracts, RevertError
from app.chain.deploy import Plan
from app.chain.deploy import deploy as put_on_chain
from app.chain.deployment import Deployment, DeploymentError
from app.chain.deployment import load as load_deployment
from app.chain.nodes import Nodes
from app.chain.rpc import RpcError
from app.chain.send_once import send_once
from app.chain.sender import Signer
from app.commands.client import KeystoreOption, wallet
from app.commands.output import CommandError, JsonOption, emit, emit_table, say
from app.core.basis import ROLE_IDS, role_id
from app.core.identifiers import Address, UnixTime
from app.core.terms import Role, Window
from app.settings import Settings, SettingsError, load
from app.store.engine import StoreUnavailableError, UnfitDatabaseError, open_database
from app.store.migrate import upgrade
from app.verify import role_windows

role = typer.Typer(help="Grant and withdraw roles on the chain (the admin's wallet signs).", no_args_is_help=True)
database = typer.Typer(help="The database's schema.", no_args_is_help=True)

_DAY_S = 86400
RoleArgument = Annotated[Role, typer.Argument(help="The staff role.", case_sensitive=False)]
AddressArgument = Annotated[str, typer.Argument(help="The account, 0x….")]
