"""A chain in memory that a node could tell of: blocks, logs, transactions, and an AccessLog that keeps its rules."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.chain.quantities import to_data, to_quantity
from app.chain.rpc import NodeRefusedError
from app.core.consent.basis import SELF, person, role_id
from app.core.consent.events import AccessLogged, ConsentGranted, Event, PatientClaimed, PatientEnrolled, RoleSet
from app.core.consent.fold import fold_all
from app.core.consent.state import GENESIS, State
from app.core.consent.terms import Action, Capacity, Effect, Purpose, Role, Terms, Window
from app.core.exported import to_line
from app.core.identifiers import (
    AccessRecordId,
    Address,
    BasisId,
    BlockHash,
    BlockRef,
    ConsentId,
    LogHead,
    PatientKey,
    Signer,
    StudyKey,
    StudyUid,
    UnixTime,
)
from app.core.keccak import keccak256
from app.core.record import AccessRecord, LoggedAccess, canonical, commit, encode_batch, genesis_head, next_head
from tests.core_consent.test_events import DEPLOYMENT, log_for

T0 = 1_900_000_000
LOG = DEPLOYMENT.address("AccessLog")
_RECORD_CALL = keccak256(b"record(uint64,bytes32,bytes)")[:4]
ALWAYS = Window(UnixTime(T0 - 1_000), UnixTime(T0 + 1_000_000))


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as the gateway keeps it."""

    record: AccessRecord
    body: bytes
    salt: bytes

    @property
    def logged(self) -> LoggedAccess:
        one = self.record
        return LoggedAccess(one.basis, one.actor, one.patient, one.block, commit(self.body, self.salt))

    @property
    def line(self) -> str:
        return to_line(self.body, self.salt)


