"""Patient identities as they stand in data sets, odd ones included, and what of a study may pass because of them.

`dicomjson.identity` says who is named, or that nobody is. Whoever is to say whose an odd study is must look at more:
at every value, and at which instances say so.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from app.core.dicom.dicomjson import DicomJson, identity
from app.core.dicom.part10 import Part10Identity
from app.core.identifiers import Subject

_PATIENT_ID: Final = "00100020"
_ISSUER: Final = "00100021"
_INSTANCE_UID: Final = "00080018"
_PADDING: Final = " \0"
_FINGERPRINT: Final = b"consentry.identities.v1"


@dataclass(frozen=True, slots=True)
class FoundIdentity:
    """Every value of PatientID and of IssuerOfPatientID without padding; none where there is one, and it is padding.

    ``blank``: a PatientID is there and holds nothing. It makes no other identity: archives do not agree on it.
    """

    patient_ids: tuple[str, ...]
    issuers: tuple[str, ...]
    blank: bool = field(default=False, compare=False)

    @property
    def subject(self) -> Subject:
        """As `dicomjson.identity`: the id is "" unless there is just one, and at most one issuer."""
        if len(self.patient_ids) > 1 or len(self.issuers) > 1:
            return Subject("", "")
        return Subject("".join(self.patient_ids), "".join(self.issuers))

    @property
    def names_somebody(self) -> bool:
        return bool(self.subject.patient_id)

    @property
    def text(self) -> str:
        """As it is kept in a database: one text for one identity. `parse` reads it."""
        return json.dumps([self.patient_ids, self.issuers], separators=(",", ":"))

    @classmethod
    def parse(cls, text: str, *, blank: bool) -> "FoundIdentity":
        """The identity that ``text`` was made of."""
        patient_ids, issuers = json.loads(text)
        return cls(tuple(patient_ids), tuple(issuers), blank)

    @classmethod
    def of_subject(cls, subject: Subject) -> "FoundIdentity":
        """The identity of files that name just this subject."""
        return cls(_told((subject.patient_id,)), _told((subject.issuer,)))

    @classmethod
    def of_file(cls, file: Part10Identity) -> "FoundIdentity":
        return cls(_told(file.patient_ids), _told(file.issuers))

    @classmethod
    def of_dataset(cls, dataset: DicomJson) -> "FoundIdentity":
        """What is no text makes several values: it names nobody, and is like no blank."""
        patient_ids = _values(dataset, _PATIENT_ID)
        return cls(patient_ids, _values(dataset, _ISSUER), blank=not patient_ids and _PATIENT_ID in dataset)


@dataclass(frozen=True)
class StudyIdentities:
    """Every identity in one study with the SOPInstanceUIDs that carry it."""

    instances: Mapping[FoundIdentity, frozenset[str]]

    @cached_property
    def fingerprint(self) -> bytes:
        """32 bytes that change with the set of identities.

        Two blanks cannot be told apart, so of what names nobody the very instances are part of it. Append-only: what is
        hashed here is stored with resolutions.
        """
        parts = [_FINGERPRINT]
        for found in sorted(self.instances, key=lambda one: (one.patient_ids, one.issuers)):
            parts += [_counted(found.patient_ids), _counted(found.issuers)]
            parts.append(_counted(() if found.names_somebody else sorted(self.instances[found])))
        return hashlib.sha256(b"".join(parts)).digest()

    @property
    def count(self) -> int:
        """How many instances the study has."""
        return sum(map(len, self.instances.values()))

    def holds(self, instance: str) -> bool:
        """Whether the instance was there when the archive was asked."""
        return any(instance in named for named in self.instances.values())

    def takes(self, found: FoundIdentity, instance: str | None) -> bool:
        """Whether what says this of its patient is of the study; ``instance`` None: it speaks for several."""
        named = self.instances.get(found)
        if named is None:
            return False
        return found.names_somebody or instance is None or instance in named


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the archive said of one study's patient, and so what its files and rows may say.

    ``subject``: the one patient that all of it names; None where it is odd. ``odd``: then what was found, None where
    the archive cannot tell.
    """

    subject: Subject | None
    odd: StudyIdentities | None = None

    @property
    def fingerprint(self) -> bytes | None:
        """See StudyIdentities; None where there is nothing to take one of."""
        if self.subject is not None:
            return StudyIdentities({FoundIdentity.of_subject(self.subject): frozenset()}).fingerprint
        return None if self.odd is None else self.odd.fingerprint

    @property
    def identities(self) -> Collection[FoundIdentity]:
        """All that was found, none where the archive cannot tell."""
        if self.subject is not None:
            return (FoundIdentity.of_subject(self.subject),)
        return () if self.odd is None else self.odd.instances.keys()

    def takes_file(self, file: Part10Identity) -> bool:
        if self.subject is not None:
            return file.subject == self.subject
        return self.odd is not None and self.odd.takes(FoundIdentity.of_file(file), file.instance)

    def takes_dataset(self, dataset: DicomJson) -> bool:
        if self.subject is not None:
            return identity(dataset) == self.subject
        if self.odd is None:
            return False
        instance = _values(dataset, _INSTANCE_UID)
        return self.odd.takes(FoundIdentity.of_dataset(dataset), instance[0] if instance else None)

    def takes_row(self, subject: Subject) -> bool:
        """Whether a row that shows this patient may be of the study."""
        if self.subject is not None:
            return subject == self.subject
        return self.odd is not None and any(found.subject == subject for found in self.odd.instances)


def _values(dataset: DicomJson, tag: str) -> tuple[str, ...]:
    element = dataset.get(tag)
    values = element.get("Value", []) if isinstance(element, dict) else []
    if not isinstance(values, list):
        return ("", repr(values))
    told: list[str] = []
    for value in values:
        told += ("", repr(value)) if not isinstance(value, str | None) else (value or "").split("\\")
    return _told(tuple(told))


def _told(values: tuple[str, ...]) -> tuple[str, ...]:
    told = tuple(value.strip(_PADDING) for value in values)
    return () if told == ("",) else told


def _counted(values: tuple[str, ...] | list[str]) -> bytes:
    """Length-prefixed, so that no two lists are written alike."""
    encoded = [value.encode("utf-8", "surrogatepass") for value in values]
    return len(encoded).to_bytes(4, "big") + b"".join(len(one).to_bytes(4, "big") + one for one in encoded)
