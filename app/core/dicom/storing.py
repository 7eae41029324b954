"""Storing (PS3.18 §10.5): what may be sent, what is said of each instance, and the answer made of that."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from app.core.dicom.dicomweb import Representation, Retrieve, Store
from app.core.dicom.links import path_of
from app.core.dicom.multipart import PartHead, boundary_of
from app.core.dicom.part10 import Part10Identity
from app.core.http.accept import parse_accept
from app.core.http.problem import Problem, problem
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid

JSON: Final = "application/dicom+json"
XML: Final = "application/dicom+xml"
_ANSWERS: Final = (JSON, "application/json", XML)
_DICOM: Final = b"application/dicom"
_MULTIPART: Final = b"multipart/related"
_TYPE: Final = re.compile(rb';[ \t]*type=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_SYNTAX: Final = re.compile(r"1\.2\.840\.10008\.1\.2(?:\.[0-9]+)*").fullmatch
_UID: Final = re.compile(r"(?=.{1,64}$)[0-9]+(?:\.[0-9]+)*").fullmatch
# PS3.18 Table I.2-1. What else an archive may write there is not passed on.
_WARNINGS: Final = frozenset({0xB000, 0xB006, 0xB007})


class FailureReason(IntEnum):
    """Failure Reason (0008,1197): PS3.18 Table I.2-2 and the statuses of C-STORE (PS3.7 §9.1.1.1.9, PS3.4 Table B.2-1).

    The codes for the SOP class and the transfer syntax are the archive's to use. Here only a file in a transfer syntax
    that is not one of DICOM's own is refused: nobody can say how its identity is to be read.
    Everything that has to do with whose an instance is has one reason, so that an uploader learns of no patient and no
    study more than that this instance is not taken.
    """

    PROCESSING = 0x0110
    DUPLICATE = 0x0111
    NOT_AUTHORIZED = 0x0124
    UNKNOWN_CLASS = 0x0122
    OUT_OF_RESOURCES = 0xA700
    OTHER_CLASS = 0xA900
    OTHER_STUDY = 0xA901
    NOT_UNDERSTOOD = 0xC000
    UNKNOWN_SYNTAX = 0xC122


@dataclass(frozen=True, slots=True)
class InstanceName:
    """Which instance, by UIDs that have the form of one."""

    sop_class: str
    study: StudyUid
    series: SeriesUid
    instance: InstanceUid


@dataclass(frozen=True, slots=True)
class Stored:
    """The archive holds it. ``warning`` is its Warning Reason (0008,1196), None for none."""

    name: InstanceName
    warning: int | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It was not stored. ``name`` None: nobody can say which instance it was to be."""

    name: InstanceName | None
    reason: FailureReason


Result = Stored | Refused


def upload_boundary(content_types: Sequence[bytes], content_encodings: Sequence[bytes]) -> bytes | Problem:
    """The boundary of a request's body, which is ``multipart/related; type="application/dicom"`` as it is.

    Data sets with their bulk data apart (``application/dicom+json``, ``+xml``) are not taken: there is no file in them
    to be stored as it was made.
    """
    value = content_types[0] if len(content_types) == 1 else b""
    kinds = _TYPE.findall(value)
    named = [b"".join(kind).lower() for kind in kinds]
    is_multipart = value.partition(b";")[0].strip().lower() == _MULTIPART
    if not is_multipart or named not in ([], [_DICOM]) or any(one.lower() != b"identity" for one in content_encodings):
        return problem("unsupported-media-type")
    return boundary_of(value) or problem("invalid-multipart")


def is_dicom_part(head: PartHead) -> bool:
    """Whether a part says that it is a DICOM file, or nothing. Raises MultipartInvalidError for two Content-Types."""
    value = head.value(b"content-type")
    return value is None or value.partition(b";")[0].strip().lower() == _DICOM