@dataclass(slots=True)
class Ledger:
    """The chain. ``call`` answers as a node does."""

    rng: random.Random
    headers: list[tuple[BlockRef, UnixTime]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    transactions: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[tuple[int, Event]] = field(default_factory=list)
    seq: int = 0
    head: LogHead = field(init=False)
    largest_answer: int = 10_000
    asked: list[str] = field(default_factory=list)
    # What it tells instead of ``logs`` once it has been asked for some kinds of events only.
    told_next: list[dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        self.head = genesis_head(DEPLOYMENT.chain_id, LOG)
        self.headers.append((DEPLOYMENT.block, UnixTime(T0)))

    @property
    def last(self) -> BlockRef:
        return self.headers[-1][0]

    def mine(self, events: Iterable[Event] = (), body: bytes = b"", to: Address = LOG) -> BlockRef:
        """One more block, a few seconds later; all events in one transaction with this input."""
        number = len(self.headers)
        ref = BlockRef(number, BlockHash(self.rng.randbytes(32)))
        self.headers.append((ref, UnixTime(self.headers[-1][1] + self.rng.randrange(1, 20))))
        transaction = to_data(self.rng.randbytes(32))
        self.transactions[transaction] = {"hash": transaction, "to": to_data(to), "input": to_data(body)}
        for index, event in enumerate(events):
            place = {"blockNumber": to_quantity(number), "blockHash": to_data(ref.hash), "logIndex": to_quantity(index)}
            self.logs.append({**log_for(event), **place, "transactionHash": transaction})
            self.events.append((number, event))
        return ref

    def replace(self, event: Event, other: Event) -> None:
        """The chain says ``other`` where it said ``event``."""
        for log, (index, (number, said)) in zip(self.logs, list(enumerate(self.events)), strict=True):
            if said == event:
                self.events[index] = (number, other)
                log.update({name: log_for(other)[name] for name in ("topics", "data")})

    def state(self, number: int) -> State:
        return fold_all(GENESIS, [event for at, event in self.events if at <= number])

    def record(self, accesses: Sequence[LoggedAccess], to: Address = LOG) -> BlockRef:
        """AccessLog.record: the next batch."""
        batch = encode_batch(accesses)
        words = (self.seq, int.from_bytes(self.head, "big"), 96, len(batch))
        body = _RECORD_CALL + b"".join(word.to_bytes(32, "big") for word in words) + batch
        events = []
        for access in accesses:
            events.append(_event(access, self.seq))
            self.head = next_head(self.head, self.seq, access)
            self.seq += 1
        return self.mine(events, body + bytes(-len(batch) % 32), to)

    async def call(self, method: str, *params: object) -> object:
        self.asked.append(method)
        if method == "eth_getBlockByNumber":
            return self._block(params[0])
        if method == "eth_getLogs":
            return self._logs(params[0])
        if method == "eth_getTransactionByHash":
            return self.transactions.get(str(params[0]))
        assert method == "eth_call"
        wanted = params[0]
        assert isinstance(wanted, dict)
        assert wanted["to"] == to_data(LOG)
        answers = {
            to_data(keccak256(b"head()")[:4]): self.head,
            to_data(keccak256(b"nextSeq()")[:4]): self.seq.to_bytes(32, "big"),
        }
        return to_data(answers[wanted["data"]])

    def _block(self, which: object) -> object:
        number = len(self.headers) - 1 if which == "latest" else int(str(which), 16)
        ref, timestamp = self.headers[number]
        return {"number": to_quantity(ref.number), "hash": to_data(ref.hash), "timestamp": to_quantity(timestamp)}

    def _logs(self, wanted: object) -> object:
        assert isinstance(wanted, dict)
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        found = [log for log in self.logs if first <= int(log["blockNumber"], 16) <= last]
        if wanted["topics"]:
            found = [log for log in found if log["topics"][0] in wanted["topics"][0]]
            if self.told_next is not None:
                self.logs, self.told_next = self.told_next, None
        if len(found) > self.largest_answer:
            raise NodeRefusedError("the node", -32005, "too many logs", None)
        return found


def _event(access: LoggedAccess, seq: int) -> AccessLogged:
    return AccessLogged(access.basis, access.accessor, access.patient, seq, access.block, access.commitment)


@dataclass(slots=True)
class Hospital:
    """A ledger with a patient, two physicians and a gateway that keeps records."""

    ledger: Ledger
    rng: random.Random
    patient: PatientKey
    anna: Signer
    doctors: tuple[Address, Address]
    study: StudyKey
    everything: ConsentId
    one_study: ConsentId
    kept: list[Kept] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [one.line for one in self.kept]

    def keep(self, **change: Any) -> Kept:
        """The gateway records an access that the head permits; ``change`` makes it another."""
        block, timestamp = self.ledger.headers[-1]
        basis = self.rng.choice([self.everything, self.one_study, SELF])
        own = basis == SELF
        record = AccessRecord(
            record_id=AccessRecordId(self.rng.randbytes(16)),
            at=UnixTime(timestamp + self.rng.randrange(3)),
            at_us=self.rng.randrange(1_000_000),
            actor=Address(self.anna) if own else self.doctors[basis == self.one_study],
            session_tag=self.rng.randbytes(8),
            patient=self.patient,
            study=self.rng.choice([None, StudyUid("1.2.3")]),
            action=self.rng.choice([Action.SEARCH, Action.VIEW]),
            purpose=Purpose.PATRQT if own else Purpose.TREAT,
            basis=BasisId(basis),
            block=block,
            target="GET /studies",
            gateway="gate-1",
            study_key=self.rng.choice([None, self.study]),
        )
        record = replace(record, **change)
        kept = Kept(record, canonical(record), self.rng.randbytes(32))
        self.kept.append(kept)
        return kept

    def grant_of(self, name: ConsentId, doctor: Address, window: Window) -> ConsentGranted:
        """One more consent to everything, to find and view."""
        terms = Terms(
            patient=self.patient,
            grantee=person(doctor),
            effect=Effect.PERMIT,
            actions=Action.SEARCH | Action.VIEW,
            purposes=1 << Purpose.TREAT,
            window=window,
            studies=(),
            epoch=0,
            consent_nonce=name,
        )
        return ConsentGranted(name, terms, Address(self.anna), Capacity.CONTROLLER)

    def work(self, records: int, batches: int) -> None:
        """That many records in that many batches, with other things happening in between."""
        waiting: list[Kept] = []
        due = sorted(self.rng.sample(range(1, records), batches - 1))
        for index in range(records):
            waiting.append(self.keep())
            if self.rng.random() < 0.3:
                self.ledger.mine()
            if index + 1 in due or index + 1 == records:
                self.ledger.record([one.logged for one in waiting])
                waiting = []


def hospital(rng: random.Random) -> Hospital:
    """Everybody in their places, and a patient who consents."""
    ledger = Ledger(rng)
    patient, anna = PatientKey(rng.randbytes(32)), Signer(rng.randbytes(20))
    doctors = (Address(rng.randbytes(20)), Address(rng.randbytes(20)))
    study = StudyKey(rng.randbytes(32))
    everything, one_study = ConsentId(rng.randbytes(32)), ConsentId(rng.randbytes(32))
    ledger.mine([RoleSet(role_id(Role.PHYSICIAN), doctor, ALWAYS) for doctor in doctors])
    ledger.mine([PatientEnrolled(patient, Address(rng.randbytes(20)), UnixTime(T0))])
    ledger.mine([PatientClaimed(patient, Address(anna), anna)])
    terms = Terms(
        patient=patient,
        grantee=person(doctors[0]),
        effect=Effect.PERMIT,
        actions=Action.SEARCH | Action.VIEW,
        purposes=1 << Purpose.TREAT,
        window=ALWAYS,
        studies=(),
        epoch=0,
        consent_nonce=bytes(32),
    )
    narrow = replace(terms, grantee=person(doctors[1]), studies=(study,))
    grants = ((everything, terms), (one_study, narrow))
    ledger.mine([ConsentGranted(name, said, Address(anna), Capacity.CONTROLLER) for name, said in grants])
    ledger.mine()
    return Hospital(ledger, rng, patient, anna, doctors, study, everything, one_study)
