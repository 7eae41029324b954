"""The replay against the real contracts: a patient's consent, accesses in batches, and one that nothing permitted."""

import random
from dataclasses import replace

from app.chain.quantities import block_hash, fields, to_quantity
from app.core.consent.basis import SELF
from app.core.consent.terms import Action, Purpose
from app.core.exported import to_line
from app.core.identifiers import BasisId, BlockRef, LogHead, PatientKey
from app.core.record import LoggedAccess, canonical, commit, encode_batch, genesis_head, next_head
from app.verify import Flaw, verify
from tests.support.accesses import random_record
from tests.support.chain import Chain, signer
from tests.support.consents import claimed, grant, revoke, terms


async def head_of(chain: Chain) -> BlockRef:
    number = await chain.height()
    header = fields(await chain.rpc("eth_getBlockByNumber", to_quantity(number), False), "the head")
    return BlockRef(number, block_hash(header["hash"]))


async def test_a_real_log_is_verified_and_a_false_record_named(chain: Chain, rng: random.Random) -> None:
    patient = await claimed(chain, PatientKey(rng.randbytes(32)))
    consent = await grant(chain, patient, terms(patient, "physician1", rng))
    doctor = signer("physician1").address
    lines: list[str] = []
    seq, head = 0, genesis_head(chain.deployment.chain_id, chain.deployment.address("AccessLog"))

    async def access(**change: object) -> LoggedAccess:
        record = random_record(
            rng,
            at=await chain.time(),
            actor=doctor,
            patient=patient.key,
            study_key=None,
            action=Action.VIEW,
            purpose=Purpose.TREAT,
            basis=BasisId(consent),
            block=await head_of(chain),
        )
        record = replace(record, **change)  # type: ignore[arg-type]  # the caller names fields of the record
        salt = rng.randbytes(32)
        lines.append(to_line(canonical(record), salt))
        return LoggedAccess(record.basis, record.actor, record.patient, record.block, commit(canonical(record), salt))

    async def log(accesses: list[LoggedAccess]) -> None:
        nonlocal seq, head
        await chain.send(signer("recorder"), chain.contracts.log.record(seq, LogHead(head), encode_batch(accesses)))
        for one in accesses:
            head = next_head(LogHead(head), seq, one)
            seq += 1

    await log([await access() for _ in range(3)])
    own = await access(actor=patient.actor, basis=SELF, purpose=Purpose.PATRQT)
    await log([await access(), own])
    for exported in (None, lines):
        report = await verify(chain.anvil.node, chain.deployment, exported)
        assert report.good, report.lines()
        assert (report.records, report.head) == (5, head)

    await revoke(chain, patient, consent)
    await log([await access()])
    for exported in (None, lines):
        report = await verify(chain.anvil.node, chain.deployment, exported)
        assert [(finding.flaw, finding.seq) for finding in report.findings] == [(Flaw.UNAUTHORISED, 5)]
