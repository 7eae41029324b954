"""Raw logs to events, by hand: topics and data are sliced, strictly (80 times faster than a general ABI decoder).

Only our own contracts' logs may be handed over. A topic that the contract does not have, a length that is not exact or
padding that is not zero raises: then the node lies or the contracts are not ours, and nothing may be skipped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from app.chain.deployment import Deployment
from app.chain.quantities import MalformedAnswerError, address, block_hash, data, fields, items, quantity, tx_hash
from app.core.consent.events import (
    AccessLogged,
    ConsentGranted,
    ConsentRevoked,
    ControllerMoved,
    DirectoryEntrySet,
    EmergencyOpened,
    EmergencyReviewed,
    Event,
    GuardianSet,
    MoveStarted,
    MoveVetoed,
    PatientClaimed,
    PatientEnrolled,
    PatientErased,
    RoleSet,
    RoleWithdrawn,
    TeamCreated,
    TeamPartSet,
)
from app.core.consent.terms import MAX_STUDIES, Action, Capacity, DateSpan, Effect, Finding, TeamPart, Terms, Window
from app.core.identifiers import (
    Address,
    BasisId,
    BlockHash,
    BlockRef,
    Commitment,
    ConsentId,
    EmergencyId,
    Grantee,
    PatientKey,
    RoleId,
    Signer,
    StudyKey,
    TxHash,
    UnixTime,
)
from app.core.keccak import keccak256

_WORD = 32
_ADDRESS_PADDING = bytes(12)

# Indexed values after the event's own topic, and data, to the event.
_Read = Callable[[Sequence[bytes], bytes], Event]


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where a log stands on the chain. ``index`` counts the logs of the whole block."""

    block: BlockRef
    index: int
    transaction: TxHash


class EventReader:
    """Reads the logs of one deployment."""

    __slots__ = ("_readers",)

    def __init__(self, deployment: Deployment) -> None:
        self._readers: Mapping[Address, Mapping[bytes, _Read | None]] = {
            deployment.address(contract): {keccak256(text.encode()): read for text, read in table.items()}
            for contract, table in _TABLES.items()
        }

    def read(self, log: object) -> Event | None:
        """The event of one log object of JSON-RPC, or None for one that says nothing about who may do what.

        Raises MalformedAnswerError.
        """
        members = fields(log, "a log")
        topics = [data(topic, "a topic", _WORD) for topic in items(members.get("topics"), "a log's topics")]
        return self.event(
            address(members.get("address"), "a log's address"), topics, data(members.get("data"), "a log's data")
        )

    def event(self, contract: Address, topics: Sequence[bytes], body: bytes) -> Event | None:
        """The same for a log that is taken apart already. Raises MalformedAnswerError."""
        readers = self._readers.get(contract)
        if readers is None:
            raise MalformedAnswerError("a log of a contract that is not ours")
        if not topics or topics[0] not in readers:
            raise MalformedAnswerError("a log of an event that the contract does not have")
        read = readers[topics[0]]
        return None if read is None else read(topics[1:], body)


def place_of(log: object) -> LogPlace:
    """Where the log stands. Raises MalformedAnswerError, also for a log that the node says was removed."""
    members = fields(log, "a log")
    if members.get("removed", False) is not False:
        raise MalformedAnswerError("a log that was removed")
    number = quantity(members.get("blockNumber"), "a log's block number")
    block = BlockRef(number, BlockHash(block_hash(members.get("blockHash"), "a log's block hash")))
    return LogPlace(block, quantity(members.get("logIndex"), "a log's index"), tx_hash(members.get("transactionHash")))


def _role_set(topics: Sequence[bytes], body: bytes) -> Event:
    role, account = _indexed(topics, 2)
    start, end = _words(body, 2)
    return RoleSet(RoleId(role), _address(account), Window(_time(start), _time(end)))


def _role_withdrawn(topics: Sequence[bytes], body: bytes) -> Event:
    role, account = _indexed(topics, 2)
    _words(body, 0)
    return RoleWithdrawn(RoleId(role), _address(account))


def _directory_entry_set(topics: Sequence[bytes], body: bytes) -> Event:
    (account,) = _indexed(topics, 1)
    (entry,) = _words(body, 1)
    return DirectoryEntrySet(_address(account), entry)


def _team_created(topics: Sequence[bytes], body: bytes) -> Event:
    (team,) = _indexed(topics, 1)
    _words(body, 0)
    return TeamCreated(Grantee(team))


