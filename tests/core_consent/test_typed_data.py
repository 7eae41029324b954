"""EIP-712 documents: made as a wallet library understands them, and taken back only exactly as made."""

import copy
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from eth_account.messages import encode_typed_data

from app.core.consent.basis import person
from app.core.consent.emergencies import Opening
from app.core.consent.terms import Action, DateSpan, Effect, Finding, Purpose, TeamPart, Terms, Window
from app.core.identifiers import Address, ConsentId, EmergencyId, Grantee, PatientKey, Signer, StudyKey, UnixTime
from app.core.keccak import keccak256
from app.core.signing.message_kinds import KINDS
from app.core.signing.messages import (
    Claim,
    ConsentOffer,
    ConsentOffers,
    EmergencyAccess,
    EmergencyReview,
    GuardianChange,
    Message,
    MoveAcceptance,
    MoveVeto,
    Revocation,
    TeamChange,
)
from app.core.signing.typed_data import Domains, Parsed, Refusal, digest, parse, payload
from app.core.signing.words import NO_NAMES, words_for

PATIENTS, CONSENTS, TEAMS, EMERGENCIES = (Address(bytes([mark]) * 20) for mark in (0xAB, 0xCD, 0xEF, 0xFE))
DOMAINS = Domains(1, PATIENTS, CONSENTS, TEAMS, EMERGENCIES)
PATIENT = PatientKey(b"\x01" * 32)
WALLET = Signer(b"\x02" * 20)
PASSKEY = Signer(b"\x03" * 84)
DEADLINE = UnixTime(1_900_000_000)
TERMS = Terms(
    patient=PATIENT,
    grantee=person(Address(b"\x04" * 20)),
    effect=Effect.PERMIT,
    actions=Action.SEARCH | Action.VIEW,
    purposes=1 << Purpose.TREAT | 1 << Purpose.COC,
    window=Window(UnixTime(1_800_000_000), UnixTime(1_850_000_000)),
    studies=(StudyKey(b"\x05" * 32), StudyKey(b"\x06" * 32)),
    epoch=3,
    consent_nonce=b"\x07" * 32,
)
TEAM = Grantee(b"\x08" * 32)
SHARED = replace(
    TERMS,
    actions=Action.SEARCH | Action.SHARE,
    dates=DateSpan(20200229, 20251231),
    parent=ConsentId(b"\x0a" * 32),
    share_depth=2,
)
OPENING = Opening(PATIENT, b"\x0c" * 32, Window(UnixTime(1_800_000_000), UnixTime(1_800_014_400)), b"\x0d" * 32)
MESSAGES: list[Message] = [
    Claim(PATIENT, WALLET, DEADLINE),
    MoveVeto(PATIENT, 1, DEADLINE),
    MoveAcceptance(PATIENT, PASSKEY, 2, DEADLINE),
    GuardianChange(PATIENT, WALLET, UnixTime(2_000_000_000), 0, DEADLINE),
    GuardianChange(PATIENT, Signer(b""), UnixTime(0), 4, DEADLINE),
    ConsentOffer(TERMS, DEADLINE),
    ConsentOffer(replace(TERMS, effect=Effect.DENY, studies=(), grantee=Grantee(b"\x08" * 32)), DEADLINE),
    Revocation(PATIENT, ConsentId(b"\x09" * 32), DEADLINE),
    ConsentOffer(SHARED, DEADLINE),
    ConsentOffers((TERMS, SHARED), DEADLINE),
    TeamChange(
        TEAM, Address(b"\x0b" * 20), TeamPart.MEMBER, UnixTime(1_800_000_000), UnixTime(1_850_000_000), 3, DEADLINE
    ),
    TeamChange(TEAM, Address(b"\x0b" * 20), TeamPart.LEAD, UnixTime(0), UnixTime(0), 4, DEADLINE),
    EmergencyAccess(OPENING),
    EmergencyReview(EmergencyId(b"\x0e" * 32), Finding.NOT_JUSTIFIED, bytes(32), DEADLINE),
]
NAMES = [type(message).__name__ for message in MESSAGES]


def document_of(message: Message) -> dict[str, Any]:
    """As it comes back over the wire."""
    made: dict[str, Any] = json.loads(json.dumps(payload(message, words_for(message, NO_NAMES), DOMAINS)))
    return made


def test_every_kind_of_message_is_here() -> None:
    assert {type(message) for message in MESSAGES} == set(KINDS)


