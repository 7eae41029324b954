"""The contracts on a real chain: deployed once, found again, resumed half-way, and refused when they are not there."""

import pytest

from app.chain.contracts import ConsentStatus, RevertError
from app.chain.deployment import check, load
from app.core.basis import role_id
from app.core.identifiers import Address, ConsentId, LogHead, PatientKey, UnixTime
from app.core.terms import Capacity, Role
from tests.support.chain import ALWAYS, Chain, signer

KEY = PatientKey(b"\x07" * 32)


async def test_the_deployment_stands_as_planned(chain: Chain) -> None:
    await check(chain.deployment, chain.nodes)
    assert load(chain.deployment_path) == chain.deployment
    roles = chain.contracts.roles
    assert await chain.contracts.ask(chain.nodes, roles.default_admin()) == signer("admin").address
    window = roles.window(role_id(Role.PHYSICIAN), signer("physician1").address)
    assert await chain.contracts.ask(chain.nodes, window) == ALWAYS
    assert await chain.contracts.ask(chain.nodes, chain.contracts.log.next_seq()) == 0
    head = await chain.contracts.ask(chain.nodes, chain.contracts.log.head())
    assert len(head) == 32


async def test_a_transaction_and_its_views(chain: Chain) -> None:
    claim_key = Address(b"\x11" * 20)
    until = UnixTime(await chain.time() + 600)
    sent = await chain.send(signer("registrar"), chain.contracts.patients.enrol(KEY, claim_key, until))
    assert sent.block.number == await chain.height()
    patient = await chain.contracts.ask(chain.nodes, chain.contracts.patients.patient(KEY))
    assert (patient.claim_key, patient.claim_until, patient.controller) == (claim_key, until, b"")
    capacity = chain.contracts.patients.capacity_of(KEY, claim_key)
    assert await chain.contracts.ask(chain.nodes, capacity) is Capacity.NONE
    kept = await chain.contracts.ask(chain.nodes, chain.contracts.consents.consent(KEY, ConsentId(b"\x01" * 32)))
    assert kept.status is ConsentStatus.UNUSED


async def test_a_refusal_has_the_contracts_own_name(chain: Chain) -> None:
    call = chain.contracts.patients.enrol(KEY, Address(b"\x11" * 20), UnixTime(await chain.time() + 600))
    with pytest.raises(RevertError) as refusal:
        await chain.contracts.simulate(chain.nodes, call, signer("physician1").address)
    assert refusal.value.name == "NotRegistrar"
    batch = chain.contracts.log.record(5, LogHead(b"\0" * 32), b"")
    with pytest.raises(RevertError) as refusal:
        await chain.contracts.estimate_gas(chain.nodes, batch, signer("recorder").address)
    assert (refusal.value.name, refusal.value.values) == ("SeqMismatch", (5, 0))
    assert await chain.contracts.estimate_gas(chain.nodes, call, signer("registrar").address) > 21_000
