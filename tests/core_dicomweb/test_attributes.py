"""The table of attributes against the dictionary, and against the tables of PS3.18 that it must contain."""

from typing import Final

import pytest
from pydicom.datadict import dictionary_keyword, dictionary_VR

from app.core.dicom.attributes import (
    ATTRIBUTES,
    DATE_TIME_PAIRS,
    Attribute,
    AttributeNameError,
    Presence,
    dictionary_vr,
    tag_of,
)
from app.core.dicom.dicomweb import Level

# PS3.18 Table 10.6.1-5
REQUIRED_KEYS: Final = {
    Level.STUDY: "StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName PatientName PatientID "
    "StudyInstanceUID StudyID",
    Level.SERIES: "Modality SeriesInstanceUID SeriesNumber PerformedProcedureStepStartDate "
    "PerformedProcedureStepStartTime RequestAttributesSequence",
    Level.INSTANCE: "SOPClassUID SOPInstanceUID InstanceNumber",
}
# PS3.18 Tables 10.6.3-3 to 10.6.3-5, but for what every level carries
ANSWERS: Final = {
    Level.STUDY: "StudyDate StudyTime AccessionNumber InstanceAvailability ModalitiesInStudy ReferringPhysicianName "
    "TimezoneOffsetFromUTC RetrieveURL PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyID "
    "NumberOfStudyRelatedSeries NumberOfStudyRelatedInstances",
    Level.SERIES: "Modality SeriesDescription SeriesInstanceUID SeriesNumber NumberOfSeriesRelatedInstances "
    "PerformedProcedureStepStartDate PerformedProcedureStepStartTime RequestAttributesSequence",
    Level.INSTANCE: "SOPClassUID SOPInstanceUID InstanceNumber Rows Columns BitsAllocated NumberOfFrames",
}


@pytest.mark.parametrize("attribute", ATTRIBUTES.values(), ids=lambda attribute: attribute.keyword)
def test_a_row_of_the_table_is_as_the_dictionary_has_it(attribute: Attribute) -> None:
    number = int(attribute.tag, 16)
    assert (attribute.keyword, attribute.vr) == (dictionary_keyword(number), dictionary_VR(number))
    assert tag_of(attribute.keyword) == tag_of(attribute.tag.lower()) == attribute.tag


@pytest.mark.parametrize("level", Level)
def test_the_tables_of_the_standard_are_in_ours(level: Level) -> None:
    rows = [one for one in ATTRIBUTES.values() if one.level is level]
    keys = {one.keyword for one in rows if one.matchable and one.presence is not Presence.ASKED}
    assert set(REQUIRED_KEYS[level].split()) <= keys
    assert {one.keyword for one in rows if one.presence is not Presence.ASKED} == set(ANSWERS[level].split())


def test_a_date_is_paired_with_a_time_of_its_level() -> None:
    for date, time in DATE_TIME_PAIRS.items():
        assert (ATTRIBUTES[date].vr, ATTRIBUTES[time].vr) == ("DA", "TM")
        assert ATTRIBUTES[date].level is ATTRIBUTES[time].level


def test_the_dictionary_is_the_public_one() -> None:
    assert dictionary_vr("60003000") == "OB or OW"
    assert dictionary_vr("60013000") is None
    assert dictionary_vr("00091001") is None
    for name in ("", "00091001", "00080007", "PatientsName"):
        with pytest.raises(AttributeNameError):
            tag_of(name)
