"""Who the default admin is now: OpenZeppelin's own events say it, which the mirror does not follow, so the nodes are
asked.
"""

import asyncio
import time
from collections.abc import Callable

from app.chain.contracts import Contracts
from app.chain.nodes import Nodes
from app.chain.rpc import RpcError
from app.core.identifiers import Address

_BELIEVED_S = 5.0
_PATIENCE_S = 3.0


class DefaultAdmin:
    """What was answered, and that there was no answer, is believed for some seconds. Belongs to one event loop."""

    def __init__(self, nodes: Nodes, contracts: Contracts, clock: Callable[[], float] = time.monotonic) -> None:
        self._nodes = nodes
        self._contracts = contracts
        self._clock = clock
        self._known: Address | None = None
        self._until = -1.0
        self._turn = asyncio.Lock()

    async def find(self) -> Address | None:
        """The default admin; None while the nodes do not say. Whoever asks meanwhile shares the question."""
        async with self._turn:
            if self._clock() >= self._until:
                self._known = await self._ask()
                self._until = self._clock() + _BELIEVED_S
            return self._known

    async def _ask(self) -> Address | None:
        view = self._contracts.roles.default_admin()
        try:
            return await asyncio.wait_for(self._contracts.ask(self._nodes, view), _PATIENCE_S)
        except (RpcError, TimeoutError):
            return None  # nobody is the admin whom nobody knows: the chain asks again when a transaction comes
