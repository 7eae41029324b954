"""Crockford's base 32, for codes that people read out: no I, L, O or U, and lookalikes are read as what they look
like.
"""

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1"})


def digits_of(random: bytes) -> str:
    """One digit from each byte: five bits of it are used."""
    return "".join(ALPHABET[byte & 31] for byte in random)


def grouped(digits: str, size: int) -> str:
    """The digits in groups that can be read aloud."""
    return "-".join(digits[at : at + size] for at in range(0, len(digits), size))


def read_digits(text: str, count: int) -> str | None:
    """The digits as typed or scanned: case, spaces, dashes and lookalike letters do not matter. None unless there are
    just so many, and nothing else.
    """
    digits = text.upper().replace("-", "").replace(" ", "").translate(_LOOKALIKES)
    if len(digits) != count or any(digit not in ALPHABET for digit in digits):
        return None
    return digits
