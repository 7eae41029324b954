"""P6 and P9: random histories with forks. The mirror equals one rebuilt, and permits only what both views permit."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from app.chain.deploy import EMERGENCY_DURATION_S
from app.chain.quantities import to_quantity
from app.core.consent.basis import role_id
from app.core.consent.digest import digest
from app.core.consent.emergencies import Opening, emergency_id
from app.core.consent.events import NO_WARD
from app.core.consent.policy import AccessRequest
from app.core.consent.terms import Action, Effect, Finding, Purpose, Role, Window
from app.core.identifiers import BasisId, ConsentId, EmergencyId, PatientKey, Signer, UnixTime
from tests.loops_follow.following import ANY_STUDY, Following, actor_of, following, rules
from tests.support.chain import ALWAYS, Chain, signer
from tests.support.consents import ChainPatient, claimed, terms

CONFIRMATIONS = 3
PHYSICIANS = ("physician1", "physician2")


@dataclass(slots=True)
class History:
    """Moves made at random; transactions that the contracts refuse are part of it."""

    chain: Chain
    rng: random.Random
    patients: list[ChainPatient]
    opened: list[EmergencyId] = field(default_factory=list)

    async def move(self) -> None:
        moves = [self.grant, self.grant, self.revoke, self.guardian, self.role, self.mine, self.fork, self.burst]
        moves += [self.emergency, self.emergency, self.review, self.passing]
        await self.rng.choice(moves)()
        await self.chain.settle()

    async def grant(self) -> None:
        patient = self.rng.choice(self.patients)
        epoch = await self.chain.contracts.ask(self.chain.nodes, self.chain.contracts.consents.epoch(patient.key))
        wanted = terms(
            patient,
            self.rng.choice(PHYSICIANS),
            self.rng,
            effect=Effect.DENY if self.rng.random() < 0.2 else Effect.PERMIT,
            studies=() if self.rng.random() < 0.7 else (ANY_STUDY,),
            epoch=epoch,
        )
        await self.chain.submit(signer(patient.account), self.chain.contracts.consents.grant(wanted))

    async def revoke(self) -> None:
        patient = self.rng.choice(self.patients)
        view = self.chain.contracts.consents.consent_ids(patient.key)
        known = await self.chain.contracts.ask(self.chain.nodes, view)
        consent = self.rng.choice([*known, ConsentId(self.rng.randbytes(32))])
        await self.chain.submit(signer(patient.account), self.chain.contracts.consents.revoke(patient.key, consent))

    async def guardian(self) -> None:
        patient = self.rng.choice(self.patients)
        guardian = Signer(bytes(actor_of("auditor"))) if self.rng.random() < 0.6 else Signer(b"")
        until = UnixTime(4_102_444_800 if guardian else 0)
        call = self.chain.contracts.patients.set_guardian(patient.key, guardian, until)
        await self.chain.submit(signer(patient.account), call)

    async def role(self) -> None:
        physician, role = actor_of(self.rng.choice(PHYSICIANS)), role_id(Role.PHYSICIAN)
        roles = self.chain.contracts.roles
        call = roles.set_role(role, physician, ALWAYS)
        if self.rng.random() < 0.3:
            call = roles.withdraw_role(role, physician)
        await self.chain.submit(signer("admin"), call)

    async def emergency(self) -> None:
        now = await self.chain.time()
        window = Window(now, UnixTime(now + EMERGENCY_DURATION_S))
        patient = self.rng.choice(self.patients).key
        opening = Opening(patient, self.rng.randbytes(32), window, self.rng.randbytes(32))
        await self.chain.submit(signer("emergency"), self.chain.contracts.emergencies.open(opening))
        contract = self.chain.deployment.address("EmergencyAccess")
        self.opened.append(emergency_id(opening, actor_of("emergency"), self.chain.deployment.chain_id, contract))

    async def review(self) -> None:
        if self.opened:
            call = self.chain.contracts.emergencies.review(
                self.rng.choice(self.opened), self.rng.choice(list(Finding)), bytes(32)
            )
            await self.chain.submit(signer("auditor"), call)

    async def passing(self) -> None:
        """Somebody is enrolled, perhaps as a ward, and perhaps erased."""
        key, until = PatientKey(self.rng.randbytes(32)), UnixTime(await self.chain.time() + 900)
        patients = self.chain.contracts.patients
        enrol = patients.enrol(key, actor_of("auditor"), until, self.rng.choice([NO_WARD, until]))
        await self.chain.submit(signer("registrar"), enrol)
        if self.rng.random() < 0.5:
            await self.chain.submit(signer("registrar"), patients.erase(key))

    async def mine(self) -> None:
        await self.chain.mine(self.rng.randint(1, 3))

    async def fork(self) -> None:
        await self.chain.reorg(self.rng.randint(1, CONFIRMATIONS))

    async def burst(self) -> None:
        """Several transactions in one block."""
        await self.chain.rpc("evm_setAutomine", False)
        for _ in range(self.rng.randint(2, 4)):
            await self.rng.choice([self.grant, self.revoke, self.guardian])()
        await self.chain.mine()
        await self.chain.rpc("evm_setAutomine", True)


async def decided(chain: Chain, patient: ChainPatient, who: str, purpose: Purpose, number: int) -> BasisId | None:
    """What the contract itself decides at that block."""
    request = AccessRequest(actor_of(who), patient.key, ANY_STUDY, Action.RETRIEVE, purpose)
    view = chain.contracts.consents.decide(request)
    return await chain.contracts.ask(chain.nodes, view, to_quantity(number))


async def check_permits(chain: Chain, subject: Following, patients: list[ChainPatient]) -> Counter[Purpose]:
    """Compares with the contract's own answer at the head and at the final block; how many were permitted."""
    head, final = subject.follower.health().head, subject.follower.final_block()
    assert head is not None
    assert final is not None
    assert final.number == head.number - CONFIRMATIONS
    permitted = Counter[Purpose]()
    for patient in patients:
        for asked in (*((one, Purpose.TREAT) for one in PHYSICIANS), ("emergency", Purpose.ETREAT)):
            at_head = await decided(chain, patient, *asked, head.number)
            at_final = await decided(chain, patient, *asked, final.number)
            permits = subject.permits(patient, *asked)
            assert not permits or (at_head and at_final), "a permit that one of the two states does not give"
            assert permits or at_head is None or at_head != at_final, "a denial although both states permit alike"
            permitted[asked[1]] += permits
    return permitted