@pytest.mark.parametrize("message", MESSAGES, ids=NAMES)
def test_the_digest_is_that_of_a_wallet_library(message: Message) -> None:
    signable = encode_typed_data(full_message=document_of(message))
    expected = keccak256(b"\x19" + signable.version + signable.header + signable.body)
    assert digest(message, words_for(message, NO_NAMES), DOMAINS) == expected


@pytest.mark.parametrize("message", MESSAGES, ids=NAMES)
def test_a_document_comes_back_as_the_message(message: Message) -> None:
    assert parse(document_of(message), DOMAINS) == Parsed(message, words_for(message, NO_NAMES))


@pytest.mark.parametrize("message", MESSAGES, ids=NAMES)
def test_digests_are_for_one_chain_one_contract_and_these_words(message: Message) -> None:
    words = words_for(message, NO_NAMES)
    digests = {
        digest(message, words, DOMAINS),
        digest(message, words + " ", DOMAINS),
        digest(message, words, replace(DOMAINS, chain_id=2)),
        digest(message, words, Domains(1, CONSENTS, TEAMS, EMERGENCIES, PATIENTS)),
    }
    assert len(digests) == 4


# What other readers let through, by the type of the member it is written into.
WRONG: dict[str, list[object]] = {
    "string": [1, None, ["a"], "two\nlines", "\ud800", "turned\u202earound", "\x00"],
    "uint": [-1, 1.0, "1", "0x1", True, None, 1 << 48, [1], 1e3],
    "bytes32": ["", "0x", "0x01", "0x" + "1" * 63, "0x" + "1" * 66, "1" * 64, "0x" + "A1" * 32, "0X" + "11" * 32],
    "bytes32 ": [None, 1, "0x" + "zz" * 32, "0x" + " 1" * 32, ["0x" + "11" * 32], "0x" + "11" * 31 + "1_"],
    "bytes": ["0x1", "", None, 1, "0xABCD", "0x" + "11" * 19, "0x" + "11" * 641, "0x" + "00" * 84, "abcd"],
    "bytes32[]": ["0x", None, {}, ["0x"], [None], ["0x" + "11" * 31], "0x" + "11" * 32],
    "Grant[]": ["0x", None, {}, ["0x"], [None], [{}], [{"patientKey": "0x" + "11" * 32}], []],
    "address": [("0x" + "Ab" * 20), "0x" + "ab" * 19, 1, None],
}


def _wrong_for(type_name: str) -> list[object]:
    return [value for key, values in WRONG.items() for value in values if key.strip() == type_name]


@pytest.mark.parametrize("message", MESSAGES, ids=NAMES)
def test_every_member_is_read_strictly(message: Message) -> None:
    document = document_of(message)
    tried = 0
    for part, members in (("message", document["types"][document["primaryType"]]), ("domain", _domain_members())):
        for member in members:
            name, type_name = member["name"], member["type"]
            if not (type_name == "string" and part == "domain"):
                for value in _wrong_for("uint" if type_name.startswith("uint") else type_name):
                    changed = copy.deepcopy(document)
                    changed[part][name] = value
                    assert isinstance(parse(changed, DOMAINS), Refusal), (name, value)
                    tried += 1
            missing = copy.deepcopy(document)
            del missing[part][name]
            assert isinstance(parse(missing, DOMAINS), Refusal)
        more = copy.deepcopy(document)
        more[part]["more"] = 1
        assert isinstance(parse(more, DOMAINS), Refusal)
    assert tried > 30


def _domain_members() -> list[dict[str, str]]:
    members: list[dict[str, str]] = document_of(MESSAGES[0])["types"]["EIP712Domain"]
    return members


@pytest.mark.parametrize("message", MESSAGES, ids=NAMES)
def test_the_frame_is_read_strictly(message: Message) -> None:
    document = document_of(message)
    primary = document["primaryType"]
    other = {**document["domain"], "verifyingContract": "0x" + "ee" * 20}
    listed = document["types"][primary]
    changes: list[dict[str, Any]] = [
        {"primaryType": "Permit"},
        {"primaryType": 1},
        {"primaryType": ["Consent"]},
        {"primaryType": "Claim" if primary != "Claim" else "Revocation"},
        {"domain": other},
        {"domain": {**document["domain"], "chainId": 2}},
        {"domain": {**document["domain"], "chainId": True}},
        {"domain": {**document["domain"], "chainId": 1.0}},
        {"domain": {**document["domain"], "name": "Other"}},
        {"domain": {**document["domain"], "version": "2"}},
        {"domain": {**document["domain"], "salt": "0x" + "00" * 32}},
        {"domain": None},
        {"message": None},
        {"message": []},
        {"types": {}},
        {"types": {**document["types"], "More": []}},
        {"types": {**document["types"], primary: listed[::-1]}},
        {"types": {**document["types"], primary: [*listed, {"name": "more", "type": "uint8"}]}},
        {"more": 1},
    ]
    for change in changes:
        assert isinstance(parse({**document, **change}, DOMAINS), Refusal), change
    whole: list[object] = [None, [], "", 1, {}, {k: v for k, v in document.items() if k != "types"}]
    for bad in whole:
        assert isinstance(parse(bad, DOMAINS), Refusal)


