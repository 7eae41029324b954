"""The patient's code: what a patient reads to a physician who wants to ask for access.

Ten random digits and two that check them (Crockford's base 32). It is made of chance alone, so it says nothing about
anybody, and it opens nothing: whoever has it may ask.
"""

from app.core.crockford import ALPHABET, digits_of, grouped, read_digits

RANDOM_BYTES = 10
_DIGITS = 12
_GROUP = 4
# A prime just below 32 squared: every wrong digit, and every two that change places side by side or one apart, shows.
_MODULUS = 1021
_BASE = len(ALPHABET)


def make_patient_code(random: bytes) -> str:
    """A code's digits from RANDOM_BYTES random bytes. Raises ValueError for another length."""
    if len(random) != RANDOM_BYTES:
        raise ValueError("a patient's code takes 10 random bytes")
    digits = digits_of(random)
    check = -_number(digits) * _BASE**2 % _MODULUS
    return digits + ALPHABET[check // _BASE] + ALPHABET[check % _BASE]


def show_patient_code(digits: str) -> str:
    """As it is shown and read out: XXXX-XXXX-XXXX."""
    return grouped(digits, _GROUP)


def read_patient_code(text: str) -> str | None:
    """The code's digits as typed, or None where they cannot be a code: somebody slipped."""
    digits = read_digits(text, _DIGITS)
    return digits if digits is not None and _number(digits) % _MODULUS == 0 else None


def _number(digits: str) -> int:
    number = 0
    for digit in digits:
        number = number * _BASE + ALPHABET.index(digit)
    return number
