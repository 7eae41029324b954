"""Strict readings of what a node answers: quantities, data and objects (Ethereum JSON-RPC, "Hex value encoding").

A node is not trusted to answer well: anything that is not exactly the expected shape raises MalformedAnswerError.
"""

import re
from collections.abc import Mapping, Sequence

from app.core.identifiers import Address, BlockHash, TxHash

_QUANTITY = re.compile(r"0x(?:0|[1-9a-f][0-9a-f]{0,63})\Z")


class MalformedAnswerError(Exception):
    """The node's answer does not have the expected shape. The text names the field, never its value."""


def fields(value: object, what: str) -> Mapping[str, object]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise MalformedAnswerError(f"{what} is not an object")
    return value


def items(value: object, what: str) -> Sequence[object]:
    """A JSON array."""
    if not isinstance(value, list):
        raise MalformedAnswerError(f"{what} is not a list")
    return value


def quantity(value: object, what: str) -> int:
    """A non-negative integer of at most 256 bits, in the shortest hexadecimal form."""
    if not isinstance(value, str) or not _QUANTITY.match(value):
        raise MalformedAnswerError(f"{what} is not a quantity")
    return int(value, 16)


def data(value: object, what: str, size: int | None = None) -> bytes:
    """Bytes; exactly ``size`` of them if given."""
    if not isinstance(value, str) or not value.startswith("0x"):
        raise MalformedAnswerError(f"{what} is not data")
    try:
        raw = bytes.fromhex(value[2:])
    except ValueError:
        raise MalformedAnswerError(f"{what} is not data") from None
    if 2 * len(raw) != len(value) - 2:  # fromhex passes over white space
        raise MalformedAnswerError(f"{what} is not data")
    if size is not None and len(raw) != size:
        raise MalformedAnswerError(f"{what} does not have {size} bytes")
    return raw


def block_hash(value: object, what: str = "a block hash") -> BlockHash:
    return BlockHash(data(value, what, 32))


def tx_hash(value: object, what: str = "a transaction hash") -> TxHash:
    return TxHash(data(value, what, 32))


def address(value: object, what: str = "an address") -> Address:
    return Address(data(value, what, 20))


def to_quantity(value: int) -> str:
    """The hexadecimal form of a non-negative integer."""
    return hex(value)


def to_data(value: bytes) -> str:
    """The hexadecimal form of bytes."""
    return "0x" + value.hex()
