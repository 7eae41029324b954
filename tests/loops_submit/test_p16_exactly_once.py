"""P16: a stuck, dropped, replaced or reorganised transaction neither loses nor repeats a record."""

import asyncio

import pytest

from app.core.consent.basis import role_id
from app.core.consent.terms import Role
from app.core.identifiers import LogHead
from app.loops.lane import LaneLimits, Trouble
from app.loops.submit import Submitter
from app.store.outbox import CallState
from tests.loops_submit.conftest import EAGER, Site
from tests.support.chain import signer


async def test_p16_records_reach_the_chain_in_order_and_become_final(site: Site) -> None:
    await site.look(40)
    async with site.submitting():
        await site.until_settled()
        await site.look(30)
        await site.until_settled()
        await site.until_settled(CallState.FINAL, mine=True)
    await site.check()


async def test_p16_several_batches_are_in_flight_at_once(site: Site) -> None:
    await site.chain.rpc("evm_setAutomine", False)
    await site.look(60)
    async with site.submitting():
        await until_pending(site, EAGER.in_flight)
        await site.until_settled(mine=True)
    await site.check()


async def test_p16_dropped_transactions_are_sent_again(site: Site) -> None:
    await site.chain.rpc("evm_setAutomine", False)
    await site.look(25)
    async with site.submitting():
        await until_pending(site, 4)
        await site.chain.rpc("anvil_dropAllTransactions")
        assert await pending(site) == 0
        await site.until_settled(mine=True)
    await site.check()


async def test_p16_a_gap_in_the_pool_is_closed(site: Site) -> None:
    await site.chain.rpc("evm_setAutomine", False)
    await site.look(25)
    async with site.submitting():
        await until_pending(site, 4)
        content = await site.chain.rpc("txpool_content")
        by_nonce = next(iter(content["pending"].values()))  # type: ignore[index]  # as anvil answers
        await site.chain.rpc("anvil_dropTransaction", by_nonce[min(by_nonce, key=int)]["hash"])
        await site.until_settled(mine=True)
    await site.check()


async def test_p16_a_fee_spike_leads_to_replacements(site: Site) -> None:
    await site.chain.rpc("evm_setAutomine", False)
    await site.look(20)
    async with site.submitting():
        await until_pending(site, 3)
        # Above all that was offered: nothing in the pool can be mined as it is.
        await site.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**12))
        await site.chain.mine()
        assert site.unsettled() == 20
        for _ in range(400):
            await site.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**12))
            await site.chain.mine()
            if not site.unsettled():
                break
            await asyncio.sleep(0.05)
    assert site.unsettled() == 0
    await site.check()


async def test_p16_fees_above_the_limit_wait_and_say_so(site: Site) -> None:
    limits = LaneLimits(in_flight=4, stuck_after_s=0.5, resend_after_s=0.2, highest_fee_wei=10**11)
    await site.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**12))
    await site.chain.mine()
    await site.look(5)
    async with site.submitting(limits=limits) as submitter:
        await until_trouble(submitter, Trouble.UNDERPRICED)
        assert site.unsettled() == 5
        await site.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
        await site.chain.mine()
        await site.until_settled()
    await site.check()


@pytest.mark.parametrize("depth", [1, 3, 6])
async def test_p16_reorganised_batches_land_again_as_they_were(site: Site, depth: int) -> None:
    await site.look(60)
    async with site.submitting():
        await site.until_settled()
        before = await site.logged()
        await site.chain.reorg(depth)
        assert await site.logged() == before[: -4 - 7 * (depth - 1)]
        async with asyncio.timeout(120):
            while await site.logged() != before:  # noqa: ASYNC110 - the chain tells nobody here
                await asyncio.sleep(0.05)
        await site.look(10)
        await site.until_settled()
        await site.until_settled(CallState.FINAL, mine=True)
    await site.check()


async def test_p16_reorganised_while_the_submitter_was_down(site: Site) -> None:
    await site.look(30)
    async with site.submitting():
        await site.until_settled()
    await site.chain.reorg(4)
    await site.look(9)
    async with site.submitting():
        await site.until_settled(CallState.FINAL, mine=True)
    await site.check()


async def test_p16_a_development_chain_that_resumes_from_an_old_state_gets_its_final_records_again(site: Site) -> None:
    await site.look(10)
    async with site.submitting():
        await site.until_settled()
        old = await site.chain.rpc("evm_snapshot")
        await site.look(20)
        await site.until_settled(CallState.FINAL, mine=True)
    before = await site.logged()
    assert await site.chain.rpc("evm_revert", old) is True
    assert len(await site.logged()) == 10
    async with site.submitting():
        async with asyncio.timeout(120):
            while await site.logged() != before:  # noqa: ASYNC110 - the chain tells nobody here
                await asyncio.sleep(0.05)
        await site.until_settled(CallState.FINAL, mine=True)
    await site.check()


async def test_p16_an_account_without_money_waits_and_goes_on_when_paid(site: Site) -> None:
    recorder = "0x" + signer("recorder").address.hex()
    await site.chain.rpc("anvil_setBalance", recorder, "0x0")
    await site.look(9)
    async with site.submitting() as submitter:
        await until_trouble(submitter, Trouble.UNFUNDED, Trouble.CHAIN)
        await site.chain.rpc("anvil_setBalance", recorder, hex(10**20))
        await site.until_settled()
    await site.check()


async def test_p16_a_nonce_used_by_something_else_costs_no_record(site: Site) -> None:
    await site.chain.rpc("evm_setAutomine", False)
    await site.look(14)
    async with site.submitting():
        await until_pending(site, 2)
    # The key's owner sends something of its own with the same nonces, before ours are mined.
    await site.chain.rpc("anvil_dropAllTransactions")
    elsewhere = site.chain.contracts.log.record(10**6, LogHead(bytes(32)), bytes(200))
    await site.chain.submit(signer("recorder"), elsewhere)
    await site.chain.mine()
    async with site.submitting():
        await site.until_settled(CallState.FINAL, mine=True)
    await site.check()


async def test_p16_without_the_role_nothing_is_spent_and_it_says_so(site: Site) -> None:
    recorder = signer("recorder").address
    await site.chain.send(signer("admin"), site.chain.contracts.roles.withdraw_role(role_id(Role.RECORDER), recorder))
    await site.look(5)
    async with site.submitting() as submitter:
        await until_trouble(submitter, Trouble.CONTRACT_REFUSES)
        assert await site.chain.rpc("eth_getTransactionCount", "0x" + recorder.hex(), "pending") == "0x0"


async def pending(site: Site) -> int:
    """Transactions that wait in anvil's pool."""
    status = await site.chain.rpc("txpool_status")
    return int(status["pending"], 16) + int(status["queued"], 16)  # type: ignore[index]  # as anvil answers


async def until_pending(site: Site, count: int) -> None:
    async with asyncio.timeout(120):
        while await pending(site) < count:  # noqa: ASYNC110 - the pool has no event
            await asyncio.sleep(0.03)


async def until_trouble(submitter: Submitter, *one_of: Trouble) -> None:
    async with asyncio.timeout(120):
        while not set(one_of) & set(submitter.state().trouble):  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.03)
