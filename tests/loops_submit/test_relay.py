"""What patients signed reaches the chain on the relayer's lane, or says why not."""

import asyncio
import random

from app.core.identifiers import Address, PatientKey, UnixTime
from app.store.outbox import CallState, NewCall, Outbox, OutboxCall
from tests.loops_submit.conftest import Site
from tests.support.chain import signer


def enrolment(site: Site, patient: PatientKey, account: Address) -> NewCall:
    """A call that needs a role (REGISTRAR), so that it can also be refused."""
    call = site.chain.contracts.patients.enrol(patient, Address(b"c" * 20), UnixTime(4_000_000_000))
    return NewCall(account, "enrol", patient, call.to, call.data)


async def until(site: Site, reference: bytes, *states: CallState, mine: bool = False) -> OutboxCall:
    outbox = Outbox(site.database)
    async with asyncio.timeout(120):
        while True:
            found = await outbox.find("enrol", reference)
            if found is not None and found.state in states:
                return found
            if mine:
                await site.chain.mine()
            await asyncio.sleep(0.03)


async def test_a_call_is_queued_mined_and_final_and_its_gas_is_estimated(site: Site, rng: random.Random) -> None:
    patient = PatientKey(rng.randbytes(32))
    outbox = Outbox(site.database)
    # The relayer of this test is the registrar: any account is a lane.
    async with site.submitting(relayer="registrar") as submitter:
        queued = await outbox.enqueue(enrolment(site, patient, signer("registrar").address))
        assert queued.state is CallState.QUEUED
        submitter.wake()
        mined = await until(site, patient, CallState.MINED)
        assert mined.mined is not None
        again = await outbox.enqueue(enrolment(site, patient, signer("registrar").address))
        assert again.call_id == queued.call_id
        await until(site, patient, CallState.FINAL, mine=True)
    kept = await site.chain.contracts.ask(site.chain.nodes, site.chain.contracts.patients.patient(patient))
    assert kept.claim_key == b"c" * 20


async def test_what_the_contract_refuses_fails_with_its_name_and_costs_nothing(site: Site, rng: random.Random) -> None:
    patient = PatientKey(rng.randbytes(32))
    relayer = signer("relayer").address
    async with site.submitting():
        await Outbox(site.database).enqueue(enrolment(site, patient, relayer))
        failed = await until(site, patient, CallState.FAILED)
    assert failed.error is not None
    assert failed.error.startswith("the contract refuses: ")
    assert await site.chain.rpc("eth_getTransactionCount", "0x" + relayer.hex(), "pending") == "0x0"


async def test_the_lanes_do_not_wait_for_each_other(site: Site, rng: random.Random) -> None:
    patient = PatientKey(rng.randbytes(32))
    await site.chain.rpc("anvil_setBalance", "0x" + signer("recorder").address.hex(), "0x0")
    await site.look(3)
    async with site.submitting(relayer="registrar"):
        await Outbox(site.database).enqueue(enrolment(site, patient, signer("registrar").address))
        await until(site, patient, CallState.MINED)
        assert site.unsettled() == 3


async def test_a_relayed_call_survives_a_reorganisation(site: Site, rng: random.Random) -> None:
    patient = PatientKey(rng.randbytes(32))
    async with site.submitting(relayer="registrar"):
        await Outbox(site.database).enqueue(enrolment(site, patient, signer("registrar").address))
        first = await until(site, patient, CallState.MINED)
        await site.chain.reorg(1)
        async with asyncio.timeout(120):
            while (second := await until(site, patient, CallState.MINED)).mined == first.mined:  # noqa: ASYNC110
                await asyncio.sleep(0.03)
        assert second.mined_tx == first.mined_tx
        await until(site, patient, CallState.FINAL, mine=True)
