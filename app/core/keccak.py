"""keccak-256 as the EVM has it (the padding before SHA-3 was standardised).

pycryptodome's C functions are called without its objects around them: a quarter of the time, and one access hashes
several times. They are no public interface, so they are asked for something known first; the public one stands behind.
"""

import threading
from collections.abc import Callable
from typing import Any

from Crypto.Hash import keccak

_DIGEST_BYTES = 32
_CAPACITY_BYTES = 2 * _DIGEST_BYTES
_ROUNDS = 24
_PADDING = 1
_KNOWN = tuple(bytes(length) for length in (0, 135, 136, 137, 500))


def plain_keccak256(data: bytes) -> bytes:
    """By the library's public interface."""
    return keccak.new(data=data, digest_bits=256).digest()


class _State(threading.local):
    """A sponge and the place for its digest. One for each thread: the C functions let others run meanwhile."""

    def __init__(self, lib: Any, ffi: Any) -> None:  # noqa: ANN401 - cffi has no types
        pointer = ffi.new("void **")
        if lib.keccak_init(pointer, _CAPACITY_BYTES, _ROUNDS):
            raise MemoryError("no keccak state")
        self.sponge = ffi.gc(pointer[0], lib.keccak_destroy)
        self.digest = ffi.new("uint8_t[]", _DIGEST_BYTES)
        self.view = ffi.buffer(self.digest)


def raw_keccak256(lib: Any, ffi: Any) -> Callable[[bytes], bytes]:  # noqa: ANN401 - cffi has no types
    """By these C functions."""
    state = _State(lib, ffi)
    reset, absorb, squeeze = lib.keccak_reset, lib.keccak_absorb, lib.keccak_digest

    def hashed(data: bytes) -> bytes:
        sponge = state.sponge
        if reset(sponge) or absorb(sponge, data, len(data)) or squeeze(sponge, state.digest, _DIGEST_BYTES, _PADDING):
            raise ValueError("keccak failed")
        return state.view[:]  # type: ignore[no-any-return]

    return hashed


def quickest(library: Any) -> Callable[[bytes], bytes]:  # noqa: ANN401 - a module without types
    """The C functions in this module of pycryptodome, if they are there and tell the truth; else the public way."""
    try:
        from Crypto.Util._raw_api import ffi  # noqa: PLC0415 - only there where C is called through cffi

        raw = raw_keccak256(library._raw_keccak_lib, ffi)  # noqa: SLF001 - see above
        agrees = all(raw(known) == plain_keccak256(known) for known in _KNOWN)
    except (ImportError, AttributeError, TypeError, ValueError):
        return plain_keccak256
    return raw if agrees else plain_keccak256


keccak256 = quickest(keccak)
