"""Character sets: what pydicom reads without a doubt is read alike, and what it would guess at is refused."""

import warnings
from typing import Final

import pydicom.charset
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.valuerep import TEXT_VR_DELIMS

from app.core.dicom.charsets import codecs_of, decoded

TERMS: Final = [
    ([], ("ascii",)),
    ([""], ("ascii",)),
    (["ISO_IR 100"], ("latin_1",)),
    (["ISO_IR 192 "], ("utf_8",)),
    (["ISO-IR 100"], ("latin_1",)),
    (["ISO 2022-IR 100"], ("latin_1",)),
    (["", "ISO 2022 IR 149"], ("ascii", "euc_kr")),
    (["ISO_2022_IR_13", "ISO 2022 IR 87"], ("shift_jis", "iso2022_jp")),
    (["GBK"], ("gbk",)),
    # Guessed at by others
    (["ISO_IR 192", "ISO 2022 IR 100"], None),
    (["", "GB18030"], None),
    (["ISO_IR 999"], None),
    (["rot13"], None),
    (["latin1"], None),
]


@pytest.mark.parametrize(("terms", "codecs"), TERMS)
def test_the_terms_of_the_standard_name_codecs(terms: list[str], codecs: tuple[str, ...] | None) -> None:
    assert codecs_of(terms) == codecs


# The examples of PS3.5 Annexes H to K, and their neighbours
TEXTS: Final = [
    (["ISO_IR 100"], b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
    (["ISO_IR 144"], b"\xbb\xee\xda\x63\x65\xdc\xd1\x79\x70\xd3 ", "Люкceмбypг "),  # noqa: RUF001
    (["ISO_IR 13"], b"\xd4\xcf\xc0\xde", "ﾔﾏﾀﾞ"),
    (["", "ISO 2022 IR 87"], b"Yamada=\x1b$B;3ED\x1b(B=x", "Yamada=山田=x"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], b"\xd4\xcf\x1b$B;3ED\x1b(J^x", "ﾔﾏ山田^x"),
    (["", "ISO 2022 IR 149"], b"\x1b$)C\xb1\xe8\xc8\xf1\xc1\xdf", "김희중"),
    (["", "ISO 2022 IR 149"], b"\x1b$)C\xb1\xe8\r\nabc", "김\r\nabc"),
    (["", "ISO 2022 IR 58"], b"\x1b$)A\xcd\xf5", "王"),
    (["ISO 2022 IR 100", "ISO 2022 IR 144"], b"\xe9\x1b-L\xbb\xee", "éЛю"),
    (["ISO 2022 IR 100", "ISO 2022 IR 159"], b"\xe9\x1b$(D\x30\x21\x1b(B", "é丂"),
    (["ISO_IR 192"], "患者-1014".encode(), "患者-1014"),
    (["GB18030"], "王^小东".encode("gb18030"), "王^小东"),
    (["ISO_IR 999"], b"plain", "plain"),
    (["ISO_IR 999"], b"\xe9", None),
    ([""], b"\xe9", None),
    (["ISO_IR 192"], b"\xe9", None),
    (["ISO_IR 100"], b"\x1b-L\xbb", None),  # not announced
    (["", "ISO 2022 IR 87"], b"\x1b$X;3", None),
    (["", "ISO 2022 IR 149"], b"\x1b$)C\xb1", None),
    (["", "ISO 2022 IR 87"], b"x\x1b", None),
]


@pytest.mark.parametrize(("terms", "value", "text"), TEXTS)
def test_text_is_decoded_or_none(terms: list[str], value: bytes, text: str | None) -> None:
    assert decoded(value, codecs_of(terms)) == text


_DECLARED: Final = st.sampled_from(
    [
        ["ISO_IR 100"],
        ["ISO_IR 192"],
        ["GB18030"],
        ["ISO_IR 13"],
        ["ISO 2022 IR 100", "ISO 2022 IR 126", "ISO 2022 IR 144"],
        ["", "ISO 2022 IR 87"],
        ["", "ISO 2022 IR 149"],
        ["ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 159"],
    ]
)
_PIECE: Final = st.sampled_from(
    [b"\x1b(B", b"\x1b-A", b"\x1b-F", b"\x1b-L", b"\x1b$B", b"\x1b(J", b"\x1b$)C", b"\x1b)I"]
)


@given(terms=_DECLARED, pieces=st.lists(_PIECE | st.binary(max_size=6), max_size=6))
def test_what_is_decoded_is_what_pydicom_reads(terms: list[str], pieces: list[bytes]) -> None:
    value = b"".join(pieces)
    text = decoded(value, codecs_of(terms))
    if text is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        codecs = pydicom.charset.convert_encodings(terms)
        theirs = pydicom.charset.decode_bytes(value, codecs, TEXT_VR_DELIMS)
    assert text == theirs


@given(st.lists(st.binary(max_size=8) | _PIECE).map(b"".join), st.lists(st.text(max_size=16), max_size=3))
def test_any_bytes_in_any_character_set_are_decoded_or_none(value: bytes, terms: list[str]) -> None:
    assert decoded(value, codecs_of(terms)) is None or codecs_of(terms) is not None or value.isascii()
