"""The deployment file: where the contracts are, on which chain, since which block.

Written once by ``deploy`` and read strictly by everything that follows the chain. What it says is checked on the chain.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.chain.artefacts import NAMES
from app.chain.nodes import Nodes
from app.chain.quantities import block_hash, fields, to_data, to_quantity
from app.chain.rpc import Node
from app.core.http.strict_json import parse
from app.core.identifiers import Address, BlockHash, BlockRef
from app.core.keccak import keccak256

_HASH: Final = re.compile(r"0x[0-9a-f]{64}\Z")
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}\Z")
_HIGHEST: Final = 1 << 63


class DeploymentError(Exception):
    """The deployment file, or what it names on the chain, is not as it must be. The text says what."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One contract: ``abi`` is a path relative to the repository, ``code_hash`` keccak-256 of the code on the chain."""

    address: Address
    abi: str
    code_hash: bytes


@dataclass(frozen=True, slots=True)
class Deployment:
    """``block`` is the last block before any of the contracts existed: replaying starts after it."""

    chain_id: int
    block: BlockRef
    contracts: Mapping[str, Contract]

    def address(self, name: str) -> Address:
        """The address of one of ``artefacts.NAMES``."""
        return self.contracts[name].address

    @property
    def addresses(self) -> tuple[Address, ...]:
        return tuple(self.contracts[name].address for name in NAMES)


def load(path: Path) -> Deployment:
    """Reads the file. Raises DeploymentError when it is absent or holds anything but exactly what it must."""
    try:
        body = path.read_bytes()
    except OSError:
        raise DeploymentError("the deployment file cannot be read") from None
    document = parse(body)
    whole = _exactly(document, {"chain_id", "block", "contracts"}, "the deployment file")
    block = _exactly(whole["block"], {"number", "hash"}, "block")
    contracts = _exactly(whole["contracts"], set(NAMES), "contracts")
    return Deployment(
        chain_id=_integer(whole["chain_id"], "chain_id"),
        block=BlockRef(_integer(block["number"], "block.number"), BlockHash(_hex(block["hash"], _HASH, "block.hash"))),
        contracts={name: _contract(contracts[name], name) for name in NAMES},
    )


def save(deployment: Deployment, path: Path) -> None:
    """Writes the deployment file, whole or not at all."""
    document = {
        "chain_id": deployment.chain_id,
        "block": {"number": deployment.block.number, "hash": to_data(deployment.block.hash)},
        "contracts": {
            name: {"address": to_data(one.address), "abi": one.abi, "code_hash": to_data(one.code_hash)}
            for name, one in deployment.contracts.items()
        },
    }
    write_whole(path, json.dumps(document, indent=2) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that a crash leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", encoding="utf-8") as part:
        part.write(text)
        part.flush()
        os.fsync(part.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def check(deployment: Deployment, nodes: Nodes) -> None:
    """Holds the file to the chain: its id, the deployment block, and the code of every contract.

    Raises WrongChainError, DeploymentError, or another RpcError when the nodes cannot be asked.
    """
    await nodes.check_chain(deployment.chain_id)
    number = to_quantity(deployment.block.number)

    async def hash_of_block(node: Node) -> BlockHash | None:
        header = await node.call("eth_getBlockByNumber", number, False)
        return None if header is None else block_hash(fields(header, "the deployment block").get("hash"))

    if await nodes.agreed(hash_of_block) != deployment.block.hash:
        raise DeploymentError("the chain does not hold the deployment's block")
    for name, contract in deployment.contracts.items():
        code = await nodes.get_code(contract.address)
        if not code:
            raise DeploymentError(f"there is no code at the address of {name}")
        if keccak256(code) != contract.code_hash:
            raise DeploymentError(f"the code at the address of {name} is not the one deployed")


def _contract(value: object, name: str) -> Contract:
    entry = _exactly(value, {"address", "abi", "code_hash"}, name)
    abi = entry["abi"]
    if not isinstance(abi, str) or not abi or abi.startswith("/") or ".." in abi.split("/"):
        raise DeploymentError(f"{name}.abi is not a path inside the repository")
    return Contract(
        address=Address(_hex(entry["address"], _ADDRESS, f"{name}.address")),
        abi=abi,
        code_hash=_hex(entry["code_hash"], _HASH, f"{name}.code_hash"),
    )


def _exactly(value: object, keys: set[str], what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        raise DeploymentError(f"{what} must be an object of exactly: {', '.join(sorted(keys))}")
    return value


def _integer(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _HIGHEST:
        raise DeploymentError(f"{what} must be a whole number")
    return value


def _hex(value: object, pattern: re.Pattern[str], what: str) -> bytes:
    if not isinstance(value, str) or not pattern.match(value):
        raise DeploymentError(f"{what} must be hexadecimal of its length")
    return bytes.fromhex(value[2:])
