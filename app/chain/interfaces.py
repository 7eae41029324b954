"""The functions of each contract (docs/CHAIN.md): the calldata that each takes, and how its views' answers read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from eth_abi.exceptions import DecodingError

from app.chain.abi_codec import Functions
from app.chain.kept import (
    KeptConsent,
    KeptEmergency,
    KeptPatient,
    address_of,
    kept_consent,
    kept_emergency,
    kept_patient,
)
from app.chain.quantities import MalformedAnswerError
from app.core.consent.emergencies import Opening
from app.core.consent.events import NO_WARD
from app.core.consent.policy import AccessRequest
from app.core.consent.state import ActsAs
from app.core.consent.terms import Capacity, Finding, TeamPart, Terms, Window
from app.core.identifiers import (
    Address,
    BasisId,
    ConsentId,
    EmergencyId,
    Grantee,
    LogHead,
    PatientKey,
    RoleId,
    Signer,
    UnixTime,
)
from app.core.signing.messages import EmergencyReview, TeamChange

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, slots=True)
class CallData:
    """What a transaction does: whom it calls, with what."""

    to: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class View(Generic[T]):
    """A question to a contract, and how its answer reads."""

    call: CallData
    read: Callable[[tuple[Any, ...]], T]
    decode: Callable[[bytes], tuple[Any, ...]]

    def answer(self, returned: bytes) -> T:
        """Raises MalformedAnswerError when the data is not of the function's types."""
        try:
            return self.read(self.decode(returned))
        except (DecodingError, ValueError):
            raise MalformedAnswerError("the contract's answer is not of its types") from None


@dataclass(frozen=True, slots=True)
class _Contract:
    address: Address
    functions: Functions

    def call(self, name: str, *arguments: object) -> CallData:
        return CallData(self.address, self.functions[name].calldata(*arguments))

    def view(self, name: str, read: Callable[[tuple[Any, ...]], U], *arguments: object) -> View[U]:
        return View(self.call(name, *arguments), read, self.functions[name].answer)


class RolesContract(_Contract):
    """ConsentryRoles."""

    __slots__ = ()

    def set_role(self, role: RoleId, account: Address, window: Window) -> CallData:
        return self.call("setRole", role, account, window.start, window.end)

    def withdraw_role(self, role: RoleId, account: Address) -> CallData:
        return self.call("withdrawRole", role, account)

    def set_directory_entry(self, account: Address, entry: bytes) -> CallData:
        return self.call("setDirectoryEntry", account, entry)

    def holds(self, role: RoleId, account: Address) -> View[bool]:
        return self.view("holds", _one(bool), role, account)

    def window(self, role: RoleId, account: Address) -> View[Window]:
        return self.view("window", _window, role, account)

    def default_admin(self) -> View[Address]:
        return self.view("defaultAdmin", _one(address_of))


