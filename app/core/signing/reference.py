"""A reference at the end of words that say more than the chain is told.

The hash of what is signed is on the chain for everybody. What a consent's words say of studies (a description, a date),
and an emergency's of the patient and the reason, can be guessed, and a guess could be tried against that hash; so such
words end in a reference of 130 random bits, which is kept with them or nowhere, and goes when the patient is erased.
"""

import re

from app.core.crockford import digits_of, grouped
from app.core.signing.messages import ConsentOffer, ConsentOffers, EmergencyAccess, EmergencyReview, Message

RANDOM_BYTES = 26
_GROUP = 5
_REFERENCE = re.compile(r" Reference: [0-9A-HJKMNP-TV-Z]{5}(?:-[0-9A-HJKMNP-TV-Z]{5}){4}-[0-9A-HJKMNP-TV-Z]\.\Z")


def takes_reference(message: Message) -> bool:
    """Whether the message's words describe studies, name a patient, or quote what somebody wrote."""
    if isinstance(message, EmergencyAccess | EmergencyReview):
        return isinstance(message, EmergencyAccess) or any(message.note_hash)
    if isinstance(message, ConsentOffers):
        return any(terms.studies for terms in message.grants)
    return isinstance(message, ConsentOffer) and bool(message.terms.studies)


def with_reference(words: str, random: bytes) -> str:
    """The words with a reference from RANDOM_BYTES random bytes. Raises ValueError for another length."""
    if len(random) != RANDOM_BYTES:
        raise ValueError("a reference takes 26 random bytes")
    return f"{words} Reference: {grouped(digits_of(random), _GROUP)}."


def without_reference(words: str) -> str:
    """The words alone, which can be made anew and compared."""
    return _REFERENCE.sub("", words)
