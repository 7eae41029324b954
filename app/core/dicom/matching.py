"""Attribute matching of PS3.4 §C.2.2.2 on DICOM JSON data sets, compiled once per search.

Single values and wildcards are case-sensitive but for person names, which are compared without regard to case,
component group by component group. Several values match if any one does. Fuzzy matching is not offered: PS3.18
§8.3.4.2 then asks for literal matching and a Warning, so that nothing here depends on it.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from app.core.dicom.attributes import DATE_TIME_PAIRS, MODALITIES_IN_STUDY, dictionary_vr
from app.core.dicom.dicomweb import Matching
from app.core.dicom.temporal import Span, join, key_span, moment_of

DicomJson = dict[str, Any]
Test = Callable[[Mapping[str, Any]], bool]
_ValueTest = Callable[[object], bool]

_TEXT: Final = frozenset({"AE", "AS", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"})
_WILD: Final = _TEXT - {"AS"}
_TEMPORAL: Final = frozenset({"DA", "TM", "DT"})
_NUMERIC: Final = frozenset({"IS", "DS", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "US or SS"})
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_UID_LENGTH: Final = 64


# What stands for a value that is not there (PS3.18 §F.2.5), and padding alone (PS3.5 §6.2).
_NO_VALUES: Final[tuple[object, ...]] = (None, "", " ", {})


class MatchingValueError(ValueError):
    """A value that the attribute's VR cannot be matched with. Its text is empty: values come from callers."""


def is_list_key(tag: str) -> bool:
    """Whether the key takes a list by commas: UIDs (PS3.18 §8.3.4.1), and ModalitiesInStudy as viewers send it."""
    return tag == MODALITIES_IN_STUDY or dictionary_vr(tag) == "UI"


def check_value(path: Sequence[str], value: str) -> None:
    """Raises MatchingValueError unless the attribute at the end of the path can be matched with the value."""
    if not _is_universal(path, value):
        _value_test(path[-1], value)


def compile_matching(matching: Sequence[Matching]) -> Test:
    """One test of a data set for all the keys, each already checked by check_value (else MatchingValueError)."""
    keys: dict[str, Any] = {}
    for key in matching:
        if _is_universal(key.path, key.value):
            continue
        node = keys
        for tag in key.path[:-1]:
            node = node.setdefault(tag, {})
        node[key.path[-1]] = None if key.empty else key.value
    return _all_of(keys)


def matches(matching: Sequence[Matching], dataset: Mapping[str, Any]) -> bool:
    """Whether one data set matches. For many, compile once."""
    return compile_matching(matching)(dataset)


def _is_universal(path: Sequence[str], value: str) -> bool:
    # PS3.4 §C.2.2.2.3, and §C.2.2.2.4 note 1 for a value of nothing but "*"
    return not value.strip("*") and (not value or dictionary_vr(path[-1]) in _WILD | {"PN"})


def _all_of(keys: dict[str, Any]) -> Test:
    """A test that every key holds, for a data set or for one item of a sequence."""
    tests: list[Test] = []
    paired: set[str] = set()
    for date_tag, time_tag in DATE_TIME_PAIRS.items():
        if keys.get(date_tag) and keys.get(time_tag) and (moments := _moments(keys[date_tag], keys[time_tag])):
            tests.append(_moment_test(date_tag, time_tag, moments))
            paired |= {date_tag, time_tag}
    for tag, key in keys.items():
        if tag in paired:
            continue
        if key is None:
            tests.append(_empty_test(tag))
        else:
            tests.append(_sequence_test(tag, _all_of(key)) if isinstance(key, dict) else _element_test(tag, key))
    if len(tests) == 1:
        return tests[0]
    return lambda dataset: all(test(dataset) for test in tests)


def _moments(date: str, time: str) -> Span | None:
    date_span, time_span = key_span("DA", date), key_span("TM", time)
    return join(date_span, time_span) if date_span and time_span else None


def _moment_test(date_tag: str, time_tag: str, moments: Span) -> Test:
    def test(dataset: Mapping[str, Any]) -> bool:
        dates, times = _values(dataset, date_tag), _values(dataset, time_tag)
        if not (dates and times and isinstance(dates[0], str) and isinstance(times[0], str)):
            return False
        date, time = moment_of("DA", dates[0]), moment_of("TM", times[0])
        return date is not None and time is not None and moments.holds(date + time)

    return test


def _sequence_test(tag: str, item_test: Test) -> Test:
    # PS3.4 §C.2.2.2.6: one item must match every key
    return lambda dataset: any(isinstance(item, dict) and item_test(item) for item in _values(dataset, tag))


def _element_test(tag: str, text: str) -> Test:
    value_test = _value_test(tag, text)
    return lambda dataset: any(value is not None and value_test(value) for value in _values(dataset, tag))


def _empty_test(tag: str) -> Test:
    # PS3.4 §C.2.2.2.7: missing, of zero length, or a sequence without items
    return lambda dataset: all(value in _NO_VALUES for value in _values(dataset, tag))


