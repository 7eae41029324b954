"""The directory ties an account to a person off the chain; on the chain stands a salted hash of the entry (DESIGN
decision 10).
"""

from app.core.keccak import keccak256

SALT_BYTES = 32
_DOMAIN = keccak256(b"consentry.directory.v1")


def entry_hash(salt: bytes, name: str, organisation: str, registration: str) -> bytes:
    """What the chain holds for an entry: 32 bytes. Raises ValueError for a salt of another length.

    Each field is preceded by its length in 4 bytes, so that no two entries are one sequence of bytes.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    fields = (field.encode() for field in (name, organisation, registration))
    return keccak256(_DOMAIN + salt + b"".join(len(field).to_bytes(4) + field for field in fields))