class PatientsContract(_Contract):
    """PatientRegistry."""

    __slots__ = ()

    def enrol(
        self, patient: PatientKey, claim_key: Address, claim_until: UnixTime, ward_until: UnixTime = NO_WARD
    ) -> CallData:
        """Without ``ward_until``, whoever claims acts for themselves."""
        return self.call("enrol", patient, claim_key, claim_until, ward_until)

    def erase(self, patient: PatientKey) -> CallData:
        return self.call("erase", patient)

    def claim(
        self,
        patient: PatientKey,
        controller: Signer,
        claim_signature: bytes,
        controller_signature: bytes,
        deadline: UnixTime,
        words_hash: bytes,
    ) -> CallData:
        return self.call("claim", patient, controller, claim_signature, controller_signature, deadline, words_hash)

    def start_move(self, patient: PatientKey, controller: Signer) -> CallData:
        return self.call("startMove", patient, controller)

    def veto_move(self, patient: PatientKey) -> CallData:
        return self.call("vetoMove", patient)

    def veto_move_by_signature(
        self, patient: PatientKey, signature: bytes, deadline: UnixTime, words_hash: bytes
    ) -> CallData:
        return self.call("vetoMoveBySignature", patient, signature, deadline, words_hash)

    def finish_move(self, patient: PatientKey, signature: bytes, deadline: UnixTime, words_hash: bytes) -> CallData:
        return self.call("finishMove", patient, signature, deadline, words_hash)

    def set_guardian(self, patient: PatientKey, guardian: Signer, until: UnixTime) -> CallData:
        return self.call("setGuardian", patient, guardian, until)

    def set_guardian_by_signature(
        self,
        patient: PatientKey,
        guardian: Signer,
        until: UnixTime,
        signature: bytes,
        deadline: UnixTime,
        words_hash: bytes,
    ) -> CallData:
        return self.call("setGuardianBySignature", patient, guardian, until, signature, deadline, words_hash)

    def move_delay_s(self) -> View[int]:
        return self.view("MOVE_DELAY", _one(int))

    def capacity_of(self, patient: PatientKey, actor: Address) -> View[Capacity]:
        return self.view("capacityOf", _one(Capacity), patient, actor)

    def may_act_as(self, patient: PatientKey, actor: Address) -> View[ActsAs]:
        return self.view("mayActAs", lambda outputs: ActsAs(*outputs), patient, actor)

    def is_enrolled(self, patient: PatientKey) -> View[bool]:
        return self.view("isEnrolled", _one(bool), patient)

    def controller_actor(self, patient: PatientKey) -> View[Address]:
        return self.view("controllerActor", _one(address_of), patient)

    def patient(self, patient: PatientKey) -> View[KeptPatient]:
        return self.view("patient", lambda outputs: kept_patient(outputs[0]), patient)


class TeamsContract(_Contract):
    """CareTeams."""

    __slots__ = ()

    def create(self, team: Grantee) -> CallData:
        return self.call("createTeam", team)

    def set_part(self, team: Grantee, account: Address, part: TeamPart, window: Window | None) -> CallData:
        return self.call("setPart", team, account, part, *_ends(window))

    def set_part_by_signature(
        self, change: TeamChange, words_hash: bytes, signer: Signer, signature: bytes
    ) -> CallData:
        window = (change.start, change.until)
        signed = (words_hash, change.deadline, signer, signature)
        return self.call("setPartBySignature", change.team, change.account, change.part, *window, *signed)

    def window(self, team: Grantee, account: Address, part: TeamPart) -> View[Window]:
        return self.view("partWindow", _window, team, account, part)

    def nonce(self, team: Grantee) -> View[int]:
        return self.view("teamNonce", _one(int), team)


class EmergenciesContract(_Contract):
    """EmergencyAccess."""

    __slots__ = ()

    def open(self, opening: Opening) -> CallData:
        return self.call("open", _opening(opening))

    def open_by_signature(self, opening: Opening, words_hash: bytes, signer: Signer, signature: bytes) -> CallData:
        return self.call("openBySignature", _opening(opening), words_hash, signer, signature)

    def review(self, emergency: EmergencyId, finding: Finding, note_hash: bytes) -> CallData:
        return self.call("review", emergency, finding, note_hash)

    def review_by_signature(
        self, review: EmergencyReview, words_hash: bytes, signer: Signer, signature: bytes
    ) -> CallData:
        said = (review.emergency, review.finding, review.note_hash)
        return self.call("reviewBySignature", *said, words_hash, review.deadline, signer, signature)

    def emergency_id(self, opening: Opening, actor: Address) -> View[EmergencyId]:
        return self.view("emergencyId", lambda outputs: EmergencyId(outputs[0]), _opening(opening), actor)

    def emergency(self, emergency: EmergencyId) -> View[KeptEmergency | None]:
        return self.view("emergency", lambda outputs: kept_emergency(outputs[0]), emergency)

    def open_for(self, patient: PatientKey, actor: Address) -> View[EmergencyId | None]:
        """The emergency that opens at the block's own time, or None."""
        read = _one(lambda emergency: EmergencyId(emergency) if any(emergency) else None)
        return self.view("openFor", read, patient, actor)

    def openings(self, actor: Address, day: int) -> View[int]:
        """How many of the actor's emergencies begin in that UTC day, counted from the start of 1970."""
        return self.view("openings", _one(int), actor, day)

    def max_duration_s(self) -> View[int]:
        return self.view("MAX_DURATION", _one(int))

    def quota(self) -> View[int]:
        return self.view("QUOTA", _one(int))


