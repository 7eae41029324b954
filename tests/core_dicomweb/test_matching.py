"""Attribute matching of PS3.4 §C.2.2.2, key by key."""

import fnmatch
import re
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.dicom.dicomweb import Matching
from app.core.dicom.matching import (
    MatchingValueError,
    check_value,
    compile_matching,
    matches,
    name_pattern,
    name_text,
    wildcard,
)
from app.core.dicom.temporal import Span, key_span, moment_of

PATIENT, NAME, DATE, TIME = "00100020", "00100010", "00080020", "00080030"
MODALITIES, STUDY, MOMENT, SIZE, ROWS = "00080061", "0020000D", "0008002A", "00101020", "00280010"


def _element(*values: Any) -> dict[str, Any]:
    return {"vr": "LO", "Value": list(values)}


def _matches(tag: str, key: str, *values: Any) -> bool:
    check_value((tag,), key)
    return matches([Matching((tag,), key)], {tag: _element(*values)})


# (tag, key, stored values, does it match)
SINGLE: Final = [
    # PS3.4 §C.2.2.2.1: literal, case and all
    (PATIENT, "MRN1", ["MRN1"], True),
    (PATIENT, "MRN1", ["mrn1"], False),
    (PATIENT, "MRN1", ["MRN10"], False),
    (PATIENT, " MRN1 ", ["MRN1  "], True),
    (PATIENT, "MRN1", ["OTHER", "MRN1"], True),
    (PATIENT, "MRN1", [], False),
    (PATIENT, "MRN1", [None], False),
    (PATIENT, "MRN1", [7], False),
    (PATIENT, "a,b", ["a,b"], True),
    # §C.2.2.2.3: universal
    (PATIENT, "", [], True),
    (PATIENT, "*", [], True),
    (PATIENT, "**", [None], True),
    (NAME, "*", [], True),
    # §C.2.2.2.4: wildcards
    (PATIENT, "MRN*", ["MRN1"], True),
    (PATIENT, "mrn*", ["MRN1"], False),
    (PATIENT, "M?N1", ["MRN1"], True),
    (PATIENT, "M?1", ["MRN1"], False),
    (PATIENT, "?", [""], False),
    (PATIENT, "*N*1", ["MRN1"], True),
    (PATIENT, "MRN*", [None], False),
    (PATIENT, "MRN*", [7], False),
    (PATIENT, "M.N1", ["MRN1"], False),
    ("00101010", "01?Y", ["012Y"], False),  # AS takes none
    # §C.2.2.2.1.1: names, without regard to case, group by group
    (NAME, "doe^john", [{"Alphabetic": "Doe^John"}], True),
    (NAME, "Doe", [{"Alphabetic": "Doe^John"}], False),
    (NAME, "Doe*", [{"Alphabetic": "Doe^John"}], True),
    (NAME, "Doe^John^^", [{"Alphabetic": "Doe^John"}], True),
    (NAME, "Doe^John", [{"Alphabetic": "Doe^John^^^ "}], True),
    (NAME, "MÜLLER*", [{"Alphabetic": "Müller^Anna"}], True),
    (NAME, "Mu\u0308ller^Anna", [{"Alphabetic": "M\u00fcller^Anna"}], True),
    (NAME, "山田*", [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}], True),
    (NAME, "Yamada*=山田*", [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}], True),
    (NAME, "=山田*", [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}], True),
    (NAME, "山田*=Yamada*", [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}], False),
    (NAME, "Yamada*==*たろう", [{"Alphabetic": "Yamada^Tarou", "Phonetic": "やまだ^たろう"}], True),
    (NAME, "doe*", ["Doe^John=X"], True),
    (NAME, "x", ["Doe^John=X"], True),
    (NAME, "doe*", [7], False),
    (NAME, "doe*", [{"Alphabetic": 7}], False),
    # §C.2.2.2.1.3 and §C.2.2.2.5: dates and times by meaning, and ranges of them
    (DATE, "20200101", ["20200101"], True),
    (DATE, "20200101", ["2020.01.01"], True),
    (DATE, "20200101", ["20200102"], False),
    (DATE, "20200101-20201231", ["20200101"], True),
    (DATE, "20200101-20201231", ["20201231"], True),
    (DATE, "20200101-20201231", ["20210101"], False),
    (DATE, "20200101 - 20201231", ["20200701"], True),
    (DATE, "20200101-", ["20991231"], True),
    (DATE, "-20200101", ["20200102"], False),
    (DATE, "-20200101", ["19000101"], True),
    (DATE, "20201231-20200101", ["20200701"], False),
    (DATE, "20200101-", [""], False),
    (DATE, "20200101-", ["yesterday"], False),
    (DATE, "20200101-", [20200101], False),
    (TIME, "2230", ["223000"], True),
    (TIME, "223000", ["2230"], True),
    (TIME, "2230", ["22:30:59.9"], True),
    (TIME, "2230", ["2231"], False),
    (TIME, "10-12", ["125959.999999"], True),
    (TIME, "10-12", ["13"], False),
    (MOMENT, "19980128103000.0000", ["19980128103000"], True),
    (MOMENT, "19980128103000+0000", ["19980128073000-0300"], True),
    (MOMENT, "19980128103000", ["19980128103000+0100"], False),
    (MOMENT, "1998", ["199801281030"], True),
    (MOMENT, "1998-1999", ["19991231235959"], True),
    (MOMENT, "19980128103000-0200-19980128103000-0300", ["19980128130000+0000"], True),
    (MOMENT, "199801-", ["199712312359+0100"], False),
    (MOMENT, "199801+0100", ["19980115"], True),
    (MOMENT, "19981231235960+0000", ["19981231235959+0000"], True),
    # Numbers by value
    (SIZE, "1.80", ["1.8"], True),
    (SIZE, "1.8", [1.8], True),
    (SIZE, "1.8", ["18e-1"], True),
    (SIZE, "1.8", ["tall"], False),
    (ROWS, "512", [512], True),
    (ROWS, "512", [511], False),
    ("00200013", "007", ["7"], True),
    # §C.2.2.2.2: lists
    (STUDY, "1.2,1.3", ["1.3"], True),
    (STUDY, "1.2,1.3", ["1.3 \0"], True),
    (STUDY, "1.2,1.3", ["1.4"], False),
    (STUDY, "1.2", ["01.2"], False),
    (STUDY, "1.2", [7], False),
    (MODALITIES, "CT,MR", ["SR", "MR"], True),
    (MODALITIES, "CT,MR", ["SR", "US"], False),
    (MODALITIES, "C?", ["CT"], True),
    (MODALITIES, "CT", [], False),
]