@pytest.mark.parametrize(
    ("index", "change"),
    [
        (5, {"effect": 2}),
        (5, {"actions": 0}),
        (5, {"actions": 16}),
        (5, {"purposes": 0}),
        (5, {"purposes": 1 << 12}),
        (5, {"grantee": "0x" + "00" * 32}),
        (5, {"validUntil": 1_800_000_000}),
        (5, {"studies": ["0x" + "06" * 32, "0x" + "05" * 32]}),
        (5, {"studies": ["0x" + "00" * 32]}),
        (5, {"studies": ["0x" + f"{mark:064x}" for mark in range(1, 66)]}),
        (5, {"epoch": 1 << 32}),
        (3, {"guardian": "0x"}),
        (3, {"guardianNonce": 1 << 32}),
        (4, {"validUntil": 1}),
        (0, {"controller": "0x"}),
        (2, {"controller": "0x"}),
        (8, {"shareDepth": 0}),
        (8, {"shareDepth": 4}),
        (8, {"actions": 1}),
        (8, {"effect": 0}),
        (8, {"grantee": "0x" + "08" * 32}),
        (8, {"dateFrom": 1 << 32}),
        (8, {"dateFrom": 20260101}),
        (9, {"grants": [document_of(MESSAGES[9])["message"]["grants"][0]] * 17}),
        (10, {"part": 3}),
        (10, {"validUntil": 1_800_000_000}),
        (11, {"validFrom": 1}),
        (12, {"validUntil": 1_800_000_000}),
        (12, {"validUntil": 1}),
        (13, {"finding": 0}),
        (13, {"finding": 3}),
    ],
    ids=str,
)
def test_what_no_contract_would_take_is_refused(index: int, change: dict[str, object]) -> None:
    document = document_of(MESSAGES[index])
    document["message"].update(change)
    assert isinstance(parse(document, DOMAINS), Refusal)


@pytest.mark.parametrize(
    "change", [{"effect": 2}, {"studies": []}, {"epoch": True}, {"more": 1}, {"purposes": 0}], ids=str
)
def test_each_of_several_grants_is_read_strictly(change: dict[str, object]) -> None:
    document = document_of(MESSAGES[9])
    grant = document["message"]["grants"][1]
    grant.update(change)
    if change == {"studies": []}:
        del grant["salt"]
    assert isinstance(parse(document, DOMAINS), Refusal)


def test_several_grants_name_a_bounded_number_of_studies() -> None:
    studies = tuple(StudyKey(mark.to_bytes(32, "big")) for mark in range(1, 34))
    for count, expected in ((32, Parsed), (33, Refusal)):
        grants = tuple(replace(TERMS, studies=some) for some in (studies[:count], studies[:32]))
        assert isinstance(parse(document_of(ConsentOffers(grants, DEADLINE)), DOMAINS), expected)


def test_refusals_quote_nothing() -> None:
    document = document_of(MESSAGES[5])
    document["message"]["salt"] = "0xCANARY"
    refused = parse(document, DOMAINS)
    assert isinstance(refused, Refusal)
    assert "CANARY" not in refused.reason


def test_changing_any_bit_of_a_field_changes_the_digest_or_is_refused(rng: random.Random) -> None:
    for message in MESSAGES:
        document = document_of(message)
        signed = digest(message, document["message"]["words"], DOMAINS)
        for name, value in document["message"].items():
            for _ in range(8):
                changed = copy.deepcopy(document)
                if isinstance(value, int):
                    changed["message"][name] = value ^ 1 << rng.randrange(8)
                elif isinstance(value, str) and value.startswith("0x") and len(value) > 2:
                    flipped = int(value, 16) ^ 1 << rng.randrange(4 * (len(value) - 2))
                    changed["message"][name] = f"0x{flipped:0{len(value) - 2}x}"
                elif name == "words":
                    changed["message"][name] = value + "."
                else:
                    continue
                read = parse(changed, DOMAINS)
                assert isinstance(read, Refusal) or digest(read.message, read.words, DOMAINS) != signed
