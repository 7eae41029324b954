"""Encoding and decoding by the contracts' ABIs (Solidity ABI specification); eth_abi keeps each codec it once made."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from app.chain.artefacts import Artefact
from app.core.keccak import keccak256

_PANIC = keccak256(b"Panic(uint256)")[:4]
_REASON = keccak256(b"Error(string)")[:4]


@dataclass(frozen=True, slots=True)
class Function:
    """One function: its selector and the types of what goes in and comes out."""

    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def calldata(self, *arguments: object) -> bytes:
        """Raises eth_abi's EncodingError when a value does not fit its type."""
        return self.selector + encode(self.inputs, arguments)

    def answer(self, returned: bytes) -> tuple[Any, ...]:
        """The returned values. Raises DecodingError when the data is not of these types."""
        return decode(self.outputs, returned)


@dataclass(frozen=True, slots=True)
class Functions:
    """The functions of one contract by name; our contracts overload none."""

    by_name: dict[str, Function]

    @classmethod
    def of(cls, artefact: Artefact) -> Self:
        return cls(
            {
                entry["name"]: Function(_selector(entry), _types(entry["inputs"]), _types(entry["outputs"]))
                for entry in artefact.abi
                if entry["type"] == "function"
            }
        )

    def __getitem__(self, name: str) -> Function:
        return self.by_name[name]


def constructor(artefact: Artefact) -> Callable[..., bytes]:
    """Makes the creation transaction's data from the constructor's arguments."""
    inputs = next(_types(entry["inputs"]) for entry in artefact.abi if entry["type"] == "constructor")
    return partial(_creation, artefact.creation_code, inputs)


def _creation(code: bytes, inputs: tuple[str, ...], *arguments: object) -> bytes:
    return code + encode(inputs, arguments)


@dataclass(frozen=True, slots=True)
class Reverts:
    """What a revert's return data says, by the custom errors of all our contracts."""

    by_selector: dict[bytes, tuple[str, tuple[str, ...]]]

    @classmethod
    def of(cls, artefacts: Iterable[Artefact]) -> Self:
        known: dict[bytes, tuple[str, tuple[str, ...]]] = {
            _PANIC: ("Panic", ("uint256",)),
            _REASON: ("Error", ("string",)),
        }
        for artefact in artefacts:
            for entry in artefact.abi:
                if entry["type"] == "error":
                    known[_selector(entry)] = (entry["name"], _types(entry["inputs"]))
        return cls(known)

    def read(self, returned: bytes) -> tuple[str, tuple[Any, ...]]:
        """The error's name and values; ``("", ())`` for data that is none of ours."""
        name, inputs = self.by_selector.get(returned[:4], ("", ()))
        try:
            return name, decode(inputs, returned[4:]) if inputs else ()
        except (DecodingError, ValueError):
            return "", ()


def _selector(entry: dict[str, Any]) -> bytes:
    return keccak256(f"{entry['name']}({','.join(_types(entry['inputs']))})".encode())[:4]


def _types(parameters: list[dict[str, Any]]) -> tuple[str, ...]:
    """Canonical types: a tuple is written out as its components."""
    return tuple(
        f"({','.join(_types(one['components']))}){one['type'].removeprefix('tuple')}"
        if one["type"].startswith("tuple")
        else one["type"]
        for one in parameters
    )
