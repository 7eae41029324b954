"""The whole stack on one machine: chain, contracts, archive and gateway, kept in the data folder and resumed from it.

Only what the settings leave out is provided: a node that is named is used, a PACS that is named is used. The published
accounts and ``dev.json`` exist on the embedded development chain alone.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eth_account import Account

from app.api.hexadecimal import checksum
from app.chain.anvil import DEVELOPMENT_CHAIN_ID, DEVELOPMENT_KEYS, Anvil
from app.chain.anvil_state import ChainFolder
from app.chain.deploy import EMERGENCY_DURATION_S, EMERGENCY_QUOTA, FirstRole, Plan, deploy
from app.chain.deployment import Deployment
from app.chain.deployment import load as load_deployment
from app.chain.nodes import Nodes
from app.chain.sender import Signer
from app.core.consent.terms import Role, Window
from app.core.identifiers import Address, UnixTime
from app.demo.samples import write_samples
from app.demo.seeding import seed
from app.keys import RECORDER_INDEX, RELAYER_INDEX
from app.main import Gateway, running, serve
from app.settings import Settings

Say = Callable[[str], None]

# The published development accounts and what they are in dev.json; the gateway's own two come after them.
ACCOUNTS = ("admin", "registrar", "patient1", "patient2", "physician1", "physician2", "emergency", "auditor")
_ROLES = (
    (Role.REGISTRAR, 1),
    (Role.PHYSICIAN, 4),
    (Role.PHYSICIAN, 5),
    (Role.EMERGENCY, 6),
    (Role.AUDITOR, 7),
    (Role.RECORDER, RECORDER_INDEX),
    (Role.REGISTRAR, RELAYER_INDEX),  # enrolments over HTTP are sent by the relayer (docs/adr/0004)
)
_ROLE_WINDOW = Window(UnixTime(0), UnixTime(4102444800))  # until 2100
_ADMIN_DELAY_S = 3600
_MOVE_DELAY_S = 3600


@dataclass(frozen=True, slots=True)
class Up:
    """A running stack; ``chain`` is None where a node was named."""

    gateway: Gateway
    chain: Anvil | None


async def up(settings: Settings, say: Say, ready: Callable[[Up], Any] | None = None) -> None:
    """Start or resume the stack and serve until told to stop. ``ready`` is called once everything answers.

    Raises what its parts raise when they cannot begin (AnvilError, DeploymentError, OriginUnavailableError …).
    """
    await asyncio.to_thread(settings.data_dir.mkdir, mode=0o700, parents=True, exist_ok=True)
    dev_file = settings.data_dir / "dev.json"
    dev_file.unlink(missing_ok=True)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(dev_file.unlink, missing_ok=True)
        chain = await stack.enter_async_context(_chain(settings, say)) if settings.embedded_chain else None
        deployment = await _deployment(settings, chain, say)
        if not settings.pacs_url:
            await asyncio.to_thread(_samples, settings.archive_folder, say)
        durable = None if chain is None else lambda: chain.kept_number
        gateway = await stack.enter_async_context(running(settings, deployment, say, durable))
        serving = asyncio.create_task(serve(gateway))
        stack.push_async_callback(_stopped, serving)
        announcing = asyncio.create_task(_announce(settings, gateway, chain, dev_file, say, ready))
        stack.push_async_callback(_stopped, announcing)
        done, _ = await asyncio.wait({serving, announcing}, return_when=asyncio.FIRST_COMPLETED)
        if announcing in done:
            announcing.result()  # raises what went wrong while announcing, and ends the stack with it
        await serving


async def _announce(
    settings: Settings,
    gateway: Gateway,
    chain: Anvil | None,
    dev_file: Path,
    say: Say,
    ready: Callable[[Up], Any] | None,
) -> None:
    """Once the gateway answers: fill the development chain, write dev.json, tell whoever waits."""
    while gateway.api.standing() is None or not await _listens(settings.port):  # noqa: ASYNC110 - nothing signals both
        await asyncio.sleep(0.05)
    if settings.chain_id == DEVELOPMENT_CHAIN_ID and settings.embedded_chain and chain is not None:
        say("enrolling the development patients")
        patients = await seed(gateway.api, settings, ACCOUNTS, DEVELOPMENT_KEYS)
        await chain.persist()
        document = _dev_document(settings, gateway.deployment, chain, patients)
        await asyncio.to_thread(_write, dev_file, json.dumps(document, indent=2) + "\n")
    if ready is not None:
        ready(Up(gateway, chain))


async def _listens(port: int) -> bool:
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@contextlib.asynccontextmanager
async def _chain(settings: Settings, say: Say) -> AsyncIterator[Anvil]:
    say("starting the embedded chain")
    async with Anvil(settings.rpc_port, ChainFolder(settings.data_dir / "chain")) as chain:
        keeping = asyncio.create_task(chain.keep())
        try:
            yield chain
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def _deployment(settings: Settings, chain: Anvil | None, say: Say) -> Deployment:
    """The contracts: those of the deployment file, or on the embedded chain freshly deployed ones."""
    if chain is None:
        return await asyncio.to_thread(load_deployment, settings.deployment_path)
    roles = [
        FirstRole(role, Address(bytes.fromhex(Account.from_key(DEVELOPMENT_KEYS[index]).address[2:])), _ROLE_WINDOW)
        for role, index in _ROLES
    ]
    if not await asyncio.to_thread(settings.deployment_path.exists):
        # Anvil makes its block 0 anew at each start, with another hash: nothing may rest on that block.
        await chain.node.call("evm_mine")
    plan = Plan(
        chain_id=DEVELOPMENT_CHAIN_ID,
        admin_delay_s=_ADMIN_DELAY_S,
        move_delay_s=_MOVE_DELAY_S,
        emergency_duration_s=EMERGENCY_DURATION_S,
        emergency_quota=EMERGENCY_QUOTA,
        rp_id=urlsplit(settings.origin_url).hostname or "",
        roles=roles,
    )
    async with Nodes.of(settings.rpc_urls) as nodes:
        made = await deploy(nodes, Signer.of(DEVELOPMENT_KEYS[0]), plan, settings.deployment_path, say)
    await chain.persist()
    return made


def _samples(folder: Path | None, say: Say) -> None:
    if folder is not None and not (folder.is_dir() and any(folder.iterdir())):
        say(f"{write_samples(folder)} sample files written")


def _dev_document(
    settings: Settings, deployment: Deployment, chain: Anvil, patients: list[dict[str, str]]
) -> dict[str, Any]:
    return {
        "gateway_url": settings.origin_url,
        "rpc_url": settings.rpc_urls[0],
        "chain_id": deployment.chain_id,
        "contracts": {
            name: {"address": checksum(one.address), "abi": one.abi} for name, one in deployment.contracts.items()
        },
        "accounts": {name: "0x" + DEVELOPMENT_KEYS[index].hex() for index, name in enumerate(ACCOUNTS)},
        "patients": patients,
        "pids": {"gateway": os.getpid(), "chain": chain.pid},
    }


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".part")
    temporary.touch(mode=0o600)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