@pytest.mark.parametrize(("tag", "key", "stored", "expected"), SINGLE)
def test_a_key_matches_as_the_standard_says(tag: str, key: str, stored: list[Any], *, expected: bool) -> None:
    assert _matches(tag, key, *stored) == expected


INVALID: Final = [
    (STUDY, "1.2*"),
    (STUDY, "*"),
    (STUDY, "1.2,,1.3"),
    (STUDY, "1" * 65),
    (DATE, "2020"),
    (DATE, "20201301"),
    (DATE, "20200132"),
    (DATE, "-"),
    (DATE, "20200101--"),
    (DATE, "20200101-2020"),
    (DATE, "２０２００１０１"),  # noqa: RUF001
    (TIME, "24"),
    (TIME, "1060"),
    (TIME, "101.5"),
    (MOMENT, "20200231100000+0100"),
    (MOMENT, "20200231100000+0100-"),
    (MOMENT, "-20200231100000+0100"),
    (MOMENT, "00000101000000+0100"),
    (MOMENT, "00010101000000+0100"),
    (SIZE, "1,8"),
    (SIZE, "NaN"),
    (ROWS, "0x10"),
    (NAME, "a=b=c=d"),
    (NAME, "=="),
    (MODALITIES, "CT,"),
    ("00101002", "x"),
    ("7FE00010", "x"),
]


@pytest.mark.parametrize(("tag", "key"), INVALID)
def test_a_key_that_its_vr_cannot_take_is_refused(tag: str, key: str) -> None:
    with pytest.raises(MatchingValueError):
        check_value((tag,), key)


def test_every_key_must_match_and_none_matches_everything() -> None:
    dataset = {PATIENT: _element("A"), DATE: _element("20200101")}
    assert compile_matching([])(dataset)
    assert matches([Matching((PATIENT,), "A"), Matching((DATE,), "2020010 1".replace(" ", ""))], dataset)
    assert not matches([Matching((PATIENT,), "A"), Matching((DATE,), "20200102")], dataset)
    assert not matches([Matching((PATIENT,), "A")], {PATIENT: "not an element"})
    assert not matches([Matching((PATIENT,), "A")], {PATIENT: {"vr": "LO", "Value": "A"}})


REQUEST, STEP, PROCEDURE = "00400275", "00400009", "00401001"


def test_one_item_of_a_sequence_must_match_every_key() -> None:
    keys = [Matching((REQUEST, STEP), "S1"), Matching((REQUEST, PROCEDURE), "P1")]
    together = {STEP: _element("S1"), PROCEDURE: _element("P1")}
    apart = [{STEP: _element("S1"), PROCEDURE: _element("P2")}, {STEP: _element("S2"), PROCEDURE: _element("P1")}]
    assert matches(keys, {REQUEST: {"vr": "SQ", "Value": [*apart, together]}})
    assert not matches(keys, {REQUEST: {"vr": "SQ", "Value": apart}})
    assert not matches(keys, {REQUEST: {"vr": "SQ", "Value": [None, "x"]}})
    assert not matches(keys, {REQUEST: {"vr": "SQ"}})
    assert matches([Matching((REQUEST, STEP), "")], {})
    assert matches(
        [Matching((REQUEST, REQUEST, STEP), "S1")],
        {REQUEST: {"vr": "SQ", "Value": [{REQUEST: {"vr": "SQ", "Value": [together]}}]}},
    )


