"""One account's transactions, one at a time, each mined before the next: for deploying and for an admin by hand."""

import asyncio
from dataclasses import dataclass
from typing import Final

from app.chain.nodes import LATEST, Nodes
from app.chain.quantities import quantity, to_data
from app.chain.rpc import Node, NodeUnavailableError
from app.chain.sender import Broadcast, Signer, Unsigned, account_nonce, broadcast, estimate_fees, with_margin
from app.core.identifiers import Address

_POLL_S: Final = 0.05
_MINED_WITHIN_S: Final = 180.0


class NotTakenError(Exception):
    """No node takes the transaction; the text says why in a word."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account that this process alone uses."""

    nodes: Nodes
    signer: Signer
    chain_id: int

    async def next_nonce(self) -> int:
        return await account_nonce(self.nodes, self.signer.address)

    async def send(self, nonce: int, to: Address | None, data: bytes) -> None:
        """Returns once the transaction of that account nonce is mined, sending it unless it is already."""
        if await self.next_nonce() > nonce:
            return
        call = {"from": to_data(self.signer.address), "data": to_data(data)}
        if to is not None:
            call["to"] = to_data(to)

        async def ask(node: Node) -> int:
            return quantity(await node.call("eth_estimateGas", call, LATEST), "the gas")

        gas = with_margin(await self.nodes.first(ask))
        fees = await estimate_fees(self.nodes)
        signed = self.signer.sign(Unsigned(self.chain_id, nonce, to, data, gas, fees))
        said = await broadcast(self.nodes, signed.raw)
        if said in (Broadcast.UNFUNDED, Broadcast.REFUSED):
            raise NotTakenError(f"the transaction was not taken: {said.name.lower()}")
        for _ in range(round(_MINED_WITHIN_S / _POLL_S)):
            if await self.next_nonce() > nonce:
                return
            await asyncio.sleep(_POLL_S)
        raise NodeUnavailableError("the transaction is not mined: start again to go on waiting")
