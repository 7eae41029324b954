"""What is asked of and sent to the contracts (docs/CHAIN.md), and reverts by name."""

from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

from app.chain.abi_codec import Functions, Reverts
from app.chain.artefacts import NAMES, load
from app.chain.deployment import Deployment
from app.chain.interfaces import (
    CallData,
    ConsentsContract,
    EmergenciesContract,
    LogContract,
    PatientsContract,
    RolesContract,
    TeamsContract,
    View,
)
from app.chain.nodes import LATEST, Nodes
from app.chain.quantities import data, quantity, to_data
from app.chain.rpc import Node, NodeRefusedError
from app.core.identifiers import (
    Address,
)

T = TypeVar("T")

# A transaction is tried as the next block would carry it, by that block's time: a chain that mines on demand may have
# had its last block hours ago.
_NEXT = "pending"

__all__ = ["CallData", "Contracts", "RevertError", "View"]


class RevertError(NodeRefusedError):
    """The contract refuses. ``name`` is its custom error's ("" when unknown); the values stay out of the text."""

    def __init__(self, refused: NodeRefusedError, name: str, values: tuple[Any, ...]) -> None:
        super().__init__(refused.label, refused.code, refused.reason, refused.data)
        self.args = (f"the contract refuses: {name or 'no known reason'}",)
        self.name = name
        self.values = values


@dataclass(frozen=True, slots=True)
class Contracts:
    """The contracts of one deployment."""

    roles: RolesContract
    patients: PatientsContract
    teams: TeamsContract
    emergencies: EmergenciesContract
    consents: ConsentsContract
    log: LogContract
    reverts: Reverts

    @classmethod
    def of(cls, deployment: Deployment) -> Self:
        """Reads the committed ABIs. Raises what ``artefacts.load`` raises."""
        artefacts = {name: load(name) for name in NAMES}
        functions = {name: Functions.of(artefact) for name, artefact in artefacts.items()}
        return cls(
            roles=RolesContract(deployment.address("ConsentryRoles"), functions["ConsentryRoles"]),
            patients=PatientsContract(deployment.address("PatientRegistry"), functions["PatientRegistry"]),
            teams=TeamsContract(deployment.address("CareTeams"), functions["CareTeams"]),
            emergencies=EmergenciesContract(deployment.address("EmergencyAccess"), functions["EmergencyAccess"]),
            consents=ConsentsContract(deployment.address("ConsentRegistry"), functions["ConsentRegistry"]),
            log=LogContract(deployment.address("AccessLog"), functions["AccessLog"]),
            reverts=Reverts.of(artefacts.values()),
        )

    async def ask(self, nodes: Nodes, view: View[T], block: str = LATEST) -> T:
        """The view's answer, the same from a quorum of nodes. ``block`` is a tag or a quantity.

        Raises RevertError, or RpcError when the nodes cannot be asked or disagree.
        """

        async def ask(node: Node) -> T:
            return view.answer(data(await self._call(node, view.call, None, block), "the contract's answer"))

        # Where the read gives None (a deny), "too few say otherwise" is None too.
        return cast("T", await nodes.agreed(ask))

    async def simulate(self, nodes: Nodes, call: CallData, sender: Address, block: str = _NEXT) -> None:
        """Tries a transaction on the first node that answers. Raises RevertError when it would revert, or RpcError."""
        await nodes.first(lambda node: self._call(node, call, sender, block))

    async def estimate_gas(self, nodes: Nodes, call: CallData, sender: Address, block: str = _NEXT) -> int:
        """The gas that the transaction needs by the first node that answers. Raises RevertError or RpcError."""

        async def ask(node: Node) -> int:
            return quantity(await self._try(node, "eth_estimateGas", _transaction(call, sender), block), "the gas")

        return await nodes.first(ask)

    async def _call(self, node: Node, call: CallData, sender: Address | None, block: str) -> object:
        return await self._try(node, "eth_call", _transaction(call, sender), block)

    async def _try(self, node: Node, method: str, transaction: dict[str, str], block: str) -> object:
        try:
            return await node.call(method, transaction, block)
        except NodeRefusedError as refused:
            if not refused.reverted:
                raise
            raise RevertError(refused, *self.reverts.read(refused.data or b"")) from None


def _transaction(call: CallData, sender: Address | None) -> dict[str, str]:
    transaction = {"to": to_data(call.to), "data": to_data(call.data)}
    if sender is not None:
        transaction["from"] = to_data(sender)
    return transaction
