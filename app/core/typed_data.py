"""EIP-712 for every message of docs/CHAIN.md: one table makes the payload for ``eth_signTypedData_v4``, the digest, and
the strict reader.

A document that comes back must be exactly what was issued: the same types, the same domain, every field and no other.
Wallet libraries pad short values, drop unknown fields and read "false" as a boolean; none of that happens here.
"""

from dataclasses import dataclass
from typing import Any

from app.core.basis import is_signer
from app.core.identifiers import Address
from app.core.keccak import keccak256
from app.core.message_kinds import BY_PRIMARY, KINDS, Contract, Kind, Value
from app.core.messages import Claim, ConsentOffer, GuardianChange, Message, MoveAcceptance
from app.core.terms import MAX_STUDIES, flaw_in

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


@dataclass(frozen=True, slots=True)
class Domains:
    """Where the messages are meant for: one chain, and the two contracts that check signatures."""

    chain_id: int
    patients: Address
    consents: Address

    def address(self, contract: Contract) -> Address:
        return self.patients if contract is Contract.PATIENTS else self.consents


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
    values = zip(kind.fields, kind.take(message), strict=True)
    return {
        "types": _types(kind),
        "primaryType": kind.primary,
        "domain": _domain(kind, domains),
        "message": {"words": words, **{name: _written(value) for (name, _), value in values}},
    }


def digest(message: Message, words: str, domains: Domains) -> bytes:
    """The 32 bytes that are signed."""
    kind = KINDS[type(message)]
    return keccak256(b"\x19\x01" + domain_separator(kind.contract, domains) + struct_hash(message, words))


def struct_hash(message: Message, words: str) -> bytes:
    """EIP-712's hashStruct of the message."""
    kind = KINDS[type(message)]
    hashed = (_hashed(type_name, value) for (_, type_name), value in zip(kind.fields, kind.take(message), strict=True))
    return keccak256(b"".join((_type_hash(kind.primary, kind.members), words_hash(words), *hashed)))


def words_hash(words: str) -> bytes:
    """All of the words that travels to the chain. Raises UnicodeEncodeError for a lone surrogate."""
    return keccak256(words.encode())


def domain_separator(contract: Contract, domains: Domains) -> bytes:
    """EIP-712's domain separator of one of the two contracts."""
    parts = (
        _type_hash("EIP712Domain", _DOMAIN_FIELDS),
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
    values = tuple(_read(type_name, fields[name]) for name, type_name in kind.fields)
    try:
        message = kind.make(values)
    except ValueError as error:
        raise _RefusedError("a value that the message cannot hold") from error
    _check(message)
    return Parsed(message, words)


def _check(message: Message) -> None:
    """What no contract would take, whatever the time."""
    if isinstance(message, ConsentOffer):
        flaw = flaw_in(message.terms)
        if flaw is not None:
            raise _RefusedError(flaw)
    elif isinstance(message, GuardianChange):
        if message.guardian and not is_signer(message.guardian):
            raise _RefusedError("no signer")
        if not message.guardian and message.until:
            raise _RefusedError("no guardian, yet a time")
    elif isinstance(message, Claim | MoveAcceptance) and not is_signer(message.controller):
        raise _RefusedError("no signer")


def _members(value: object, names: tuple[str, ...]) -> Json:
    if not isinstance(value, dict) or set(value) != set(names):
        raise _RefusedError("members missing or not ours")
    return value


def _read(type_name: str, value: object) -> Value:
    if type_name == "bytes32[]":
        if not isinstance(value, list) or len(value) > MAX_STUDIES:
            raise _RefusedError("not a list, or too long a one")
        return tuple(_hex(item, _WORD_BYTES) for item in value)
    if type_name == "bytes32":
        return _hex(value, _WORD_BYTES)
    if type_name == "bytes":
        return _hex(value, None)
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


def _written(value: Value) -> int | str | list[str]:
    if isinstance(value, int):
        return int(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return ["0x" + item.hex() for item in value]


def _hashed(type_name: str, value: Value) -> bytes:
    if isinstance(value, int):
        return value.to_bytes(_WORD_BYTES, "big")
    if isinstance(value, tuple):
        return keccak256(b"".join(value))
    return keccak256(value) if type_name == "bytes" else value


def _type_hash(primary: str, members: tuple[tuple[str, str], ...]) -> bytes:
    listed = ",".join(f"{type_name} {name}" for name, type_name in members)
    return keccak256(f"{primary}({listed})".encode())


def _types(kind: Kind) -> Json:
    def listed(members: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
        return [{"name": name, "type": type_name} for name, type_name in members]

    return {"EIP712Domain": listed(_DOMAIN_FIELDS), kind.primary: listed(kind.members)}


def _domain(kind: Kind, domains: Domains) -> Json:
    return {
        "name": kind.contract.value,
        "version": _VERSION,
        "chainId": domains.chain_id,
        "verifyingContract": "0x" + domains.address(kind.contract).hex(),
    }