def _team_part_set(topics: Sequence[bytes], body: bytes) -> Event:
    team, account = _indexed(topics, 2)
    part, start, end, nonce = _words(body, 4)
    number = _uint(part, 8)
    if number not in {TeamPart.MEMBER, TeamPart.LEAD}:
        raise MalformedAnswerError("a log's part in a team is unknown")
    window = Window(_time(start), _time(end)) if any(end) else None
    return TeamPartSet(Grantee(team), _address(account), TeamPart(number), window, _uint(nonce, 32))


def _patient_enrolled(topics: Sequence[bytes], body: bytes) -> Event:
    (patient,) = _indexed(topics, 1)
    claim_key, until, ward_until = _words(body, 3)
    return PatientEnrolled(PatientKey(patient), _address(claim_key), _time(until), _time(ward_until))


def _patient_erased(topics: Sequence[bytes], body: bytes) -> Event:
    (patient,) = _indexed(topics, 1)
    _words(body, 0)
    return PatientErased(PatientKey(patient))


def _patient_claimed(topics: Sequence[bytes], body: bytes) -> Event:
    patient, actor = _indexed(topics, 2)
    _, controller = _with_signer(body, 1)
    return PatientClaimed(PatientKey(patient), _address(actor), controller)


def _move_started(topics: Sequence[bytes], body: bytes) -> Event:
    (patient,) = _indexed(topics, 1)
    (ready_at,), controller = _with_signer(body, 2)
    return MoveStarted(PatientKey(patient), controller, _time(ready_at))


def _move_vetoed(topics: Sequence[bytes], body: bytes) -> Event:
    (patient,) = _indexed(topics, 1)
    _words(body, 0)
    return MoveVetoed(PatientKey(patient))


def _controller_moved(topics: Sequence[bytes], body: bytes) -> Event:
    patient, actor = _indexed(topics, 2)
    (ward_until,), controller = _with_signer(body, 2)
    return ControllerMoved(PatientKey(patient), _address(actor), controller, _time(ward_until))


def _guardian_set(topics: Sequence[bytes], body: bytes) -> Event:
    patient, actor = _indexed(topics, 2)
    (until,), guardian = _with_signer(body, 2)
    return GuardianSet(PatientKey(patient), _address(actor), guardian, _time(until))


def _consent_granted(topics: Sequence[bytes], body: bytes) -> Event:
    patient, consent, grantee = _indexed(topics, 3)
    # Fourteen words, the sixth of them the place of the studies, which follow as their count and themselves.
    count = _uint(body[14 * _WORD : 15 * _WORD], 8)
    words = _words(body, 15 + min(count, MAX_STUDIES))
    effect, actions, purposes, start, end, place, first, last, parent, depth = words[:10]
    epoch, consent_nonce, grantor, capacity, _ = words[10:15]
    if count > MAX_STUDIES or _uint(place, 16) != 14 * _WORD:
        raise MalformedAnswerError("a log's studies are not where they must be")
    terms = Terms(
        patient=PatientKey(patient),
        grantee=Grantee(grantee),
        effect=Effect(_uint(effect, 1)),
        actions=Action(_uint(actions, 8)),
        purposes=_uint(purposes, 16),
        window=Window(_time(start), _time(end)),
        studies=tuple(StudyKey(study) for study in words[15:]),
        epoch=_uint(epoch, 32),
        consent_nonce=consent_nonce,
        dates=DateSpan(_uint(first, 32), _uint(last, 32)),
        parent=ConsentId(parent),
        share_depth=_uint(depth, 8),
    )
    return ConsentGranted(ConsentId(consent), terms, _address(grantor), _capacity(capacity, Capacity.GRANTEE))


def _consent_revoked(topics: Sequence[bytes], body: bytes) -> Event:
    patient, consent = _indexed(topics, 2)
    grantor, capacity, epoch = _words(body, 3)
    return ConsentRevoked(
        PatientKey(patient),
        ConsentId(consent),
        _address(grantor),
        _capacity(capacity, Capacity.GUARDIAN),
        _uint(epoch, 32),
    )


def _emergency_opened(topics: Sequence[bytes], body: bytes) -> Event:
    patient, emergency, actor = _indexed(topics, 3)
    reason_hash, start, end, salt = _words(body, 4)
    window = Window(_time(start), _time(end))
    return EmergencyOpened(PatientKey(patient), EmergencyId(emergency), _address(actor), reason_hash, window, salt)


def _emergency_reviewed(topics: Sequence[bytes], body: bytes) -> Event:
    patient, emergency, reviewer = _indexed(topics, 3)
    finding, note_hash = _words(body, 2)
    number = _uint(finding, 8)
    if number not in {Finding.JUSTIFIED, Finding.NOT_JUSTIFIED}:
        raise MalformedAnswerError("a log's finding is unknown")
    return EmergencyReviewed(
        PatientKey(patient), EmergencyId(emergency), _address(reviewer), Finding(number), note_hash
    )


