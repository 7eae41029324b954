"""Logs read by hand, against a general encoder working from the contracts' ABIs."""

import random
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode

from app.chain.artefacts import NAMES, load
from app.chain.deployment import Contract, Deployment
from app.chain.events import EventReader, place_of
from app.chain.quantities import MalformedAnswerError, to_data
from app.core.consent.basis import actor_of
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
from app.core.consent.terms import Window
from app.core.identifiers import Address, BasisId, BlockHash, BlockRef, Commitment, RoleId, Signer, TxHash, UnixTime
from app.core.keccak import keccak256
from tests.core_consent.model import Maker

DEPLOYMENT = Deployment(
    31337,
    BlockRef(0, BlockHash(bytes(32))),
    {name: Contract(Address(bytes([mark]) * 20), "", bytes(32)) for mark, name in enumerate(NAMES, start=1)},
)
ABI = {entry["name"]: (name, entry) for name in NAMES for entry in load(name).abi if entry["type"] == "event"}
READER = EventReader(DEPLOYMENT)


def log_of(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The log as a node would give it."""
    contract, entry = ABI[name]
    types = [item["type"] for item in entry["inputs"]]
    topics = [keccak256(f"{name}({','.join(types)})".encode())]
    body: list[tuple[str, Any]] = []
    for item in entry["inputs"]:
        value = values[item["name"]]
        if item["indexed"]:
            topics.append(encode([item["type"]], [value]))
        else:
            body.append((item["type"], value))
    return {
        "address": to_data(DEPLOYMENT.address(contract)),
        "topics": [to_data(topic) for topic in topics],
        "data": to_data(encode([kind for kind, _ in body], [value for _, value in body])),
        "blockNumber": "0x10",
        "blockHash": to_data(b"\x0e" * 32),
        "logIndex": "0x2",
        "transactionHash": to_data(b"\x0f" * 32),
        "removed": False,
    }


def log_for(event: Event) -> dict[str, Any]:  # noqa: C901, PLR0911, PLR0912 - one for each kind
    """The log that says this event."""
    match event:
        case RoleSet(role, account, window):
            ends = {"validFrom": window.start, "validUntil": window.end}
            return log_of("RoleSet", {"role": role, "account": account, **ends})
        case RoleWithdrawn(role, account):
            return log_of("RoleWithdrawn", {"role": role, "account": account})
        case DirectoryEntrySet(account, entry):
            return log_of("DirectoryEntrySet", {"account": account, "entryHash": entry})
        case PatientEnrolled(patient, claim_key, until, ward_until):
            values = {"patientKey": patient, "claimKey": claim_key, "claimUntil": until, "wardUntil": ward_until}
            return log_of("PatientEnrolled", values)
        case PatientClaimed(patient, actor, controller):
            return log_of("PatientClaimed", {"patientKey": patient, "actor": actor, "controller": controller})
        case ControllerMoved(patient, actor, controller, ward_until):
            values = {"patientKey": patient, "actor": actor, "controller": controller, "wardUntil": ward_until}
            return log_of("ControllerMoved", values)
        case PatientErased(patient):
            return log_of("PatientErased", {"patientKey": patient})
        case EmergencyOpened(patient, emergency, actor, reason_hash, window, salt):
            values = {"patientKey": patient, "emergencyId": emergency, "actor": actor, "reasonHash": reason_hash}
            ends = {"validFrom": window.start, "validUntil": window.end}
            return log_of("EmergencyOpened", {**values, **ends, "salt": salt})
        case EmergencyReviewed(patient, emergency, reviewer, finding, note_hash):
            values = {"patientKey": patient, "emergencyId": emergency, "reviewer": reviewer}
            return log_of("EmergencyReviewed", {**values, "finding": finding, "noteHash": note_hash})
        case MoveStarted(patient, controller, ready_at):
            values = {"patientKey": patient, "newController": controller, "readyAt": ready_at}
            return log_of("MoveStarted", values)
        case MoveVetoed(patient):
            return log_of("MoveVetoed", {"patientKey": patient})
        case GuardianSet(patient, actor, guardian, until):
            values = {"patientKey": patient, "actor": actor, "guardian": guardian, "validUntil": until}
            return log_of("GuardianSet", values)
        case ConsentRevoked(patient, consent, grantor, capacity, epoch):
            values = {"patientKey": patient, "consentId": consent, "grantor": grantor}
            return log_of("ConsentRevoked", {**values, "capacity": capacity, "epoch": epoch})
        case AccessLogged(basis, accessor, patient, seq, block, commitment):
            values = {"basis": basis, "accessor": accessor, "patientKey": patient, "seq": seq}
            place = {"decisionBlock": block.number, "decisionBlockHash": block.hash}
            return log_of("AccessLogged", {**values, **place, "commitment": commitment})
        case ConsentGranted(consent, terms, grantor, capacity):
            values = {"patientKey": terms.patient, "consentId": consent, "grantee": terms.grantee}
            said = {"effect": terms.effect, "actions": terms.actions, "purposes": terms.purposes}
            when = {"validFrom": terms.window.start, "validUntil": terms.window.end, "studies": list(terms.studies)}
            when |= {"dateFrom": terms.dates.first, "dateTo": terms.dates.last, "parent": terms.parent}
            said |= {"shareDepth": terms.share_depth}
            rest = {"epoch": terms.epoch, "salt": terms.consent_nonce, "grantor": grantor, "capacity": capacity}
            return log_of("ConsentGranted", {**values, **said, **when, **rest})
        case TeamCreated(team):
            return log_of("TeamCreated", {"team": team})
        case TeamPartSet(team, account, part, window, nonce):
            ends = {"validFrom": UnixTime(0), "validUntil": UnixTime(0)}
            if window is not None:
                ends = {"validFrom": window.start, "validUntil": window.end}
            values = {"team": team, "account": account, "part": part, "teamNonce": nonce}
            return log_of("TeamPartSet", {**values, **ends})


def some_events(rng: random.Random) -> list[Event]:
    """Random events of every kind, with signers of odd lengths among them."""
    events = [event for _ in range(8) for event in Maker(rng).history(120)]
    for length in (20, 21, 31, 32, 33, 64, 84, 640):
        signer = Signer(rng.randbytes(length))
        patient = Maker(rng).patients[0]
        events += [PatientClaimed(patient, actor_of(signer), signer), MoveStarted(patient, signer, UnixTime(length))]
        events.append(GuardianSet(patient, actor_of(signer), signer, UnixTime((1 << 48) - 1)))
        block = BlockRef((1 << 64) - 1, BlockHash(rng.randbytes(32)))
        commitment = Commitment(rng.randbytes(32))
        basis = BasisId(rng.randbytes(32))
        events.append(AccessLogged(basis, Address(rng.randbytes(20)), patient, rng.getrandbits(64), block, commitment))
    return events


def test_every_event_reads_as_the_abi_says(rng: random.Random) -> None:
    kinds = set()
    for event in some_events(rng):
        assert READER.read(log_for(event)) == event
        kinds.add(type(event).__name__)
    assert len(kinds) == 17


def test_every_event_of_the_contracts_is_known() -> None:
    """A new event in a contract must be read or named as one to leave aside."""
    samples = {"bytes32": bytes(32), "address": bytes(20), "uint48": 1, "bytes": b"", "bytes32[]": []}
    ours = {event.__name__ for event in _KINDS}
    for name, (contract, entry) in ABI.items():
        if name in ours or name == "EIP712DomainChanged":
            continue
        assert contract == "ConsentryRoles"
        values = {item["name"]: samples[item["type"]] for item in entry["inputs"]}
        assert READER.read(log_of(name, values)) is None
    assert ours <= set(ABI)


_KINDS = (
    *(RoleSet, RoleWithdrawn, DirectoryEntrySet, PatientEnrolled, PatientClaimed, MoveStarted, MoveVetoed),
    *(ControllerMoved, GuardianSet, ConsentGranted, ConsentRevoked, AccessLogged, TeamCreated, TeamPartSet),
    *(PatientErased, EmergencyOpened, EmergencyReviewed),
)


def _mangle(how: str, log: dict[str, Any]) -> dict[str, Any]:
    """The log with one thing wrong that a lenient reader would let through."""
    topics, body = list(log["topics"]), log["data"]
    changes: dict[str, dict[str, Any]] = {
        "unknown topic": {"topics": [to_data(b"\x01" * 32), *topics[1:]]},
        "no topic": {"topics": []},
        "a topic more": {"topics": [*topics, topics[0]]},
        "a topic fewer": {"topics": topics[:-1]},
        "a short topic": {"topics": [*topics[:-1], topics[-1][:-2]]},
        "another contract": {"address": to_data(b"\x09" * 20)},
        "a sister contract": {"address": to_data(_sister(log))},
        "data cut short": {"data": body[:-2]},
        "data with more": {"data": body + "00" * 32},
        "data that is none": {"data": body + "zz"},
    }
    return {**log, **changes[how]}


def _sister(log: dict[str, Any]) -> Address:
    mark = int(log["address"][2:4], 16)
    return Address(bytes([mark % len(NAMES) + 1]) * 20)


@pytest.mark.parametrize(
    "how",
    [
        *("unknown topic", "no topic", "a topic more", "a topic fewer", "a short topic", "another contract"),
        *("a sister contract", "data with more", "data that is none", "data cut short"),
    ],
)
def test_a_log_that_is_not_exact_is_refused(rng: random.Random, how: str) -> None:
    seen: dict[type, Event] = {type(event): event for event in some_events(rng)}
    for event in seen.values():
        log = log_for(event)
        if how == "data cut short" and log["data"] == "0x":
            continue
        with pytest.raises(MalformedAnswerError):
            READER.read(_mangle(how, log))


def _with_word(log: dict[str, Any], index: int, word: bytes) -> dict[str, Any]:
    body = bytearray.fromhex(log["data"][2:])
    body[32 * index : 32 * index + 32] = word
    return {**log, "data": to_data(bytes(body))}


def _number(value: int) -> bytes:
    return value.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("kind", "index", "word"),
    [
        (RoleSet, 0, _number(1 << 48)),
        (PatientEnrolled, 0, b"\x01" + bytes(31)),
        (PatientEnrolled, 1, _number(1 << 48)),
        (PatientEnrolled, 2, _number(1 << 48)),
        (ControllerMoved, 0, _number(32)),
        (ControllerMoved, 1, _number(1 << 48)),
        (EmergencyOpened, 1, _number(1 << 48)),
        (EmergencyOpened, 2, _number(1 << 48)),
        (EmergencyReviewed, 0, _number(0)),
        (EmergencyReviewed, 0, _number(3)),
        (EmergencyReviewed, 0, _number(257)),
        (PatientClaimed, 0, _number(64)),
        (PatientClaimed, 1, _number(19)),
        (PatientClaimed, 1, _number(1 << 200)),
        (PatientClaimed, 2, b"\x01" * 32),
        (MoveStarted, 0, _number(32)),
        (GuardianSet, 1, b"\xff" * 32),
        (ConsentGranted, 0, _number(2)),
        (ConsentGranted, 1, _number(256)),
        (ConsentGranted, 2, _number(1 << 16)),
        (ConsentGranted, 3, b"\xff" * 32),
        (ConsentGranted, 5, _number(480)),
        (ConsentGranted, 6, _number(1 << 32)),
        (ConsentGranted, 7, _number(1 << 32)),
        (ConsentGranted, 9, _number(1 << 8)),
        (ConsentGranted, 10, _number(1 << 32)),
        (ConsentGranted, 12, b"\xff" * 32),
        (ConsentGranted, 13, _number(0)),
        (ConsentGranted, 13, _number(4)),
        (ConsentGranted, 14, _number(64)),
        (ConsentGranted, 14, _number(65)),
        (ConsentGranted, 14, b"\xff" * 32),
        (TeamPartSet, 0, _number(0)),
        (TeamPartSet, 0, _number(3)),
        (TeamPartSet, 1, _number(1 << 48)),
        (TeamPartSet, 3, _number(1 << 32)),
        (ConsentRevoked, 0, b"\xff" * 32),
        (ConsentRevoked, 1, _number(0)),
        (ConsentRevoked, 1, _number(3)),
        (ConsentRevoked, 2, _number(1 << 32)),
        (AccessLogged, 0, _number(1 << 64)),
        (AccessLogged, 1, _number(1 << 64)),
    ],
)
def test_a_value_that_does_not_fit_is_refused(rng: random.Random, kind: type[Event], index: int, word: bytes) -> None:
    event = next(event for event in some_events(rng) if isinstance(event, kind))
    if isinstance(event, PatientClaimed):
        event = replace(event, controller=Signer(b"\x01" * 20))
    with pytest.raises(MalformedAnswerError):
        READER.read(_with_word(log_for(event), index, word))


def test_an_indexed_address_with_padding_is_refused() -> None:
    event = RoleSet(RoleId(bytes(32)), Address(b"\x01" * 20), Window(UnixTime(1), UnixTime(2)))
    log = log_for(event)
    log["topics"][2] = to_data(b"\x01" * 32)
    with pytest.raises(MalformedAnswerError):
        READER.read(log)


def test_where_a_log_stands() -> None:
    log = log_for(MoveVetoed(Maker(random.Random(1)).patients[0]))
    place = place_of(log)
    assert place.block == BlockRef(16, BlockHash(b"\x0e" * 32))
    assert (place.index, place.transaction) == (2, TxHash(b"\x0f" * 32))
    for change in ({"removed": True}, {"blockNumber": None}, {"blockHash": "0x"}, {"logIndex": "0x02"}):
        with pytest.raises(MalformedAnswerError):
            place_of({**log, **change})
    with pytest.raises(MalformedAnswerError):
        place_of(None)
    with pytest.raises(MalformedAnswerError):
        READER.read([])
