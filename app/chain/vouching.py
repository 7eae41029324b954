"""Who vouches for an entry of the directory: the default admin at the time, and since when. Only they can set one
(docs/CHAIN.md, ConsentryRoles).
"""

from collections import OrderedDict
from dataclasses import dataclass

from app.chain.blocks import header_by_hash, read_logs
from app.chain.contracts import Contracts
from app.chain.deployment import Deployment
from app.chain.nodes import Nodes
from app.chain.quantities import MalformedAnswerError, to_data, to_quantity
from app.chain.rpc import Node, NodeRefusedError, RpcError
from app.core.identifiers import Address, UnixTime
from app.core.keccak import keccak256

_EVENT = keccak256(b"DirectoryEntrySet(address,bytes32)")
_CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class Vouched:
    """Who set an entry, and the time of the block that did."""

    by: Address
    since: UnixTime


class Vouching:
    """Asks the nodes once for each entry. Belongs to one event loop."""

    def __init__(self, nodes: Nodes, contracts: Contracts, deployment: Deployment) -> None:
        self._nodes = nodes
        self._contracts = contracts
        self._deployment = deployment
        self._known: OrderedDict[tuple[Address, bytes], Vouched] = OrderedDict()

    async def find(self, account: Address, entry: bytes) -> Vouched | None:
        """Who set this very entry of the account; None where that cannot be found out now."""
        known = self._known.get((account, entry))
        if known is not None:
            return known
        try:
            found = await self._ask(account, entry)
        except RpcError:
            return None  # who stands behind a name is told as far as it is known; the name itself is vouched for
        if found is not None:
            self._known[account, entry] = found
            while len(self._known) > _CAPACITY:
                self._known.popitem(last=False)
        return found

    async def _ask(self, account: Address, entry: bytes) -> Vouched | None:
        query = {
            "fromBlock": to_quantity(self._deployment.block.number + 1),
            "toBlock": "latest",
            "address": to_data(self._contracts.roles.address),
            "topics": [to_data(_EVENT), to_data(bytes(12) + account)],
        }

        async def ask(node: Node) -> tuple[int, UnixTime] | None:
            logs = read_logs(await node.call("eth_getLogs", query))
            if not logs or logs[-1].data != entry:
                return None
            header = await header_by_hash(node, logs[-1].block.hash)
            if header is None:
                raise MalformedAnswerError("the block of a log is not there")
            return header.ref.number, header.timestamp

        found = await self._nodes.agreed(ask)
        if found is None:
            return None
        number, since = found
        asked = self._contracts.roles.default_admin()
        try:
            by = await self._contracts.ask(self._nodes, asked, to_quantity(number))
        except NodeRefusedError:
            # A node that has let go of that state: the admin of today, to whom the office was handed on.
            by = await self._contracts.ask(self._nodes, asked)
        return Vouched(by, since)