def _access_logged(topics: Sequence[bytes], body: bytes) -> Event:
    basis, accessor, patient = _indexed(topics, 3)
    seq, number, decision_hash, commitment = _words(body, 4)
    block = BlockRef(_uint(number, 64), BlockHash(decision_hash))
    return AccessLogged(
        BasisId(basis), _address(accessor), PatientKey(patient), _uint(seq, 64), block, Commitment(commitment)
    )


def _indexed(topics: Sequence[bytes], count: int) -> Sequence[bytes]:
    if len(topics) != count:
        raise MalformedAnswerError("a log does not have its number of topics")
    return topics


def _words(body: bytes, count: int) -> list[bytes]:
    if len(body) != count * _WORD:
        raise MalformedAnswerError("a log's data does not have its length")
    return [body[at : at + _WORD] for at in range(0, len(body), _WORD)]


def _with_signer(body: bytes, head_words: int) -> tuple[list[bytes], Signer]:
    """The static words and the one ``bytes``: its place is the first word, and it follows them padded with zeros."""
    head_bytes = head_words * _WORD
    start = head_bytes + _WORD
    length = _uint(body[head_bytes:start], 16)
    padded = -(-length // _WORD) * _WORD
    place, *static = _words(body[:head_bytes], head_words)
    if _uint(place, 16) != head_bytes or len(body) != start + padded or any(body[start + length :]):
        raise MalformedAnswerError("a log's bytes are not where they must be")
    return static, Signer(body[start : start + length])


def _uint(word: bytes, bits: int) -> int:
    value = int.from_bytes(word, "big")
    if len(word) != _WORD or value >> bits:
        raise MalformedAnswerError("a log's number is too large")
    return value


def _time(word: bytes) -> UnixTime:
    return UnixTime(_uint(word, 48))


def _address(word: bytes) -> Address:
    if not word.startswith(_ADDRESS_PADDING):
        raise MalformedAnswerError("a log's address is too long")
    return Address(word[12:])


def _capacity(word: bytes, last: Capacity) -> Capacity:
    value = _uint(word, 8)
    if not Capacity.CONTROLLER <= value <= last:
        raise MalformedAnswerError("a log's capacity is unknown")
    return Capacity(value)


# None: OpenZeppelin's own, about the default admin's succession, which decides over nobody's access.
_TABLES: Mapping[str, Mapping[str, _Read | None]] = {
    "ConsentryRoles": {
        "RoleSet(bytes32,address,uint48,uint48)": _role_set,
        "RoleWithdrawn(bytes32,address)": _role_withdrawn,
        "DirectoryEntrySet(address,bytes32)": _directory_entry_set,
        "RoleGranted(bytes32,address,address)": None,
        "RoleRevoked(bytes32,address,address)": None,
        "RoleAdminChanged(bytes32,bytes32,bytes32)": None,
        "DefaultAdminTransferScheduled(address,uint48)": None,
        "DefaultAdminTransferCanceled()": None,
        "DefaultAdminDelayChangeScheduled(uint48,uint48)": None,
        "DefaultAdminDelayChangeCanceled()": None,
    },
    "PatientRegistry": {
        "PatientEnrolled(bytes32,address,uint48,uint48)": _patient_enrolled,
        "PatientClaimed(bytes32,address,bytes)": _patient_claimed,
        "MoveStarted(bytes32,bytes,uint48)": _move_started,
        "MoveVetoed(bytes32)": _move_vetoed,
        "ControllerMoved(bytes32,address,bytes,uint48)": _controller_moved,
        "PatientErased(bytes32)": _patient_erased,
        "GuardianSet(bytes32,address,bytes,uint48)": _guardian_set,
    },
    "CareTeams": {
        "TeamCreated(bytes32)": _team_created,
        "TeamPartSet(bytes32,address,uint8,uint48,uint48,uint32)": _team_part_set,
    },
    "EmergencyAccess": {
        "EmergencyOpened(bytes32,bytes32,address,bytes32,uint48,uint48,bytes32)": _emergency_opened,
        "EmergencyReviewed(bytes32,bytes32,address,uint8,bytes32)": _emergency_reviewed,
    },
    "ConsentRegistry": {
        (
            "ConsentGranted(bytes32,bytes32,bytes32,uint8,uint8,uint16,uint48,uint48,bytes32[],uint32,uint32,"
            "bytes32,uint8,uint32,bytes32,address,uint8)"
        ): _consent_granted,
        "ConsentRevoked(bytes32,bytes32,address,uint8,uint32)": _consent_revoked,
    },
    "AccessLog": {
        "AccessLogged(bytes32,address,bytes32,uint64,uint64,bytes32,bytes32)": _access_logged,
    },
}
