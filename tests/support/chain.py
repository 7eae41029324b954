"""A real chain for tests: anvil with the contracts deployed and staff roles set, fresh for each test that asks.

The contracts are deployed once for a run; each test gets an anvil of its own that starts from that state (0.1 s), which
it may reorganise, stop or kill as it likes. Use the fixture ``chain``.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.chain.anvil import DEVELOPMENT_CHAIN_ID, DEVELOPMENT_KEYS, Anvil, free_port
from app.chain.anvil_state import ChainFolder
from app.chain.contracts import CallData, Contracts
from app.chain.deploy import EMERGENCY_DURATION_S, EMERGENCY_QUOTA, FirstRole, Plan, deploy
from app.chain.deployment import Deployment
from app.chain.nodes import Nodes
from app.chain.quantities import fields, quantity
from app.chain.sender import Fees, Receipt, Signer, Unsigned, account_nonce, broadcast, receipt
from app.core.consent.terms import Role, Window
from app.core.identifiers import TxHash, UnixTime

# Which of the published development accounts plays whom.
CAST = (
    *("admin", "registrar", "patient1", "patient2", "physician1", "physician2"),
    *("emergency", "auditor", "recorder", "relayer"),
)
ALWAYS = Window(UnixTime(0), UnixTime(4_102_444_800))
MOVE_DELAY_S = 3600
ADMIN_DELAY_S = 3600
# Whose passkeys count: where the tests' browsers find the portal.
RP_ID = "localhost"
# Far above anything needed on a development chain, so that no test waits for an estimate.
_FEES = Fees(100_000_000_000, 1_000_000_000)
_GAS = 5_000_000


def signer(name: str) -> Signer:
    """The account of that name in CAST."""
    return Signer.of(DEVELOPMENT_KEYS[CAST.index(name)])


def plan() -> Plan:
    """Deployment as the tests want it: every staff account holds its role, always."""
    staff = {
        Role.REGISTRAR: ("registrar",),
        Role.RECORDER: ("recorder",),
        Role.PHYSICIAN: ("physician1", "physician2"),
        Role.EMERGENCY: ("emergency",),
        Role.AUDITOR: ("auditor",),
    }
    roles = [FirstRole(role, signer(name).address, ALWAYS) for role, names in staff.items() for name in names]
    return Plan(
        chain_id=DEVELOPMENT_CHAIN_ID,
        admin_delay_s=ADMIN_DELAY_S,
        move_delay_s=MOVE_DELAY_S,
        emergency_duration_s=EMERGENCY_DURATION_S,
        emergency_quota=EMERGENCY_QUOTA,
        rp_id=RP_ID,
        roles=roles,
    )


@dataclass(frozen=True, slots=True)
class Deployed:
    """Deployed once per run: the chain's folder (to copy), and the deployment file in it."""

    folder: Path
    deployment_path: Path
    deployment: Deployment


@dataclass(slots=True)
class Chain:
    """A running chain of one test."""

    anvil: Anvil
    nodes: Nodes
    deployment: Deployment
    deployment_path: Path
    contracts: Contracts

    async def rpc(self, method: str, *params: object) -> object:
        """One JSON-RPC call to anvil itself: ``evm_mine``, ``anvil_reorg`` and the like."""
        return await self.anvil.node.call(method, *params)

    async def send(self, who: Signer, call: CallData) -> Receipt:
        """Sends a transaction and gives its receipt; fails the test when it reverts."""
        sent = await self.submit(who, call)
        until = time.monotonic() + 10
        while (found := await receipt(self.nodes, sent)) is None:
            assert time.monotonic() < until, "the transaction is not mined"
            await asyncio.sleep(0.01)
        assert found.succeeded, "the transaction reverted"
        return found

    async def submit(self, who: Signer, call: CallData) -> TxHash:
        """Sends a transaction without waiting for it (it is mined at once unless the test turned that off)."""
        nonce = await account_nonce(self.nodes, who.address, "pending")
        signed = who.sign(Unsigned(self.deployment.chain_id, nonce, call.to, call.data, _GAS, _FEES))
        await broadcast(self.nodes, signed.raw)
        return signed.hash

    async def settle(self) -> None:
        """Returns once every transaction that can be mined is."""
        for _ in range(2000):
            if fields(await self.rpc("txpool_status"), "the pool")["pending"] == "0x0":
                return
            await asyncio.sleep(0.005)
        raise AssertionError("the pool does not empty")

    async def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            await self.rpc("evm_mine")

    async def reorg(self, depth: int) -> None:
        """Replaces the last ``depth`` blocks by empty ones: their transactions are gone, as anvil does it."""
        await self.rpc("anvil_reorg", depth, [])

    async def height(self) -> int:
        return quantity(await self.rpc("eth_blockNumber"), "the height")

    async def time(self) -> UnixTime:
        """The head's timestamp."""
        head = fields(await self.rpc("eth_getBlockByNumber", "latest", False), "the head")
        return UnixTime(quantity(head["timestamp"], "the time"))


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The contracts, deployed once per run."""
    return asyncio.run(deployed_in(tmp_path_factory.mktemp("chain"), plan()))


async def deployed_in(folder: Path, wanted: Plan) -> Deployed:
    """The contracts as planned, in a folder of their own."""
    path = folder / "deployment.json"
    async with Anvil(free_port(), ChainFolder(folder)) as anvil, Nodes.of([anvil.url]) as nodes:
        return Deployed(folder, path, await deploy(nodes, signer("admin"), wanted, path))


@pytest.fixture
async def chain(deployed: Deployed) -> AsyncIterator[Chain]:
    """A chain of this test's own, with the contracts deployed and the roles set."""
    # No folder of its own: it starts from the shared state and keeps nothing.
    anvil = Anvil(free_port(), options=("--load-state", str(deployed.folder / "state.json")))
    async with anvil, Nodes.of([anvil.url]) as nodes:
        contracts = Contracts.of(deployed.deployment)
        yield Chain(anvil, nodes, deployed.deployment, deployed.deployment_path, contracts)
