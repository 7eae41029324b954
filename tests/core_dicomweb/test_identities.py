"""Identities as they stand in data sets and files, what a study's fingerprint changes with, and what may pass."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.dicom.dicomjson import identity
from app.core.dicom.identities import Accepted, FoundIdentity, StudyIdentities
from app.core.dicom.part10 import Part10Identity
from app.core.identifiers import Subject

ANNA = FoundIdentity(("ANNA",), ("A",))
BERT = FoundIdentity(("BERT",), ())
NOBODY = FoundIdentity((), ())
BOTH = FoundIdentity(("ANNA", "BERT"), ())

# (0010,0020) and (0010,0021) as archives write them × what is found × whether a PatientID is there and holds nothing.
READ: list[tuple[dict[str, Any], tuple[str, ...], tuple[str, ...], bool]] = [
    ({}, (), (), False),
    ({"00100020": {"vr": "LO"}}, (), (), True),
    ({"00100020": {"vr": "LO", "Value": []}}, (), (), True),
    ({"00100020": {"vr": "LO", "Value": [None]}}, (), (), True),
    ({"00100020": {"vr": "LO", "Value": [""]}}, (), (), True),
    ({"00100020": {"vr": "LO", "Value": ["  \0"]}}, (), (), True),
    ({"00100020": {"vr": "LO", "Value": [None, ""]}}, ("", ""), (), False),
    ({"00100020": {"Value": ["ANNA"]}, "00100021": {"Value": ["", ""]}}, ("ANNA",), ("", ""), False),
    ({"00100020": {"vr": "LO", "Value": ["ANNA"]}}, ("ANNA",), (), False),
    ({"00100020": {"vr": "LO", "Value": [" ANNA "]}}, ("ANNA",), (), False),
    ({"00100020": {"vr": "LO", "Value": ["ANNA", "BERT"]}}, ("ANNA", "BERT"), (), False),
    ({"00100020": {"vr": "LO", "Value": ["ANNA\\BERT"]}}, ("ANNA", "BERT"), (), False),
    ({"00100020": {"vr": "LO", "Value": ["ANNA", None]}}, ("ANNA", ""), (), False),
    ({"00100020": {"vr": "LO", "Value": [7]}}, ("", "7"), (), False),
    ({"00100020": {"vr": "LO", "Value": "ANNA"}}, ("", "'ANNA'"), (), False),
    ({"00100020": "ANNA"}, (), (), True),
    ({"00100020": {"Value": ["ANNA"]}, "00100021": {"Value": ["A "]}}, ("ANNA",), ("A",), False),
    ({"00100020": {"Value": ["ANNA"]}, "00100021": {"Value": ["A", "B"]}}, ("ANNA",), ("A", "B"), False),
    ({"00100021": {"Value": ["A"]}}, (), ("A",), False),
]


@pytest.mark.parametrize(("dataset", "patient_ids", "issuers", "blank"), READ)
def test_every_value_is_found(
    dataset: dict[str, Any], patient_ids: tuple[str, ...], issuers: tuple[str, ...], *, blank: bool
) -> None:
    found = FoundIdentity.of_dataset(dataset)
    assert (found.patient_ids, found.issuers, found.blank) == (patient_ids, issuers, blank)
    assert found.subject == identity(dataset)
    assert found.names_somebody == bool(identity(dataset).patient_id)
    assert FoundIdentity.parse(found.text, blank=found.blank) == found
    assert FoundIdentity.parse(found.text, blank=not found.blank).blank is not found.blank


_TEXTS = st.text(st.characters(exclude_characters="\\", exclude_categories=["Cs"]), max_size=6)


@given(values=st.lists(_TEXTS | st.none(), max_size=3), issuers=st.lists(_TEXTS, max_size=2))
def test_whoever_is_named_is_named_alike_and_texts_tell_identities_apart(
    values: list[str | None], issuers: list[str]
) -> None:
    dataset = {"00100020": {"vr": "LO", "Value": values}, "00100021": {"vr": "LO", "Value": issuers}}
    found = FoundIdentity.of_dataset(dataset)
    assert found.subject == identity(dataset)
    assert FoundIdentity.parse(found.text, blank=found.blank) == found
    for other in (ANNA, BERT, NOBODY, BOTH):
        assert (found.text == other.text) == (found == other)
    if found.names_somebody:
        assert FoundIdentity.of_subject(found.subject) == found


def _file(patient_ids: tuple[str, ...], issuers: tuple[str, ...] = (), instance: str = "1.1") -> Part10Identity:
    return Part10Identity("1", "1.0", instance, patient_ids, issuers, "1.2.840.10008.1.2.1")


def test_files_and_data_sets_tell_the_same() -> None:
    assert FoundIdentity.of_file(_file(("ANNA",), ("A",))) == ANNA
    assert FoundIdentity.of_file(_file(())) == NOBODY == FoundIdentity.of_subject(Subject("", ""))
    assert FoundIdentity.of_file(_file(("", ""))) != NOBODY
    assert not FoundIdentity.of_file(_file(("", ""))).names_somebody
    assert FoundIdentity.of_file(_file(("ANNA", "BERT"))) == BOTH


def study(**held: tuple[FoundIdentity, tuple[str, ...]]) -> StudyIdentities:
    return StudyIdentities({found: frozenset(instances) for found, instances in held.values()})


BASE = study(anna=(ANNA, ("1", "2")), nobody=(NOBODY, ("3",)))
OTHERS: dict[str, StudyIdentities] = {
    "another blank": study(anna=(ANNA, ("1", "2")), nobody=(NOBODY, ("4",))),
    "one more blank": study(anna=(ANNA, ("1", "2")), nobody=(NOBODY, ("3", "4"))),
    "no blank": study(anna=(ANNA, ("1", "2"))),
    "only the blank": study(nobody=(NOBODY, ("3",))),
    "another name": study(anna=(BERT, ("1", "2")), nobody=(NOBODY, ("3",))),
    "another issuer": study(anna=(replace(ANNA, issuers=("B",)), ("1", "2")), nobody=(NOBODY, ("3",))),
    "a name more": study(anna=(ANNA, ("1", "2")), bert=(BERT, ("4",)), nobody=(NOBODY, ("3",))),
    "several values": study(anna=(ANNA, ("1", "2")), both=(BOTH, ("3",))),
    "the blank's issuer": study(anna=(ANNA, ("1", "2")), nobody=(FoundIdentity((), ("A",)), ("3",))),
    "nothing": study(),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_fingerprint_changes_with_what_it_is_of(other: StudyIdentities) -> None:
    assert other.fingerprint != BASE.fingerprint
    others = [one.fingerprint for one in OTHERS.values()]
    assert len(set(others)) == len(others)


def test_a_fingerprint_stays_with_whatever_else_changes() -> None:
    more = study(nobody=(replace(NOBODY, blank=True), ("3",)), anna=(ANNA, ("1", "2", "5")))
    assert more.fingerprint == BASE.fingerprint
    assert (BASE.count, more.count) == (3, 4)
    # Stored with resolutions: it must never be another for the same identities.
    assert BASE.fingerprint.hex() == FINGERPRINT


FINGERPRINT = "bc6a1eacc213c9e5bd34ef5d96368dc18228e8cd3965e139110eb201a7a28139"


def test_values_run_together_nowhere() -> None:
    one = study(one=(FoundIdentity(("A", "BC"), ()), ("1",)))
    two = study(two=(FoundIdentity(("AB", "C"), ()), ("1",)))
    three = study(three=(FoundIdentity(("A",), ("BC",)), ("1",)))
    assert len({one.fingerprint, two.fingerprint, three.fingerprint}) == 3


def test_what_an_odd_study_takes() -> None:
    odd = study(anna=(ANNA, ("1", "2")), nobody=(NOBODY, ("3",)))
    assert odd.holds("3")
    assert not odd.holds("4")
    assert odd.takes(ANNA, "9")  # a name is looked at by name
    assert odd.takes(NOBODY, "3")
    assert odd.takes(NOBODY, None)
    assert not odd.takes(NOBODY, "9")
    assert not odd.takes(NOBODY, "1")
    assert not odd.takes(BERT, "1")
    assert not odd.takes(BOTH, "3")


def _row(found: FoundIdentity, instance: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "00100020": {"vr": "LO", "Value": list(found.patient_ids)},
        "00100021": {"vr": "LO", "Value": list(found.issuers)},
    }
    return row if instance is None else row | {"00080018": {"vr": "UI", "Value": [instance]}}


# What was accepted × identity and instance × whether it passes, whether a row that shows the subject may.
PASSES: list[tuple[Accepted, FoundIdentity, str, bool, bool]] = [
    (Accepted(ANNA.subject), ANNA, "1", True, True),
    (Accepted(ANNA.subject), BERT, "1", False, False),
    (Accepted(ANNA.subject), NOBODY, "1", False, False),
    (Accepted(None, BASE), ANNA, "9", True, True),
    (Accepted(None, BASE), NOBODY, "3", True, True),
    (Accepted(None, BASE), NOBODY, "9", False, True),
    (Accepted(None, BASE), BOTH, "3", False, True),
    (Accepted(None, BASE), BERT, "1", False, False),
    (Accepted(None), ANNA, "1", False, False),
    (Accepted(None), NOBODY, "1", False, False),
]


@pytest.mark.parametrize(("accepted", "found", "instance", "passes", "row_may"), PASSES)
def test_what_passes(accepted: Accepted, found: FoundIdentity, instance: str, *, passes: bool, row_may: bool) -> None:
    assert accepted.takes_file(_file(found.patient_ids, found.issuers, instance)) == passes
    assert accepted.takes_dataset(_row(found, instance)) == passes
    assert accepted.takes_row(found.subject) == row_may


def test_rows_of_a_series_speak_for_several_instances() -> None:
    assert Accepted(None, BASE).takes_dataset(_row(NOBODY, None))
    assert not Accepted(None, BASE).takes_dataset(_row(BERT, None))


def test_what_there_is_to_look_at() -> None:
    assert list(Accepted(ANNA.subject).identities) == [ANNA]
    assert set(Accepted(None, BASE).identities) == {ANNA, NOBODY}
    assert not Accepted(None).identities
    assert Accepted(ANNA.subject).fingerprint == study(anna=(ANNA, ("7",))).fingerprint
    assert Accepted(None, BASE).fingerprint == BASE.fingerprint
    assert Accepted(None).fingerprint is None
