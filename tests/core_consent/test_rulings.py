"""What was said of odd identities, as a value."""

from app.core.identifiers import PatientKey, StudyUid, Subject
from app.core.rulings import NO_RULINGS, Rulings, StudyRuling

ANNA, BERT = PatientKey(b"a" * 32), PatientKey(b"b" * 32)


def test_what_is_said_of_a_patient_is_found_both_ways() -> None:
    one, two, three = Subject("1", ""), Subject("2", ""), Subject("3", "")
    rulings = Rulings(
        {one: ANNA, two: BERT, three: ANNA},
        {StudyUid("1.2"): StudyRuling(ANNA, b"x"), StudyUid("1.3"): StudyRuling(BERT, b"y")},
    )
    assert dict(rulings.aliases_of) == {ANNA: (one, three), BERT: (two,)}
    assert rulings.studies_of == {ANNA: ("1.2",), BERT: ("1.3",)}
    assert Rulings() == NO_RULINGS
    assert not NO_RULINGS.aliases_of
    assert not NO_RULINGS.studies_of