async def test_p06_p09_the_mirror_after_any_history_is_the_one_rebuilt(
    chain: Chain, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    accounts = ("patient1", "patient2", "patient1")
    patients = [await claimed(chain, PatientKey(rng.randbytes(32)), account) for account in accounts]
    await chain.mine(CONFIRMATIONS)
    subject = await following(chain, rules(CONFIRMATIONS))
    history = History(chain, rng, patients)
    permitted = Counter[Purpose]()
    for at in range(run_size(60, 3000)):
        for _ in range(rng.randint(1, 3)):
            await history.move()
        if await subject.step() is None:
            raise AssertionError("following an honest chain must not fail")
        permitted += await check_permits(chain, subject, patients)
        if at % 10 == 9:
            fresh = await following(chain, rules(CONFIRMATIONS))
            rebuilt, followed = await fresh.step(), subject.follower.standing()
            assert rebuilt is not None
            assert followed is not None
            assert rebuilt.block == followed.block
            assert digest(rebuilt.head) == digest(followed.head)
            assert digest(rebuilt.final) == digest(followed.final)
    health = subject.follower.health()
    assert health.rebuilds == 1
    assert health.reorganisations > 0
    assert permitted[Purpose.TREAT] > 0
    assert permitted[Purpose.ETREAT] > 0
