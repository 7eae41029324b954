"""Hexadecimal at the edges: bytes inside, 0x text outside, one strict reading."""

import re
from typing import Annotated

from eth_utils.address import to_checksum_address
from pydantic import Field

from app.core.identifiers import Address

# Spelled out, because bytes.fromhex passes over white space.
_DATA = re.compile(r"0x[0-9a-fA-F]*")
# Pydantic types for bodies: exactly one length each, 0x in front.
AddressText = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
PasskeyText = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{168}$")]
WordText = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{64}$")]
# An account's 20 bytes, or a verifier's address and a key (docs/CHAIN.md: 20 to 640 bytes).
SignerText = Annotated[str, Field(pattern=r"^0x(?:[0-9a-fA-F]{2}){20,640}$")]
# A wallet's 65 bytes, a passkey's 400 to 900, a contract wallet's as many as its owners need.
SignatureText = Annotated[str, Field(pattern=r"^0x(?:[0-9a-fA-F]{2}){1,4096}$")]


def from_hex(text: str) -> bytes:
    """The bytes of 0x text that a model has already checked."""
    return bytes.fromhex(text.removeprefix("0x"))


def to_hex(value: bytes) -> str:
    """0x and lower-case digits."""
    return "0x" + value.hex()


def checksum(address: Address) -> str:
    """An address as people and wallets write it (EIP-55)."""
    return str(to_checksum_address(address))


def word(text: str | None) -> bytes | None:
    """32 bytes from a path or query, or None where it is not exactly that."""
    return _exactly(text, 32)


def address(text: str | None) -> Address | None:
    """20 bytes from a query parameter, or None where it is not exactly that."""
    read = _exactly(text, 20)
    return None if read is None else Address(read)


def identifier(text: str) -> bytes | None:
    """16 bytes without 0x in front, as random ids are written, or None where it is not exactly that."""
    return _exactly("0x" + text, 16)


def _exactly(text: str | None, size: int) -> bytes | None:
    if text is None or not _DATA.fullmatch(text) or len(text) != 2 + 2 * size:
        return None
    return bytes.fromhex(text[2:])
