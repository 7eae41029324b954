"""The fixed names of docs/CHAIN.md: bases that are no consent, role ids, and how signers and people become words of 20
and 32 bytes.
"""

from app.core.consent.terms import Role
from app.core.identifiers import Address, BasisId, Grantee, RoleId, Signer, StudyKey
from app.core.keccak import keccak256

ADDRESS_BYTES = 20
WORD_BYTES = 32
NOBODY = Address(bytes(ADDRESS_BYTES))
# No consent may name it, so only a consent to everything covers it.
NO_STUDY = StudyKey(bytes(WORD_BYTES))
# What the contracts accept as a signer: room for an RSA-4096 key behind a verifier's address.
MAX_SIGNER_BYTES = 640

# The patient, or the patient's guardian, acting for themselves: no consent is needed.
SELF = BasisId(keccak256(b"consentry.basis.self"))
GUARDIAN = BasisId(keccak256(b"consentry.basis.guardian"))
# A holder of the UPLOADER role storing images: no consent covers a modification.
UPLOADER = BasisId(keccak256(b"consentry.basis.uploader"))

ROLE_IDS: dict[Role, RoleId] = {role: RoleId(keccak256(role.value.encode("ascii"))) for role in Role}

_PERSON_PREFIX = bytes(WORD_BYTES - ADDRESS_BYTES)


def role_id(role: Role) -> RoleId:
    """What the chain calls a role."""
    return ROLE_IDS[role]


def person(actor: Address) -> Grantee:
    """The grantee that is this one person. Raises ValueError unless the actor has 20 bytes."""
    if len(actor) != ADDRESS_BYTES:
        raise ValueError("an actor has 20 bytes")
    return Grantee(_PERSON_PREFIX + actor)


def person_of(grantee: Grantee) -> Address | None:
    """The one person a grantee is, or None for a care team (whose upper 12 bytes are not all zero)."""
    return Address(grantee[-ADDRESS_BYTES:]) if grantee.startswith(_PERSON_PREFIX) else None


def directory_account(grantee: Grantee) -> Address:
    """The account under which the directory names a grantee: the person's own, for a team the first 20 bytes of its
    id, which nobody holds a key of.
    """
    actor = person_of(grantee)
    return Address(grantee[:ADDRESS_BYTES]) if actor is None else actor


def is_signer(signer: Signer) -> bool:
    """Whether the contracts would bind it: 20 to 640 bytes, the first 20 not all zero."""
    return ADDRESS_BYTES <= len(signer) <= MAX_SIGNER_BYTES and any(signer[:ADDRESS_BYTES])


def actor_of(signer: Signer) -> Address:
    """The actor an ERC-7913 signer is: 20 bytes stand for themselves, longer ones as an address is made from a key.

    No signer is NOBODY. Raises ValueError for 1 to 19 bytes, which name nobody.
    """
    if len(signer) == ADDRESS_BYTES:
        return Address(signer)
    if len(signer) > ADDRESS_BYTES:
        return Address(keccak256(signer)[-ADDRESS_BYTES:])
    if signer:
        raise ValueError("a signer has at least 20 bytes")
    return NOBODY