class ConsentsContract(_Contract):
    """ConsentRegistry."""

    __slots__ = ()

    def grant(self, terms: Terms) -> CallData:
        return self.call("grant", _terms(terms))

    def grant_by_signature(
        self, terms: Terms, words_hash: bytes, deadline: UnixTime, signer: Signer, signature: bytes
    ) -> CallData:
        return self.call("grantBySignature", _terms(terms), words_hash, deadline, signer, signature)

    def grant_all_by_signature(
        self, grants: Sequence[Terms], words_hash: bytes, deadline: UnixTime, signer: Signer, signature: bytes
    ) -> CallData:
        each = [_terms(terms) for terms in grants]
        return self.call("grantAllBySignature", each, words_hash, deadline, signer, signature)

    def revoke(self, patient: PatientKey, consent: ConsentId) -> CallData:
        return self.call("revoke", patient, consent)

    def revoke_by_signature(
        self,
        patient: PatientKey,
        consent: ConsentId,
        words_hash: bytes,
        deadline: UnixTime,
        signer: Signer,
        signature: bytes,
    ) -> CallData:
        return self.call("revokeBySignature", patient, consent, words_hash, deadline, signer, signature)

    def consent_id(self, terms: Terms) -> View[ConsentId]:
        return self.view("consentId", lambda outputs: ConsentId(outputs[0]), _terms(terms))

    def consent_ids(self, patient: PatientKey) -> View[tuple[ConsentId, ...]]:
        return self.view("consentIds", lambda outputs: tuple(map(ConsentId, outputs[0])), patient)

    def consent(self, patient: PatientKey, consent: ConsentId) -> View[KeptConsent]:
        return self.view("consent", lambda outputs: kept_consent(outputs[0]), patient, consent)

    def epoch(self, patient: PatientKey) -> View[int]:
        return self.view("epoch", _one(int), patient)

    def decide(self, asked: AccessRequest) -> View[BasisId | None]:
        """The basis of a permit, or None for a deny, at the block's own time."""
        question = (asked.actor, asked.patient, asked.study, asked.study_date or 0, asked.action, asked.purpose)
        return self.view("decide", lambda outputs: BasisId(outputs[1]) if outputs[0] else None, question)


class LogContract(_Contract):
    """AccessLog."""

    __slots__ = ()

    def record(self, expected_seq: int, prev_head: LogHead, batch: bytes) -> CallData:
        return self.call("record", expected_seq, prev_head, batch)

    def next_seq(self) -> View[int]:
        return self.view("nextSeq", _one(int))

    def head(self) -> View[LogHead]:
        return self.view("head", lambda outputs: LogHead(outputs[0]))


def _window(ends: tuple[Any, ...]) -> Window:
    return Window(UnixTime(ends[0]), UnixTime(ends[1]))


def _ends(window: Window | None) -> tuple[int, int]:
    return (0, 0) if window is None else (window.start, window.end)


def _one(read: Callable[[Any], U]) -> Callable[[tuple[Any, ...]], U]:
    """Reads the single output."""
    return lambda outputs: read(outputs[0])


def _opening(opening: Opening) -> tuple[object, ...]:
    return (opening.patient, opening.reason_hash, opening.window.start, opening.window.end, opening.salt)


def _terms(terms: Terms) -> tuple[object, ...]:
    return (
        terms.patient,
        terms.grantee,
        terms.effect,
        terms.actions,
        terms.purposes,
        terms.window.start,
        terms.window.end,
        terms.studies,
        terms.dates.first,
        terms.dates.last,
        terms.parent,
        terms.share_depth,
        terms.epoch,
        terms.consent_nonce,
    )
