"""How the elements of a DICOM file are laid out (PS3.5 §7, PS3.10 §7): what both readers of part 10 files know."""

from dataclasses import dataclass
from struct import Struct
from typing import Final

MAX_DEPTH: Final = 64

PREAMBLE_BYTES: Final = 128
MAGIC: Final = b"DICM"
META_GROUP: Final = 0x0002
UNDEFINED: Final = 0xFFFFFFFF
TRANSFER_SYNTAX: Final = 0x00020010

ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
DELIMITER_GROUP: Final = 0xFFFE

HEAD_BYTES: Final = 8
LONG_HEAD_BYTES: Final = 12

# PS3.5 §7.1.2: the VRs whose length takes four bytes, after two that are reserved.
LONG: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT: Final = frozenset(
    {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS"}
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
# Those that may come without a length (PS3.5 §6.2.2, §7.5); in implicit encodings, only sequences do.
MAY_BE_UNDEFINED: Final = frozenset({b"", b"SQ", b"UN", b"OB", b"OW"})


class Part10InvalidError(ValueError):
    """A file that is not DICOM as PS3.10 has it, breaks a bound, or ends too early. Its text holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are laid out."""

    explicit: bool
    head: Struct  # group, element, VR and short length
    length: Struct


IMPLICIT: Final = Encoding(explicit=False, head=Struct("<HH2sH"), length=Struct("<L"))
EXPLICIT: Final = Encoding(explicit=True, head=Struct("<HH2sH"), length=Struct("<L"))
BIG_ENDIAN: Final = Encoding(explicit=True, head=Struct(">HH2sH"), length=Struct(">L"))

# PS3.5 §A.5, §A.7 and §A.11: also where the pixel data are elsewhere.
DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})
# PS3.5 §A: every other transfer syntax of the standard is explicit VR little endian.
ENCODINGS: Final = {"1.2.840.10008.1.2": IMPLICIT, "1.2.840.10008.1.2.2": BIG_ENDIAN}


def uid_text(value: bytes) -> str:
    """A UID's characters without padding. Raises Part10InvalidError for what is no text of a UID."""
    try:
        return value.rstrip(b"\0 ").decode("ascii")
    except UnicodeDecodeError:
        raise Part10InvalidError("a UID that is none") from None
