"""What is odd about a study's identities."""

import pytest

from app.core.dicom.identities import FoundIdentity
from app.core.identifiers import Subject
from app.core.oddities import Enrolled, Oddity

ENROLLED = Enrolled(
    [Subject("MRN-1", "A"), Subject("MRN-1", "B"), Subject("Mrn 2", ""), Subject("MRN-3", "Hosp A"), Subject("X", "")]
)


def named(patient_id: str, issuer: str = "") -> FoundIdentity:
    return FoundIdentity.of_subject(Subject(patient_id, issuer))


TABLE: list[tuple[list[FoundIdentity], Oddity | None]] = [
    ([], None),
    ([named("MRN-1", "A")], None),
    ([named("MRN-9")], None),  # nobody is enrolled under anything like it
    ([named("MRN-1", "C")], Oddity.DIFFERS_BY_ISSUER),
    ([named("MRN-1")], Oddity.DIFFERS_BY_ISSUER),
    ([named("mrn-1", "A")], Oddity.DIFFERS_BY_SPELLING),
    ([named("mrn-1", "C")], Oddity.DIFFERS_BY_SPELLING),
    ([named("MRN2")], Oddity.DIFFERS_BY_SPELLING),
    ([named("MRN-3", "HOSP  A")], Oddity.DIFFERS_BY_SPELLING),
    ([named("MRN-3", "HOSP B")], Oddity.DIFFERS_BY_ISSUER),
    ([FoundIdentity((), ())], Oddity.MISSING),
    ([FoundIdentity((), ("A",))], Oddity.MISSING),
    ([FoundIdentity((), (), blank=True)], Oddity.BLANK),
    ([FoundIdentity(("MRN-1", "X"), ())], Oddity.MULTI_VALUED),
    ([FoundIdentity(("MRN-1",), ("A", "B"))], Oddity.MULTI_VALUED),
    ([named("MRN-1", "A"), named("X")], Oddity.SEVERAL_PATIENTS),
    ([named("MRN-1", "A"), named("mrn-1", "A")], Oddity.SEVERAL_PATIENTS),
    ([FoundIdentity((), ()), named("X")], Oddity.SEVERAL_PATIENTS),
]


@pytest.mark.parametrize(("identities", "oddity"), TABLE)
def test_table(identities: list[FoundIdentity], oddity: Oddity | None) -> None:
    assert ENROLLED.oddity(identities) is oddity


def test_who_may_be_meant() -> None:
    assert ENROLLED.like(named("mrn-1")) == [Subject("MRN-1", "A"), Subject("MRN-1", "B")]
    assert ENROLLED.like(named("MRN-1", "A")) == []
    assert ENROLLED.like(named("nobody")) == []
    both = FoundIdentity(("MRN-1", "x"), ())
    assert ENROLLED.like(both) == [Subject("MRN-1", "A"), Subject("MRN-1", "B"), Subject("X", "")]
    assert ENROLLED.like(FoundIdentity((), ())) == []
    assert Enrolled(()).oddity([named("MRN-1")]) is None