# PS3.4 §C.2.2.2.5.4: two ranges of the same form make one span of moments
COMBINED: Final = [
    ("20060705-20060707", "1000-1800", "20060706", "0300", True),
    ("20060705-20060707", "1000-1800", "20060705", "0959", False),
    ("20060705-20060707", "1000-1800", "20060707", "180059", True),
    ("20060705-20060707", "1000-1800", "20060707", "1801", False),
    ("20060705-20060707", "2200-0600", "20060707", "0559", True),
    ("20060705-", "1000-", "20060706", "0100", True),
    ("-20060705", "-1000", "20060704", "2300", True),
    # Of different forms, or no ranges: each by itself
    ("20060705-20060707", "1000-", "20060706", "0300", False),
    ("20060705", "1000-1800", "20060705", "1200", True),
    ("20060705-20060707", "1000", "20060706", "1000", True),
]


@pytest.mark.parametrize(("date_key", "time_key", "date", "time", "expected"), COMBINED)
def test_a_date_and_a_time_range_make_one_span(
    date_key: str, time_key: str, date: str, time: str, *, expected: bool
) -> None:
    keys = [Matching((TIME,), time_key), Matching((PATIENT,), "A"), Matching((DATE,), date_key)]
    dataset = {PATIENT: _element("A"), DATE: _element(date), TIME: _element(time)}
    assert matches(keys, dataset) == expected


@pytest.mark.parametrize(
    "missing",
    [
        {},
        {DATE: _element("20060706")},
        {DATE: _element(7), TIME: _element("03")},
        {DATE: _element("x"), TIME: _element("03")},
    ],
)
def test_a_moment_that_is_not_known_is_in_no_span(missing: dict[str, Any]) -> None:
    assert not matches([Matching((DATE,), "20060705-20060707"), Matching((TIME,), "10-18")], missing)


_PATTERN: Final = st.text(alphabet="ab*?[]", max_size=12)


@given(pattern=_PATTERN, value=st.text(alphabet="ab[]*?", max_size=12))
def test_wildcards_mean_what_a_regular_expression_says(pattern: str, value: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern)
    assert wildcard(pattern)(value) == bool(re.fullmatch(expression, value, re.DOTALL))
    if "[" not in pattern:
        assert wildcard(pattern)(value) == fnmatch.fnmatchcase(value, pattern)


def test_a_pattern_made_to_be_slow_is_not() -> None:
    assert not wildcard("*a" * 500 + "*b")("a" * 10_000)
    assert not wildcard("*?a" * 100 + "*b")("a" * 2_000)


@given(vr=st.sampled_from(["DA", "TM", "DT"]), text=st.text(alphabet="0123456789.+- :", max_size=24))
def test_any_text_is_a_span_or_none(vr: str, text: str) -> None:
    span, moment = key_span(vr, text), moment_of(vr, text)
    width = {"DA": 8, "TM": 12, "DT": 20}[vr]
    if span is not None:
        assert {len(bound) for bound in (span.first, span.last) if bound is not None} == {width}
        if not span.ranged:
            assert moment is None or span.holds(moment)
    assert moment is None or len(moment) == width


def test_an_open_span_holds_what_is_on_its_side() -> None:
    assert Span(None, "5", ranged=True).holds("4")
    assert not Span("5", None, ranged=True).holds("4")


EMPTY = [
    ({}, True),
    ({"00200010": {"vr": "SH"}}, True),
    ({"00200010": {"vr": "SH", "Value": []}}, True),
    ({"00200010": {"vr": "SH", "Value": [None]}}, True),
    ({"00200010": {"vr": "SH", "Value": [""]}}, True),
    ({"00200010": {"vr": "SH", "Value": ["1"]}}, False),
    ({"00200010": {"vr": "SH", "Value": [None, "1"]}}, False),
]


@pytest.mark.parametrize(("dataset", "expected"), EMPTY)
def test_two_quotation_marks_find_what_has_no_value(dataset: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    """PS3.4 §C.2.2.2.7."""
    assert matches([Matching(("00200010",), '""', empty=True)], dataset) is expected
    quoted = dataset | {"00200010": {"vr": "SH", "Value": ['""']}}
    assert matches([Matching(("00200010",), '""')], quoted)


def test_an_empty_date_is_not_half_of_a_moment() -> None:
    keys = [Matching(("00080020",), '""', empty=True), Matching(("00080030",), "10-12")]
    assert matches(keys, {"00080030": {"vr": "TM", "Value": ["11"]}})
    assert not matches(keys, {"00080030": {"vr": "TM", "Value": ["13"]}})


def test_a_name_as_it_is_compared() -> None:
    assert name_text({"Alphabetic": "Doe^John^^", "Phonetic": "X"}) == "doe^john==x"
    assert name_text("Doe^John=Y") == "doe^john=y="
    assert name_text(7) is None
    assert (name_pattern("Müller^*"), name_pattern("a=b")) == ("müller^*", None)
