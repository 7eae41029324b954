"""keccak-256 as the EVM has it (the padding before SHA-3 was standardised).

pycryptodome is called without eth-utils around it: half the time, and one access hashes several times.
"""

from Crypto.Hash import keccak


def keccak256(data: bytes) -> bytes:
    """The 32-byte digest."""
    return keccak.new(data=data, digest_bits=256).digest()
