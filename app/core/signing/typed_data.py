"""EIP-712 for every message of docs/CHAIN.md: one table makes the payload for ``eth_signTypedData_v4``, the digest, and
the strict reader.

A document that comes back must be exactly what was issued: the same types, the same domain, every field and no other.
Wallet libraries pad short values, drop unknown fields and read "false" as a boolean; none of that happens here.
"""

from dataclasses import dataclass
from typing import Any

from app.core.consent.basis import ADDRESS_BYTES, is_signer
from app.core.consent.terms import MAX_GRANTS, MAX_STUDIES, flaw_in
from app.core.identifiers import Address
from app.core.keccak import keccak256
from app.core.signing.message_kinds import BY_PRIMARY, KINDS, Contract, Fields, Kind, Value
from app.core.signing.messages import (
    Claim,
    ConsentOffer,
    ConsentOffers,
    EmergencyAccess,
    GuardianChange,
    Message,
    MoveAcceptance,
    TeamChange,
)

Json = dict[str, Any]

_VERSION = "1"
_DOMAIN_FIELDS = (
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
)
_HEX_DIGITS = frozenset("0123456789abcdef")
_WIDTH_BITS = {"uint8": 8, "uint16": 16, "uint32": 32, "uint48": 48}
_WORD_BYTES = 32
_BYTES = {"bytes32": _WORD_BYTES, "address": ADDRESS_BYTES, "bytes": None}


@dataclass(frozen=True, slots=True)
class Domains:
    """Where the messages are meant for: one chain, and the contracts that check signatures."""

    chain_id: int
    patients: Address
    consents: Address
    teams: Address
    emergencies: Address

    def address(self, contract: Contract) -> Address:
        of = {
            Contract.PATIENTS: self.patients,
            Contract.CONSENTS: self.consents,
            Contract.TEAMS: self.teams,
            Contract.EMERGENCIES: self.emergencies,
        }
        return of[contract]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document that is exactly one of ours. ``words`` is what was signed: compare it with ``words_for``."""

    message: Message
    words: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a document is not one of ours (answered as ``invalid-typed-data``). Quotes nothing of it."""

    reason: str


class _RefusedError(Exception):
    """Carries the reason to ``parse``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def payload(message: Message, words: str, domains: Domains) -> Json:
    """The JSON for ``eth_signTypedData_v4``: integers as numbers, bytes and addresses as lower-case hex."""
    kind = KINDS[type(message)]
    return {
        "types": _types(kind),
        "primaryType": kind.primary,
        "domain": _domain(kind, domains),
        "message": {"words": words, **_struct_written(kind, kind.fields, kind.take(message))},
    }


def digest(message: Message, words: str, domains: Domains) -> bytes:
    """The 32 bytes that are signed."""
    kind = KINDS[type(message)]
    return keccak256(b"\x19\x01" + domain_separator(kind.contract, domains) + struct_hash(message, words))


def struct_hash(message: Message, words: str) -> bytes:
    """EIP-712's hashStruct of the message."""
    kind = KINDS[type(message)]
    hashed = _struct_hashed(kind, kind.fields, kind.take(message))
    type_hash = _type_hash((kind.primary, kind.members), *kind.structs)
    return keccak256(type_hash + words_hash(words) + hashed)


def words_hash(words: str) -> bytes:
    """All of the words that travels to the chain. Raises UnicodeEncodeError for a lone surrogate."""
    return keccak256(words.encode())


def domain_separator(contract: Contract, domains: Domains) -> bytes:
    """EIP-712's domain separator of one of the contracts."""
    parts = (
        _type_hash(("EIP712Domain", _DOMAIN_FIELDS)),
        keccak256(contract.value.encode()),
        keccak256(_VERSION.encode()),
        _hashed("uint256", domains.chain_id),
        domains.address(contract).rjust(_WORD_BYTES, b"\0"),
    )
    return keccak256(b"".join(parts))


def parse(document: object, domains: Domains) -> Parsed | Refusal:
    """The message that the document is, or why it is none of ours.

    Whether its deadline has passed or its nonce is the right one is left to the caller, who knows.
    """
    try:
        return _parsed(document, domains)
    except _RefusedError as refused:
        return Refusal(refused.reason)


def _parsed(document: object, domains: Domains) -> Parsed:
    parts = _members(document, ("types", "primaryType", "domain", "message"))
    primary = parts["primaryType"]
    kind = BY_PRIMARY.get(primary) if isinstance(primary, str) else None
    if kind is None:
        raise _RefusedError("not one of our messages")
    if parts["types"] != _types(kind):
        raise _RefusedError("other types than issued")
    domain = _members(parts["domain"], tuple(name for name, _ in _DOMAIN_FIELDS))
    if type(domain["chainId"]) is not int or domain != _domain(kind, domains):
        raise _RefusedError("another domain")
    fields = _members(parts["message"], tuple(name for name, _ in kind.members))
    words = fields["words"]
    if not isinstance(words, str) or not words.isprintable():
        raise _RefusedError("words that are no plain text")
    values = tuple(_read(kind, type_name, fields[name]) for name, type_name in kind.fields)
    try:
        message = kind.make(values)
    except ValueError as error:
        raise _RefusedError("a value that the message cannot hold") from error
    _check(message)
    return Parsed(message, words)


