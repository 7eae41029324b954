"""The replay against the real contracts: a patient's consent, accesses in batches, and one that nothing permitted."""

import asyncio
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.chain.deploy import EMERGENCY_DURATION_S, EMERGENCY_QUOTA
from app.chain.quantities import block_hash, fields, to_quantity
from app.commands.audit import verify_log
from app.core.consent.basis import SELF
from app.core.consent.emergencies import Opening, emergency_id, written_hash
from app.core.consent.terms import Action, Finding, Purpose, Window
from app.core.exported import to_line
from app.core.identifiers import BasisId, BlockRef, LogHead, PatientKey, UnixTime
from app.core.record import LoggedAccess, canonical, commit, encode_batch, genesis_head, next_head
from app.verify import Flaw, verify
from app.verify.glass import UnderGlass
from tests.support.accesses import random_record
from tests.support.chain import Chain, signer
from tests.support.consents import claimed, grant, revoke, terms


async def head_of(chain: Chain) -> BlockRef:
    number = await chain.height()
    header = fields(await chain.rpc("eth_getBlockByNumber", to_quantity(number), False), "the head")
    return BlockRef(number, block_hash(header["hash"]))


@dataclass(slots=True)
class Keeping:
    """A gateway that keeps records and logs them."""

    chain: Chain
    rng: random.Random
    lines: list[str] = field(default_factory=list)
    seq: int = 0
    head: bytes = b""

    def __post_init__(self) -> None:
        self.head = genesis_head(self.chain.deployment.chain_id, self.chain.deployment.address("AccessLog"))

    async def access(self, **said: Any) -> LoggedAccess:
        block, at = await head_of(self.chain), await self.chain.time()
        record = random_record(self.rng, at=at, study_key=None, action=Action.VIEW, block=block, **said)
        salt, body = self.rng.randbytes(32), canonical(record)
        self.lines.append(to_line(body, salt))
        return LoggedAccess(record.basis, record.actor, record.patient, record.block, commit(body, salt))

    async def log(self, accesses: list[LoggedAccess]) -> None:
        call = self.chain.contracts.log.record(self.seq, LogHead(self.head), encode_batch(accesses))
        await self.chain.send(signer("recorder"), call)
        for one in accesses:
            self.head = next_head(LogHead(self.head), self.seq, one)
            self.seq += 1


async def test_break_glass_on_a_chain_that_was_away(
    chain: Chain, rng: random.Random, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The emergency and its patient's enrolment land after the access; then the review and the erasure."""
    keeping, doctor, patient = Keeping(chain, rng), signer("emergency").address, PatientKey(rng.randbytes(32))
    now = await chain.time()
    window = Window(now, UnixTime(now + 3600))
    reason_hash = written_hash(rng.randbytes(32), "unconscious")
    opening = Opening(patient, reason_hash, window, rng.randbytes(32))
    contract = chain.deployment.address("EmergencyAccess")
    emergency = emergency_id(opening, doctor, chain.deployment.chain_id, contract)
    said = {"actor": doctor, "patient": patient, "basis": BasisId(emergency), "purpose": Purpose.ETREAT}
    fresh, stale = await keeping.access(**said), await keeping.access(**said, snapshot_age_s=120)
    other = await keeping.access(**{**said, "basis": BasisId(rng.randbytes(32))})
    await chain.send(signer("registrar"), chain.contracts.patients.enrol(patient, doctor, UnixTime(now + 9_000)))
    emergencies = chain.contracts.emergencies
    assert await chain.contracts.ask(chain.nodes, emergencies.emergency_id(opening, doctor)) == emergency
    assert await chain.contracts.ask(chain.nodes, emergencies.max_duration_s()) == EMERGENCY_DURATION_S
    assert await chain.contracts.ask(chain.nodes, emergencies.quota()) == EMERGENCY_QUOTA
    await chain.send(signer("emergency"), emergencies.open(opening))
    await keeping.log([fresh, stale])
    report = await verify(chain.anvil.node, chain.deployment, keeping.lines[:2])  # the third is not logged yet
    assert report.good, report.lines()
    assert report.glass == UnderGlass(2, 1, 2, 0)

    await chain.send(signer("auditor"), emergencies.review(emergency, Finding.NOT_JUSTIFIED, bytes(32)))
    await keeping.log([other, await keeping.access(**said)])
    await chain.send(signer("registrar"), chain.contracts.patients.erase(patient))
    for exported in (None, keeping.lines):
        report = await verify(chain.anvil.node, chain.deployment, exported)
        assert [(finding.flaw, finding.seq) for finding in report.findings] == [
            (Flaw.UNAUTHORISED, 2),
            (Flaw.UNAUTHORISED, 3),
        ]
    kept = tmp_path / "records"
    kept.write_text("".join(line + "\n" for line in keeping.lines[:2]), encoding="ascii")
    with pytest.raises(SystemExit):
        await asyncio.to_thread(verify_log, chain.anvil.node.url, chain.deployment_path, kept, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    glass = {"records": 3, "on_stale_snapshot": 1, "not_reviewed": 0, "not_justified": 3}
    assert (printed["good"], printed["flaws"], printed["erased"], printed["break_glass"]) == (False, 2, 2, glass)


async def test_a_real_log_is_verified_and_a_false_record_named(chain: Chain, rng: random.Random) -> None:
    patient = await claimed(chain, PatientKey(rng.randbytes(32)))
    consent = await grant(chain, patient, terms(patient, "physician1", rng))
    doctor = signer("physician1").address
    keeping = Keeping(chain, rng)
    said = {"actor": doctor, "patient": patient.key, "purpose": Purpose.TREAT, "basis": BasisId(consent)}

    await keeping.log([await keeping.access(**said) for _ in range(3)])
    own = await keeping.access(actor=patient.actor, patient=patient.key, basis=SELF, purpose=Purpose.PATRQT)
    await keeping.log([await keeping.access(**said), own])
    for exported in (None, keeping.lines):
        report = await verify(chain.anvil.node, chain.deployment, exported)
        assert report.good, report.lines()
        assert (report.records, report.head) == (5, keeping.head)

    await revoke(chain, patient, consent)
    await keeping.log([await keeping.access(**said)])
    for exported in (None, keeping.lines):
        report = await verify(chain.anvil.node, chain.deployment, exported)
        assert [(finding.flaw, finding.seq) for finding in report.findings] == [(Flaw.UNAUTHORISED, 5)]
