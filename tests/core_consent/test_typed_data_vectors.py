"""What Solidity and an independent library hash, this hashes too (tests/vectors/README.md)."""

import json
from pathlib import Path
from typing import Any

import pytest
from eth_keys.datatypes import PrivateKey

from app.core.consent.basis import actor_of
from app.core.consent.consent_id import consent_id
from app.core.consent.emergencies import Opening, emergency_id, written_hash
from app.core.consent.terms import Action, DateSpan, Effect, Terms, Window
from app.core.identifiers import (
    Address,
    BasisId,
    BlockHash,
    BlockRef,
    Commitment,
    ConsentId,
    Grantee,
    LogHead,
    PatientKey,
    Signer,
    StudyKey,
    UnixTime,
)
from app.core.record import LoggedAccess, decode_batch, encode_batch, genesis_head, next_head
from app.core.signing.signature import recover
from app.core.signing.typed_data import Domains, Parsed, digest, parse, payload, words_hash

_VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "typed_data.json").read_text())


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


_DOMAINS = Domains(
    _VECTORS["chainId"],
    Address(_bytes(_VECTORS["contracts"]["PatientRegistry"])),
    Address(_bytes(_VECTORS["contracts"]["ConsentRegistry"])),
    Address(_bytes(_VECTORS["contracts"]["CareTeams"])),
    Address(_bytes(_VECTORS["contracts"]["EmergencyAccess"])),
)


def _document(vector: dict[str, Any]) -> dict[str, Any]:
    """The vector as we issue documents: with the domain's type, addresses in lower case."""
    domain_type = [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ]
    return {
        "types": {"EIP712Domain": domain_type, **vector["types"]},
        "primaryType": vector["primaryType"],
        "domain": {**vector["domain"], "verifyingContract": vector["domain"]["verifyingContract"].lower()},
        "message": vector["message"],
    }


@pytest.mark.parametrize("vector", _VECTORS["messages"], ids=lambda vector: vector["primaryType"])
def test_each_message_reads_and_hashes_as_elsewhere(vector: dict[str, Any]) -> None:
    document = _document(vector)
    parsed = parse(document, _DOMAINS)
    assert isinstance(parsed, Parsed), parsed
    assert words_hash(parsed.words) == _bytes(vector["wordsHash"])
    signed = digest(parsed.message, parsed.words, _DOMAINS)
    assert signed == _bytes(vector["digest"])
    assert payload(parsed.message, parsed.words, _DOMAINS) == document
    for name, signature in vector["signatures"].items():
        assert recover(signed, _bytes(signature)) == _KEYHOLDERS[name]


def _keyholder(key: str) -> Address:
    return Address(PrivateKey(_bytes(key)).public_key.to_canonical_address())


_KEYHOLDERS = {name: _keyholder(key) for name, key in _VECTORS["privateKeys"].items()}


def test_actors_follow_from_signers() -> None:
    assert _VECTORS["actors"]
    for vector in _VECTORS["actors"]:
        assert actor_of(Signer(_bytes(vector["signer"]))) == _bytes(vector["actor"])


def test_consent_ids_follow_from_terms() -> None:
    assert _VECTORS["consentIds"]
    for vector in _VECTORS["consentIds"]:
        given = vector["terms"]
        terms = Terms(
            patient=PatientKey(_bytes(given["patientKey"])),
            grantee=Grantee(_bytes(given["grantee"])),
            effect=Effect(given["effect"]),
            actions=Action(given["actions"]),
            purposes=given["purposes"],
            window=Window(UnixTime(given["validFrom"]), UnixTime(given["validUntil"])),
            studies=tuple(StudyKey(_bytes(study)) for study in given["studies"]),
            epoch=given["epoch"],
            consent_nonce=_bytes(given["salt"]),
            dates=DateSpan(given["dateFrom"], given["dateTo"]),
            parent=ConsentId(_bytes(given["parent"])),
            share_depth=given["shareDepth"],
        )
        assert consent_id(terms, _DOMAINS.chain_id, _DOMAINS.consents) == _bytes(vector["id"])


def test_emergency_ids_follow_from_what_is_declared() -> None:
    assert _VECTORS["emergencyIds"]
    for vector in _VECTORS["emergencyIds"]:
        declared, reason = vector["declared"], vector["reason"]
        opening = Opening(
            PatientKey(_bytes(declared["patientKey"])),
            _bytes(declared["reasonHash"]),
            Window(UnixTime(declared["validFrom"]), UnixTime(declared["validUntil"])),
            _bytes(declared["salt"]),
        )
        assert written_hash(_bytes(reason["salt"]), reason["text"]) == opening.reason_hash
        actor = Address(_bytes(vector["actor"]))
        assert emergency_id(opening, actor, _DOMAINS.chain_id, _DOMAINS.emergencies) == _bytes(vector["id"])


def test_batches_and_heads_are_those_of_the_contract() -> None:
    log = _VECTORS["log"]
    head = genesis_head(_VECTORS["chainId"], Address(_bytes(_VECTORS["contracts"]["AccessLog"])))
    assert head == _bytes(log["start"])
    assert len(log["batches"]) > 1
    for batch in log["batches"]:
        accesses = [
            LoggedAccess(
                BasisId(_bytes(group["basis"])),
                Address(_bytes(group["accessor"])),
                PatientKey(_bytes(group["patientKey"])),
                BlockRef(group["decisionBlock"], BlockHash(_bytes(group["decisionBlockHash"]))),
                Commitment(_bytes(commitment)),
            )
            for group in batch["groups"]
            for commitment in group["commitments"]
        ]
        assert encode_batch(accesses) == _bytes(batch["batch"])
        assert decode_batch(_bytes(batch["batch"])) == accesses
        assert head == _bytes(batch["prevHead"])
        for seq, access in enumerate(accesses, start=batch["expectedSeq"]):
            head = next_head(LogHead(head), seq, access)
        assert head == _bytes(batch["head"])
        assert batch["expectedSeq"] + len(accesses) == batch["nextSeq"]
