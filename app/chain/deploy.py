"""Puts the contracts on a chain, sets the first roles, and writes the deployment file.

Killed anywhere, it goes on where it was: before the first transaction the account nonce it starts from is written down,
and with it the addresses of all are known. The deployment file appears last: where it is, all is done.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.chain import deployment as file
from app.chain.abi_codec import constructor
from app.chain.account import Account
from app.chain.artefacts import NAMES, load
from app.chain.contracts import Contracts
from app.chain.deployment import Contract, Deployment, DeploymentError
from app.chain.nodes import LATEST, Nodes
from app.chain.quantities import block_hash, fields, quantity, to_data, to_quantity
from app.chain.rpc import Node
from app.chain.sender import Signer
from app.core.consent.basis import role_id
from app.core.consent.terms import Role, Window
from app.core.identifiers import Address, BlockHash, BlockRef
from app.core.keccak import keccak256

log = logging.getLogger(__name__)

# What a deployment has unless it says otherwise: a shift's worth of looking, and no more glass broken than is noticed.
EMERGENCY_DURATION_S: Final = 4 * 3600
EMERGENCY_QUOTA: Final = 10


@dataclass(frozen=True, slots=True)
class FirstRole:
    """A staff role to set once the contracts stand."""

    role: Role
    account: Address
    window: Window


@dataclass(frozen=True, slots=True)
class Plan:
    """What to deploy.

    The delay of an admin's succession and of a patient's move, and how long an emergency lasts at most, in seconds; how
    many emergencies a holder may open a day; the relying party whose passkeys count (WebAuthn: the portal's host name);
    and the first roles.
    """

    chain_id: int
    admin_delay_s: int
    move_delay_s: int
    emergency_duration_s: int
    emergency_quota: int
    rp_id: str
    roles: Sequence[FirstRole] = ()


@dataclass(frozen=True, slots=True)
class _Start:
    """Where the deployment began: kept beside the deployment file until that is written."""

    deployer: Address
    first_nonce: int
    block: BlockRef

    def address(self, name: str) -> Address:
        return created_address(self.deployer, self.first_nonce + NAMES.index(name))


async def deploy(
    nodes: Nodes, signer: Signer, plan: Plan, path: Path, progress: Callable[[str], None] = log.info
) -> Deployment:
    """The deployment at ``path``: made now, finished, or as it stands there already.

    The signer becomes the first admin. Raises DeploymentError, NotTakenError, RpcError, or OSError when the file
    cannot be written.
    """
    if await asyncio.to_thread(path.exists):
        found = file.load(path)
        await file.check(found, nodes)
        return found
    await nodes.check_chain(plan.chain_id)
    account = Account(nodes, signer, plan.chain_id)
    start = await _start(account, path)
    creation = _creation_codes(start, plan)
    for at, name in enumerate(NAMES):
        progress(f"deploying {name}")
        await account.send(start.first_nonce + at, None, creation[name])
    made = Deployment(plan.chain_id, start.block, {name: await _contract(nodes, start, name) for name in NAMES})
    await _set_roles(account, Contracts.of(made), plan.roles, progress)
    file.save(made, path)
    _start_path(path).unlink(missing_ok=True)
    return made


async def _set_roles(
    account: Account, contracts: Contracts, roles: Sequence[FirstRole], progress: Callable[[str], None]
) -> None:
    for first in roles:
        role = role_id(first.role)
        kept = contracts.roles.window(role, first.account)
        if await contracts.ask(account.nodes, kept) == first.window:
            continue
        progress(f"setting the role {first.role.value}")
        call = contracts.roles.set_role(role, first.account, first.window)
        await account.send(await account.next_nonce(), call.to, call.data)
        if await contracts.ask(account.nodes, kept) != first.window:
            raise DeploymentError(f"the role {first.role.value} was not set: is the deployer still the admin?")


def created_address(sender: Address, nonce: int) -> Address:
    """Where a contract created by that transaction stands (Yellow Paper §7: the hash of the RLP of both)."""
    digits = nonce.to_bytes((nonce.bit_length() + 7) // 8)
    item = digits if 0 < nonce < 0x80 else bytes([0x80 + len(digits)]) + digits
    body = b"\x94" + sender + item
    return Address(keccak256(bytes([0xC0 + len(body)]) + body)[12:])


def _creation_codes(start: _Start, plan: Plan) -> dict[str, bytes]:
    """Creation code with the constructors' arguments (docs/CHAIN.md)."""
    roles, patients, teams, emergencies = (
        to_data(start.address(name)) for name in ("ConsentryRoles", "PatientRegistry", "CareTeams", "EmergencyAccess")
    )
    arguments: dict[str, tuple[object, ...]] = {
        "ConsentryRoles": (to_data(start.deployer), plan.admin_delay_s),
        "PatientRegistry": (roles, plan.move_delay_s),
        "CareTeams": (roles,),
        "EmergencyAccess": (roles, patients, plan.emergency_duration_s, plan.emergency_quota),
        "ConsentRegistry": (roles, patients, teams, emergencies),
        "AccessLog": (roles,),
        "PasskeyVerifier": (plan.rp_id,),
    }
    return {name: constructor(load(name))(*arguments[name]) for name in NAMES}


async def _contract(nodes: Nodes, start: _Start, name: str) -> Contract:
    code = await nodes.get_code(start.address(name))
    if not code:
        # Another transaction of this account took the nonce in between.
        raise DeploymentError(f"{name} is not where it must be: remove the .start file and deploy again")
    return Contract(start.address(name), load(name).path, keccak256(code))


async def _start(account: Account, path: Path) -> _Start:
    """Where an unfinished deployment began, as long as the chain still holds that block; else here and now."""
    nodes, signer = account.nodes, account.signer
    kept = _start_path(path)
    if kept.exists():
        document = json.loads(kept.read_text(encoding="utf-8"))
        block = BlockRef(document["number"], BlockHash(bytes.fromhex(document["hash"])))
        if document["deployer"] == signer.address.hex() and await _block(nodes, to_quantity(block.number)) == block:
            return _Start(signer.address, document["first_nonce"], block)
    head = await _block(nodes, LATEST)
    if head is None:
        raise DeploymentError("the chain has no head")
    start = _Start(signer.address, await account.next_nonce(), head)
    file.write_whole(
        kept,
        json.dumps(
            {
                "deployer": start.deployer.hex(),
                "first_nonce": start.first_nonce,
                "number": head.number,
                "hash": head.hash.hex(),
            }
        ),
    )
    return start


def _start_path(path: Path) -> Path:
    return path.with_name(path.name + ".start")


async def _block(nodes: Nodes, number: str) -> BlockRef | None:
    """The block of that number or tag, by the first node that answers; None when it does not have it."""

    async def ask(node: Node) -> BlockRef | None:
        header = await node.call("eth_getBlockByNumber", number, False)
        if header is None:
            return None
        found = fields(header, "the block")
        return BlockRef(quantity(found.get("number"), "the block's number"), block_hash(found.get("hash")))

    return await nodes.first(ask)