def answer_type(asked: Store, accept_values: Sequence[bytes]) -> str | Problem:
    """The media type of the answer (PS3.18 Table 10.5.3-2), or not-acceptable."""
    ranges = parse_accept(accept_values if asked.accept is None else [asked.accept.encode()]) or []
    refused = {one.media_type for one in ranges if not one.weight}
    for media_range in ranges:
        for answer in _ANSWERS:
            if media_range.weight and answer not in refused and media_range.covers(answer):
                return answer
    return problem("not-acceptable")


def name_of(identity: Part10Identity) -> InstanceName | None:
    """Which instance a file is; None where one of its UIDs is none."""
    uids = (identity.sop_class, identity.study, identity.series, identity.instance)
    if not all(map(_UID, uids)):
        return None
    return InstanceName(
        identity.sop_class, StudyUid(identity.study), SeriesUid(identity.series), InstanceUid(identity.instance)
    )


def flaw_in(identity: Part10Identity, asked: Store) -> FailureReason | None:
    """Why a file is not stored whatever the archive holds, or None: its UIDs, its study, no patient to be told."""
    if name_of(identity) is None:
        return FailureReason.NOT_UNDERSTOOD
    if not _SYNTAX(identity.transfer_syntax):
        return FailureReason.UNKNOWN_SYNTAX
    if asked.study is not None and identity.study != asked.study:
        return FailureReason.OTHER_STUDY
    return None if identity.subject.patient_id.strip() else FailureReason.NOT_AUTHORIZED


def warning_of(value: object) -> int | None:
    """A Warning Reason of the archive's, None for whatever is not one of the standard's."""
    return value if isinstance(value, int) and value in _WARNINGS else None


def instance_of(name: InstanceName) -> Retrieve:
    """The instance as a resource."""
    return Retrieve(Representation.DICOM, name.study, name.series, name.instance)


def status_of(results: Sequence[Result]) -> int:
    """PS3.18 Table 10.5.3-1: all stored, some or with a warning, none."""
    stored = [one for one in results if isinstance(one, Stored)]
    if len(stored) == len(results) and all(one.warning is None for one in stored):
        return 200
    return 202 if stored else 409


def response(results: Sequence[Result], asked: Store, public_url: str) -> dict[str, Any]:
    """The Store Instances Response (PS3.18 §10.5.3, Annex I), its links to this gateway.

    ``public_url``: its DICOMweb root as clients reach it, without a slash at the end.
    """
    stored = [one for one in results if isinstance(one, Stored)]
    refused = [one for one in results if isinstance(one, Refused)]
    studies = {one.name.study for one in stored}
    if asked.study is not None and stored:
        studies = {asked.study}
    study_url = public_url + path_of(Retrieve(Representation.DICOM, studies.pop())) if len(studies) == 1 else None
    answer: dict[str, Any] = {"00081190": _element("UR", study_url)}
    named = [(one, one.name) for one in refused if one.name is not None]
    unnamed = [one for one in refused if one.name is None]
    if named:
        answer["00081198"] = _sequence([_referenced(name) | _reason(one) for one, name in named])
    if stored:
        answer["00081199"] = _sequence([_stored(one, public_url) for one in stored])
    if unnamed:
        answer["0008119A"] = _sequence([_reason(one) for one in unnamed])
    return dict(sorted(answer.items()))


def _stored(one: Stored, public_url: str) -> dict[str, Any]:
    item = _referenced(one.name) | {"00081190": _element("UR", public_url + path_of(instance_of(one.name)))}
    if one.warning is not None:
        item["00081196"] = _element("US", one.warning)
    return dict(sorted(item.items()))


def _referenced(name: InstanceName) -> dict[str, Any]:
    return {"00081150": _element("UI", name.sop_class), "00081155": _element("UI", name.instance)}


def _reason(one: Refused) -> dict[str, Any]:
    return {"00081197": _element("US", int(one.reason))}


def _element(vr: str, value: str | int | None) -> dict[str, Any]:
    return {"vr": vr} if value is None else {"vr": vr, "Value": [value]}


def _sequence(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": items}
