"""What people have said of odd identities, as far as it is in force: the archive's words stay as they are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from app.core.identifiers import PatientKey, StudyUid, Subject

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class StudyRuling:
    """One study is this patient's, while what it says of its patients has this fingerprint (`StudyIdentities`)."""

    patient: PatientKey
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Rulings:
    """All of them at one moment: a value, replaced whole when one is made or withdrawn.

    ``aliases``: an identity of the archive is the same person as an enrolled patient. ``studies``: see StudyRuling.
    """

    aliases: Mapping[Subject, PatientKey] = field(default_factory=dict)
    studies: Mapping[StudyUid, StudyRuling] = field(default_factory=dict)
    aliases_of: Mapping[PatientKey, tuple[Subject, ...]] = field(init=False, default_factory=dict)
    studies_of: Mapping[PatientKey, tuple[StudyUid, ...]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        of_study = ((ruling.patient, study) for study, ruling in self.studies.items())
        object.__setattr__(self, "aliases_of", _by_patient((key, alias) for alias, key in self.aliases.items()))
        object.__setattr__(self, "studies_of", _by_patient(of_study))


def _by_patient(pairs: Iterable[tuple[PatientKey, _T]]) -> dict[PatientKey, tuple[_T, ...]]:
    found: dict[PatientKey, list[_T]] = {}
    for patient, one in pairs:
        found.setdefault(patient, []).append(one)
    return {patient: tuple(named) for patient, named in found.items()}


NO_RULINGS = Rulings()
