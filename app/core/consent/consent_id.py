"""What a consent is called: known before it is on the chain, because the id follows from its terms (docs/CHAIN.md)."""

from app.core.consent.terms import Terms
from app.core.identifiers import Address, ConsentId
from app.core.keccak import keccak256

_DOMAIN = keccak256(b"consentry.consent.v2")


def consent_id(terms: Terms, chain_id: int, contract: Address) -> ConsentId:
    """The id that the ConsentRegistry at ``contract`` gives to these terms."""
    # abi.encode of a bytes32[]: where it starts (one word on), how many, and the elements.
    studies = _word(32) + _word(len(terms.studies)) + b"".join(terms.studies)
    words = (
        _DOMAIN,
        _word(chain_id),
        contract.rjust(32, b"\0"),
        terms.patient,
        terms.grantee,
        _word(terms.effect),
        _word(terms.actions),
        _word(terms.purposes),
        _word(terms.window.start),
        _word(terms.window.end),
        keccak256(studies),
        _word(terms.dates.first),
        _word(terms.dates.last),
        terms.parent,
        _word(terms.share_depth),
        _word(terms.epoch),
        terms.consent_nonce,
    )
    return ConsentId(keccak256(b"".join(words)))


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
