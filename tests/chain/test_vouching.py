"""Who stands behind a directory entry, asked of a real chain."""

from app.chain.nodes import Nodes
from app.chain.vouching import Vouched, Vouching
from tests.support.chain import ADMIN_DELAY_S, Chain, signer

_DOCTOR, _OTHER = signer("physician1").address, signer("physician2").address
_FIRST, _SECOND = b"\x01" * 32, b"\x02" * 32


async def test_the_admin_who_set_it_and_when(chain: Chain) -> None:
    vouching = Vouching(chain.nodes, chain.contracts, chain.deployment)
    assert await vouching.find(_DOCTOR, _FIRST) is None
    await chain.send(signer("admin"), chain.contracts.roles.set_directory_entry(_DOCTOR, _FIRST))
    then = await chain.time()
    await chain.mine(3)
    assert await vouching.find(_DOCTOR, _FIRST) == Vouched(signer("admin").address, then)
    assert await vouching.find(_DOCTOR, _SECOND) is None, "it is not this entry that the chain has"
    assert await vouching.find(_OTHER, _FIRST) is None, "nor this account's"
    await chain.rpc("evm_increaseTime", 100)
    await chain.send(signer("admin"), chain.contracts.roles.set_directory_entry(_DOCTOR, _SECOND))
    later = await vouching.find(_DOCTOR, _SECOND)
    assert later == Vouched(signer("admin").address, await chain.time())
    assert later.since >= then + 100


async def test_who_was_admin_then_and_not_who_is_now(chain: Chain) -> None:
    roles = chain.contracts.roles
    await chain.send(signer("admin"), roles.set_directory_entry(_DOCTOR, _FIRST))
    await chain.send(signer("admin"), roles.call("beginDefaultAdminTransfer", _OTHER))
    await chain.rpc("evm_increaseTime", ADMIN_DELAY_S + 1)
    await chain.send(signer("physician2"), roles.call("acceptDefaultAdminTransfer"))
    await chain.send(signer("physician2"), roles.set_directory_entry(_OTHER, _SECOND))
    vouching = Vouching(chain.nodes, chain.contracts, chain.deployment)
    first, second = await vouching.find(_DOCTOR, _FIRST), await vouching.find(_OTHER, _SECOND)
    assert first is not None
    assert second is not None
    assert (first.by, second.by) == (signer("admin").address, _OTHER)


async def test_asked_once_and_unknown_without_a_node(chain: Chain) -> None:
    await chain.send(signer("admin"), chain.contracts.roles.set_directory_entry(_DOCTOR, _FIRST))
    async with Nodes.of([chain.anvil.url]) as nodes:
        vouching = Vouching(nodes, chain.contracts, chain.deployment)
        known = await vouching.find(_DOCTOR, _FIRST)
        assert known is not None
    async with Nodes.of(["http://127.0.0.1:9"]) as nowhere:
        vouching._nodes = nowhere
        assert await vouching.find(_DOCTOR, _FIRST) == known
        assert await vouching.find(_OTHER, _FIRST) is None