def _values(dataset: Mapping[str, Any], tag: str) -> Sequence[Any]:
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else ()


def _value_test(tag: str, text: str) -> _ValueTest:
    """The test of one value. Raises MatchingValueError where the VR and the text do not go together."""
    vr = dictionary_vr(tag)
    if is_list_key(tag):
        return _uids_test(text.split(",")) if vr == "UI" else _any_text_test(text.split(","))
    if vr in _TEXT:
        return _text_test(vr, text)
    if vr == "PN":
        return _name_test(text)
    if vr in _TEMPORAL:
        span = key_span(vr, text)
        if span is None:
            raise MatchingValueError
        return _temporal_test(vr, span)
    if vr in _NUMERIC and _NUMBER.fullmatch(text):
        return _number_test(Decimal(text))
    raise MatchingValueError


def _uids_test(wanted: Sequence[str]) -> _ValueTest:
    if not all(len(uid) <= _UID_LENGTH and _UID.fullmatch(uid) for uid in wanted):
        raise MatchingValueError
    uids = frozenset(wanted)
    return lambda value: isinstance(value, str) and value.rstrip("\0 ") in uids


def _any_text_test(wanted: Sequence[str]) -> _ValueTest:
    if not all(wanted):
        raise MatchingValueError
    tests = [_text_test("CS", one) for one in wanted]
    return lambda value: any(test(value) for test in tests)


def _temporal_test(vr: str, span: Span) -> _ValueTest:
    def test(value: object) -> bool:
        moment = moment_of(vr, value) if isinstance(value, str) else None
        return moment is not None and span.holds(moment)

    return test


def _number_test(number: Decimal) -> _ValueTest:
    def test(value: object) -> bool:  # DICOM JSON allows numbers and strings for IS and DS (PS3.18 §F.2.3)
        try:
            return Decimal(str(value)) == number
        except InvalidOperation:
            return False

    return test


def _text_test(vr: str, text: str) -> _ValueTest:
    key = text.strip(" ")  # padding is not significant (PS3.5 §6.2)
    if vr in _WILD and not _WILDCARDS.isdisjoint(key):
        wild = wildcard(key)
        return lambda value: isinstance(value, str) and wild(value.strip(" "))
    return lambda value: isinstance(value, str) and value.strip(" ") == key


_WILDCARDS: Final = frozenset("*?")
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def _name_group(group: str) -> str:
    # Trailing delimiters and spaces say nothing (PS3.5 §6.2.1)
    return unicodedata.normalize("NFC", group).casefold().rstrip("^ ")


def name_text(value: object) -> str | None:
    """A person name's component groups as they are compared, joined by "="; None for what is no name."""
    groups = _groups_of(value)
    return None if groups is None else "=".join(groups)


def name_pattern(text: str) -> str | None:
    """The wildcard pattern that a key of one component group is compared by; None for a key of several."""
    return None if "=" in text else _name_group(text)


def _groups_of(value: object) -> list[str] | None:
    if isinstance(value, str):  # older archives write a plain string
        value = dict(zip(_GROUPS, value.split("="), strict=False))
    if not isinstance(value, dict):
        return None
    return [_name_group(group) if isinstance(group := value.get(name), str) else "" for name in _GROUPS]


def _name_test(text: str) -> _ValueTest:
    """A key of one component group matches in any group; of several, each that is not empty in its own."""
    tests = [wildcard(group) if group else None for group in map(_name_group, text.split("="))]
    if len(tests) > len(_GROUPS) or not any(tests):
        raise MatchingValueError

    def test(value: object) -> bool:
        groups = _groups_of(value)
        if groups is None:
            return False
        if len(tests) == 1:
            return any(group and fits(group) for group in groups for fits in tests if fits)
        return all(fits is None or fits(group) for fits, group in zip(tests, groups, strict=False))

    return test


def wildcard(pattern: str) -> Callable[[str], bool]:
    """A test for a pattern of ``*`` (any characters) and ``?`` (one). Never worse than both lengths multiplied."""
    if _WILDCARDS.isdisjoint(pattern):
        return lambda value: value == pattern
    head, *middle = pattern.split("*")
    if not middle:
        return lambda value: len(value) == len(head) and _fits(head, value, 0)
    tail = middle.pop()
    pieces = [piece for piece in middle if piece]

    def test(value: str) -> bool:
        end = len(value) - len(tail)
        if len(head) > end or not _fits(head, value, 0) or not _fits(tail, value, end):
            return False
        at = len(head)
        for piece in pieces:  # the leftmost fit of each piece leaves the most room for the next
            if "?" not in piece:
                at = value.find(piece, at, end)
            else:
                at = next((i for i in range(at, end - len(piece) + 1) if _fits(piece, value, i)), -1)
            if at < 0:
                return False
            at += len(piece)
        return True

    return test


def _fits(piece: str, value: str, at: int) -> bool:
    return all(want in ("?", value[at + offset]) for offset, want in enumerate(piece))
