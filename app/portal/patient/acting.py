"""For whom somebody acts on a patient's pages: the page's address names the record, and every page says whose it is."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.api.caller import Caller
from app.api.hexadecimal import to_hex, word
from app.api.wiring import Wiring, wiring_of
from app.core.consent.state import Patient
from app.core.consent.terms import Capacity
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import PatientKey
from app.portal.patient.studies import Study, studies_of_record
from app.portal.visitor import Reader
from app.store.patients import EnrolledPatient


@dataclass(frozen=True, slots=True)
class Person:
    """One of the records that the reader acts for. ``name`` is the archive's, or the number it knows the patient by."""

    key: str
    name: str
    own: bool


@dataclass(frozen=True, slots=True)
class Acting:
    """Who reads, and whose record. ``studies`` is None while the archive does not answer."""

    caller: Caller
    patient: Patient
    enrolled: EnrolledPatient | None
    studies: list[Study] | None
    person: Person
    people: list[Person]

    @property
    def own(self) -> bool:
        """Whether the reader is the patient, rather than somebody who acts for them."""
        return self.person.own

    @property
    def carried(self) -> str:
        """What links between the pages of this record carry along."""
        return f"?of={self.person.key}" if len(self.people) > 1 else ""


async def acting_for(request: Request, caller: Reader, of: str | None = None) -> Acting:
    """``of``: the patient's key; left out: the reader's own record, else the first one they act for.

    Raises 403 for a record that is none of theirs.
    """
    wiring = wiring_of(request)
    keys = caller.own_patients()
    asked = None if of is None else word(of)
    if (of is not None and asked not in keys) or not keys:
        raise ProblemError(problem("forbidden"))
    key = PatientKey(asked) if asked is not None else min(keys, key=lambda one: (not _is_own(caller, one), one))
    found: dict[PatientKey, tuple[str, list[Study] | None]] = {}
    for one in keys:
        found[one] = await _named(wiring, caller, one)
    people = [Person(to_hex(one), found[one][0], _is_own(caller, one)) for one in keys]
    return Acting(
        caller=caller,
        patient=caller.standing.head.patients[key],
        enrolled=wiring.patients.by_key(key),
        studies=found[key][1],
        person=next(person for person in people if person.key == to_hex(key)),
        people=sorted(people, key=lambda person: (not person.own, person.name)),
    )


def _is_own(caller: Caller, key: PatientKey) -> bool:
    return caller.standing.head.patients[key].capacity_of(caller.actor, caller.now) is Capacity.CONTROLLER


async def _named(wiring: Wiring, caller: Caller, key: PatientKey) -> tuple[str, list[Study] | None]:
    """What to call the record, and its studies. What the chain may still take back opens no name (P6)."""
    enrolled = wiring.patients.by_key(key)
    if enrolled is None or not caller.may_read_of(key):
        return f"{to_hex(key)[:10]}…", [] if enrolled is None else None
    studies = await studies_of_record(wiring, enrolled)
    names = [study.patient_name for study in studies or () if study.patient_name]
    return (names[0] if names else enrolled.subject.patient_id), studies


ActingFor = Annotated[Acting, Depends(acting_for)]
