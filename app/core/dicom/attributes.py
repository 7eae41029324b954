"""The attributes that searches know: the level of each, whether it may be matched on, when an answer carries it.

From PS3.18 Tables 10.6.1-5 (matching) and 10.6.3-3 to 10.6.3-5 (answers), and the optional keys of PS3.4 Annex C.
Patient attributes count as study attributes, as in the Study Root model. The wider dictionary of PS3.6 is pydicom's.
"""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_dict, keyword_for_tag

from app.core.dicom.dicomweb import Level


class Presence(Enum):
    """When an answer at the attribute's level carries it."""

    REQUIRED = "R"  # always, empty where the value is unknown
    KNOWN = "C"  # where it has a value
    ASKED = "O"  # where a matching key or an includefield names it


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. ``matchable`` says whether it may be a matching key."""

    tag: str
    keyword: str
    vr: str
    level: Level
    presence: Presence
    matchable: bool


_STUDY_ROWS: Final = """
00080020 StudyDate DA R
00080030 StudyTime TM R
00080050 AccessionNumber SH R
00080051 IssuerOfAccessionNumberSequence SQ O
00080056 InstanceAvailability CS C -
00080061 ModalitiesInStudy CS C
00080062 SOPClassesInStudy UI O
00080090 ReferringPhysicianName PN R
00080201 TimezoneOffsetFromUTC SH C -
00081030 StudyDescription LO O
00081032 ProcedureCodeSequence SQ O
00081048 PhysiciansOfRecord PN O
00081060 NameOfPhysiciansReadingStudy PN O
00081080 AdmittingDiagnosesDescription LO O
00081110 ReferencedStudySequence SQ O
00081120 ReferencedPatientSequence SQ O
00081190 RetrieveURL UR C -
00100010 PatientName PN R
00100020 PatientID LO R
00100021 IssuerOfPatientID LO O
00100024 IssuerOfPatientIDQualifiersSequence SQ O
00100030 PatientBirthDate DA R
00100032 PatientBirthTime TM O
00100040 PatientSex CS R
00101000 OtherPatientIDs LO O
00101001 OtherPatientNames PN O
00101002 OtherPatientIDsSequence SQ O
00101010 PatientAge AS O
00101020 PatientSize DS O
00101030 PatientWeight DS O
00102160 EthnicGroup SH O
00102180 Occupation SH O
001021B0 AdditionalPatientHistory LT O
00104000 PatientComments LT O
0020000D StudyInstanceUID UI R
00200010 StudyID SH R
00201070 OtherStudyNumbers IS O
00201200 NumberOfPatientRelatedStudies IS O -
00201202 NumberOfPatientRelatedSeries IS O -
00201204 NumberOfPatientRelatedInstances IS O -
00201206 NumberOfStudyRelatedSeries IS R -
00201208 NumberOfStudyRelatedInstances IS R -
00321032 RequestingPhysician PN O
00321060 RequestedProcedureDescription LO O
"""

_SERIES_ROWS: Final = """
00080021 SeriesDate DA O
00080031 SeriesTime TM O
00080060 Modality CS R
00080070 Manufacturer LO O
00080080 InstitutionName LO O
00081010 StationName SH O
0008103E SeriesDescription LO C
0008103F SeriesDescriptionCodeSequence SQ O
00081040 InstitutionalDepartmentName LO O
00081050 PerformingPhysicianName PN O
00081070 OperatorsName PN O
00081090 ManufacturerModelName LO O
00081111 ReferencedPerformedProcedureStepSequence SQ O
00180015 BodyPartExamined CS O
00181000 DeviceSerialNumber LO O
00181030 ProtocolName LO O
00185100 PatientPosition CS O
0020000E SeriesInstanceUID UI R
00200011 SeriesNumber IS R
00200052 FrameOfReferenceUID UI O
00200060 Laterality CS O
00201209 NumberOfSeriesRelatedInstances IS R -
00400244 PerformedProcedureStepStartDate DA C
00400245 PerformedProcedureStepStartTime TM C
00400253 PerformedProcedureStepID SH O
00400254 PerformedProcedureStepDescription LO O
00400275 RequestAttributesSequence SQ C
"""

_INSTANCE_ROWS: Final = """
00080008 ImageType CS O
00080012 InstanceCreationDate DA O
00080013 InstanceCreationTime TM O
00080016 SOPClassUID UI R
00080018 SOPInstanceUID UI R
00080022 AcquisitionDate DA O
00080023 ContentDate DA O
0008002A AcquisitionDateTime DT O
00080032 AcquisitionTime TM O
00080033 ContentTime TM O
00083002 AvailableTransferSyntaxUID UI O -
00200012 AcquisitionNumber IS O
00200013 InstanceNumber IS R
00200032 ImagePositionPatient DS O
00200037 ImageOrientationPatient DS O
00201041 SliceLocation DS O
00204000 ImageComments LT O
00280002 SamplesPerPixel US O
00280004 PhotometricInterpretation CS O
00280008 NumberOfFrames IS C
00280010 Rows US C
00280011 Columns US C
00280030 PixelSpacing DS O
00280100 BitsAllocated US C
00280101 BitsStored US O
0040A043 ConceptNameCodeSequence SQ O
0040A491 CompletionFlag CS O
0040A493 VerificationFlag CS O
00420010 DocumentTitle ST O
00420012 MIMETypeOfEncapsulatedDocument LO O
00700080 ContentLabel CS O
00700081 ContentDescription LO O
00700084 ContentCreatorName PN O
"""


def _rows(text: str, level: Level) -> dict[str, Attribute]:
    table: dict[str, Attribute] = {}
    for line in text.split("\n")[1:-1]:
        tag, keyword, vr, presence, *rest = line.split()
        table[tag] = Attribute(tag, keyword, vr, level, Presence(presence), not rest)
    return table


ATTRIBUTES: Final[dict[str, Attribute]] = {
    **_rows(_STUDY_ROWS, Level.STUDY),
    **_rows(_SERIES_ROWS, Level.SERIES),
    **_rows(_INSTANCE_ROWS, Level.INSTANCE),
}

MODALITIES_IN_STUDY: Final = "00080061"
RETRIEVE_URL: Final = "00081190"
STUDY_UID: Final = "0020000D"
SERIES_UID: Final = "0020000E"
INSTANCE_UID: Final = "00080018"

# The date and time that make one moment when both are given as ranges (PS3.4 §C.2.2.2.5.4).
DATE_TIME_PAIRS: Final[dict[str, str]] = {
    "00080020": "00080030",
    "00080021": "00080031",
    "00080022": "00080032",
    "00080023": "00080033",
    "00080012": "00080013",
    "00100030": "00100032",
    "00400244": "00400245",
}

# Carried by answers at every level where known; they belong to no one level (PS3.18 Tables 10.6.3-3 to 10.6.3-5).
OF_EVERY_LEVEL: Final = frozenset({"00080056", "00080201", RETRIEVE_URL})

# Counts over a patient's studies, which tell of studies that the caller may not see: never passed on from the archive.
PATIENT_COUNTS: Final = frozenset({"00201200", "00201202", "00201204"})


class AttributeNameError(ValueError):
    """A name that is no attribute of the dictionary, or a private one. Its text is empty: names come from callers."""


class AttributeCaseError(AttributeNameError):
    """A keyword written in another case than PS3.6 has it."""


_HEX: Final = frozenset("0123456789abcdefABCDEF")


@lru_cache(maxsize=1)
def _lower_keywords() -> frozenset[str]:
    return frozenset(keyword.lower() for keyword in keyword_dict)


@lru_cache(maxsize=8192)
def dictionary_vr(tag: str) -> str | None:
    """The VR that PS3.6 gives the tag ("US or SS" where it depends), None for a private or unknown tag."""
    number = int(tag, 16)
    if number >> 16 & 1:
        return None
    try:
        return str(dictionary_VR(number))
    except KeyError:
        return None


@lru_cache(maxsize=8192)
def tag_of(name: str) -> str:
    """The tag (8 upper-case hex digits) that a keyword or a tag names.

    Raises AttributeCaseError for a keyword in the wrong case, AttributeNameError for what the public dictionary lacks.
    """
    if len(name) == 8 and _HEX.issuperset(name):
        tag = name.upper()
    elif name and name in keyword_dict:
        tag = f"{keyword_dict[name]:08X}"
    elif name and name.lower() in _lower_keywords():
        raise AttributeCaseError
    else:
        raise AttributeNameError
    if dictionary_vr(tag) is None:
        raise AttributeNameError
    return tag


@lru_cache(maxsize=8192)
def keyword_of(tag: str) -> str:
    """The keyword that PS3.6 gives the tag (8 hex digits), "" where it lists none."""
    return keyword_for_tag(int(tag, 16))