def _check(message: Message) -> None:
    """What no contract would take, whatever the time."""
    flaw = _flaw_in(message)
    if flaw is not None:
        raise _RefusedError(flaw)


def _flaw_in(message: Message) -> str | None:
    if isinstance(message, ConsentOffer):
        return flaw_in(message.terms)
    if isinstance(message, ConsentOffers):
        if not message.grants or sum(len(terms.studies) for terms in message.grants) > MAX_STUDIES:
            return "no grant, or too many studies"
        return next(filter(None, map(flaw_in, message.grants)), None)
    if isinstance(message, EmergencyAccess | TeamChange):
        return _flaw_in_times(message)
    if isinstance(message, GuardianChange) and not message.guardian:
        return "no guardian, yet a time" if message.until else None
    return None if _signers_are_sound(message) else "no signer"


def _flaw_in_times(message: EmergencyAccess | TeamChange) -> str | None:
    if isinstance(message, EmergencyAccess):
        empty = message.opening.window.end <= message.opening.window.start
    else:
        empty = message.until <= message.start if message.until else bool(message.start)
    return "a window that holds no instant" if empty else None


def _signers_are_sound(message: Message) -> bool:
    if isinstance(message, GuardianChange):
        return is_signer(message.guardian)
    return not isinstance(message, Claim | MoveAcceptance) or is_signer(message.controller)


def _members(value: object, names: tuple[str, ...]) -> Json:
    if not isinstance(value, dict) or set(value) != set(names):
        raise _RefusedError("members missing or not ours")
    return value


def _read(kind: Kind, type_name: str, value: object) -> Value:
    struct = kind.struct_in(type_name)
    if struct is not None:
        if not isinstance(value, list) or len(value) > MAX_GRANTS:
            raise _RefusedError("not a list, or too long a one")
        each = (_members(item, tuple(name for name, _ in struct)) for item in value)
        return tuple(tuple(_read(kind, member, item[name]) for name, member in struct) for item in each)
    if type_name == "bytes32[]":
        if not isinstance(value, list) or len(value) > MAX_STUDIES:
            raise _RefusedError("not a list, or too long a one")
        return tuple(_hex(item, _WORD_BYTES) for item in value)
    if type_name in _BYTES:
        return _hex(value, _BYTES[type_name])
    # bool is an int to isinstance, and 1.0 == 1: only the type itself will do.
    if type(value) is not int or not 0 <= value < 1 << _WIDTH_BITS[type_name]:
        raise _RefusedError("not an integer of that width")
    return value


def _hex(value: object, length_bytes: int | None) -> bytes:
    if not isinstance(value, str) or len(value) % 2 or value[:2] != "0x" or not _HEX_DIGITS.issuperset(value[2:]):
        raise _RefusedError("not lower-case hex")
    read = bytes.fromhex(value[2:])
    if length_bytes is not None and len(read) != length_bytes:
        raise _RefusedError("bytes of another length")
    return read


def _struct_written(kind: Kind, fields: Fields, values: tuple[Value, ...]) -> Json:
    return {name: _written(kind, type_name, value) for (name, type_name), value in zip(fields, values, strict=True)}


def _written(kind: Kind, type_name: str, value: Value) -> int | str | list[Any]:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    struct = kind.struct_in(type_name)
    if struct is not None:
        return [_struct_written(kind, struct, item) for item in value]
    return ["0x" + item.hex() for item in value]


def _struct_hashed(kind: Kind, fields: Fields, values: tuple[Value, ...]) -> bytes:
    return b"".join(_hashed(type_name, value, kind) for (_, type_name), value in zip(fields, values, strict=True))


def _hashed(type_name: str, value: Value, kind: Kind | None = None) -> bytes:
    if isinstance(value, int):
        return value.to_bytes(_WORD_BYTES, "big")
    if isinstance(value, tuple):
        members = None if kind is None else kind.struct_in(type_name)
        if kind is not None and members is not None:
            type_hash = _type_hash((type_name.removesuffix("[]"), members))
            return keccak256(b"".join(keccak256(type_hash + _struct_hashed(kind, members, item)) for item in value))
        return keccak256(b"".join(value))
    return keccak256(value) if type_name == "bytes" else value.rjust(_WORD_BYTES, b"\0")


def _type_hash(*structs: tuple[str, Fields]) -> bytes:
    """EIP-712's typeHash: the type itself, then those it refers to."""
    encoded = (
        f"{name}({','.join(f'{type_name} {member}' for member, type_name in members)})" for name, members in structs
    )
    return keccak256("".join(encoded).encode())


def _types(kind: Kind) -> Json:
    def listed(members: Fields) -> list[dict[str, str]]:
        return [{"name": name, "type": type_name} for name, type_name in members]

    structs = {name: listed(members) for name, members in kind.structs}
    return {"EIP712Domain": listed(_DOMAIN_FIELDS), kind.primary: listed(kind.members), **structs}


def _domain(kind: Kind, domains: Domains) -> Json:
    return {
        "name": kind.contract.value,
        "version": _VERSION,
        "chainId": domains.chain_id,
        "verifyingContract": "0x" + domains.address(kind.contract).hex(),
    }
