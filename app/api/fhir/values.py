"""FHIR R4's ways to write what all our resources hold: times, codes, names of what only we know (docs/FHIR.md)."""

from datetime import UTC, datetime
from typing import Any

from app.core.consent.terms import Purpose
from app.core.signing.words import LAST_DATE

Json = dict[str, Any]

MEDIA_TYPE = "application/fhir+json"
_ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def instant(seconds: int) -> str:
    """Unix seconds as FHIR's instant, in UTC."""
    return datetime.fromtimestamp(min(max(seconds, 0), LAST_DATE), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def coding(system: str, code: str, display: str | None = None) -> Json:
    """One code of a system."""
    return {"system": system, "code": code, **({} if display is None else {"display": display})}


def concept(system: str, code: str, display: str | None = None) -> Json:
    """The same as a CodeableConcept."""
    return {"coding": [coding(system, code, display)]}


def purpose_code(purpose: str) -> Json:
    """A purpose of use (HL7 v3 ActReason), which our names are."""
    return coding(_ACT_REASON, Purpose[purpose].name)


def named(system: str, value: str, kind: str | None = None, display: str | None = None) -> Json:
    """A Reference by identifier: what it leads to is not a resource here. ``kind``: the resource that it would be."""
    reference: Json = {"identifier": {"system": f"urn:consentry:{system}", "value": value}}
    if kind is not None:
        reference["type"] = kind
    if display:
        reference["display"] = display
    return reference


def study(uid: str) -> Json:
    """A study by its UID, as DICOM identifies it in FHIR; one whose UID is not known here by its key on the chain."""
    if uid.startswith("0x"):
        return named("study-key", uid, "ImagingStudy")
    return {"type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}}


def absent(reason: str) -> Json:
    """An element that a profile asks for and that is not known here."""
    return {"extension": [{"url": _ABSENT, "valueCode": reason}]}
