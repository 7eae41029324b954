"""Text of DICOM files in the character sets of PS3.3 §C.12.1.1.2, decoded as PS3.5 §6.1.2.5 has it, or not at all.

pydicom and the archives put a replacement where they cannot decode. Here such a text is none: two patients must not
look like one because their ids have been mangled alike.
"""

import re
from collections.abc import Sequence
from typing import Final

_SINGLE_BYTE: Final = {
    "6": "ascii",
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "166": "iso8859_11",
    "203": "iso8859_15",
}
# Defined terms → Python's codecs. Python's name for JIS X 0201 is shift_jis: it holds it.
_CODECS: Final[dict[str, str]] = {
    "": "ascii",
    **{f"ISO_IR {number}": codec for number, codec in _SINGLE_BYTE.items()},
    **{f"ISO 2022 IR {number}": codec for number, codec in _SINGLE_BYTE.items()},
    "ISO_IR 13": "shift_jis",
    "ISO 2022 IR 13": "shift_jis",
    "ISO 2022 IR 87": "iso2022_jp",
    "ISO 2022 IR 159": "iso2022_jp_2",
    "ISO 2022 IR 149": "euc_kr",
    "ISO 2022 IR 58": "gb2312",
    "ISO_IR 192": "utf_8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
# These admit no other beside them, nor a code extension (PS3.3 §C.12.1.1.2).
_ALONE: Final = frozenset({"ISO_IR 192", "GB18030", "GBK"})

# PS3.3 Tables C.12-3 and C.12-4: what an escape sequence switches to.
_ESCAPES: Final[dict[bytes, str]] = {
    b"\x1b(B": "ascii",
    b"\x1b-A": "latin_1",
    b"\x1b-B": "iso8859_2",
    b"\x1b-C": "iso8859_3",
    b"\x1b-D": "iso8859_4",
    b"\x1b-F": "iso8859_7",
    b"\x1b-G": "iso8859_6",
    b"\x1b-H": "iso8859_8",
    b"\x1b-L": "iso8859_5",
    b"\x1b-M": "iso8859_9",
    b"\x1b-T": "iso8859_11",
    b"\x1b-b": "iso8859_15",
    b"\x1b)I": "shift_jis",
    b"\x1b(J": "shift_jis",
    b"\x1b$B": "iso2022_jp",
    b"\x1b$(D": "iso2022_jp_2",
    b"\x1b$)C": "euc_kr",
    b"\x1b$)A": "gb2312",
}
# Python's codecs of these read the escape sequence themselves.
_SELF_ESCAPING: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})
_FRAGMENT: Final = re.compile(rb"(\x1b(?:\$[()].|..))?([^\x1b]*)", re.DOTALL)
# Behind these the text is in the first character set again (PS3.5 §6.1.2.5.3).
_RESET: Final = re.compile(rb"[\t\n\f\r]")
_MISSPELT: Final = re.compile(r"ISO(?:(.)(2022).IR.|.IR.)([0-9]+)")


def codecs_of(terms: Sequence[str]) -> tuple[str, ...] | None:
    """Python's codecs for the values of Specific Character Set (0008,0005); None where one is not known.

    The spellings with other separators that are found in files ("ISO-IR 100") are read as what they mean.
    """
    spelt = [_spelt(term.strip(" \0")) for term in terms] or [""]
    codecs = [_CODECS.get(term) for term in spelt]
    if None in codecs or (len(spelt) > 1 and not _ALONE.isdisjoint(spelt)):
        return None
    return tuple(codec for codec in codecs if codec is not None)


def _spelt(term: str) -> str:
    found = _MISSPELT.fullmatch(term)
    if found is None:
        return term
    return f"ISO 2022 IR {found[3]}" if found[2] else f"ISO_IR {found[3]}"


def decoded(value: bytes, codecs: Sequence[str] | None) -> str | None:
    """The text, None where it cannot be told. Plain ASCII is the same in every character set, also an unknown one."""
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    fragments: list[tuple[bytes, bytes]] = _FRAGMENT.findall(value)
    if codecs is None or b"".join(map(b"".join, fragments)) != value:  # an escape that is cut short fits no fragment
        return None
    try:
        return "".join(_fragment(escape, text, codecs) for escape, text in fragments)
    except UnicodeDecodeError:
        return None


def _fragment(escape: bytes, text: bytes, codecs: Sequence[str]) -> str:
    """Raises UnicodeDecodeError where the text is not of the character set, or that one was not announced."""
    if not escape:
        return text.decode(codecs[0])
    codec = _ESCAPES.get(escape)
    if codec is None or (codec not in codecs and codec != "ascii"):
        raise UnicodeDecodeError("dicom", escape, 0, len(escape), "not announced")
    if codec in _SELF_ESCAPING:
        return (escape + text).decode(codec)
    reset = _RESET.search(text)
    at = reset.start() if reset else len(text)
    return text[:at].decode(codec) + text[at:].decode(codecs[0])
