"""A small archive to begin with: three made-up patients over the images that pydicom's wheel carries (MIT licence).

Names, numbers and dates are invented; UIDs are derived from them, so that writing the samples twice gives the same
files.
"""

from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

ISSUER = "CONSENTRY-DEMO"


@dataclass(frozen=True, slots=True)
class SampleStudy:
    """One study: its images' files in pydicom's wheel, one series for each."""

    date: str
    description: str
    modality: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SamplePatient:
    """One made-up patient. ``name`` as DICOM writes it (PS3.5 §6.2.1)."""

    patient_id: str
    name: str
    sex: str
    birth_date: str
    studies: tuple[SampleStudy, ...]


PATIENTS = (
    SamplePatient(
        "DEMO-1001",
        "Lindqvist^Astrid",
        "F",
        "19540312",
        (
            SampleStudy("20260105", "CT chest", "CT", ("CT_small.dcm",)),
            SampleStudy("20260618", "MR brain", "MR", ("MR_small.dcm", "MR_small_jp2klossless.dcm")),
        ),
    ),
    SamplePatient(
        "DEMO-1002",
        "Okafor^Daniel",
        "M",
        "19710927",
        (SampleStudy("20260301", "Ultrasound abdomen", "US", ("examples_ybr_color.dcm",)),),
    ),
    SamplePatient(
        "DEMO-1003",
        "Moreau^Camille",
        "F",
        "19480730",
        (
            SampleStudy("20260902", "MR knee left", "MR", ("MR_small_implicit.dcm", "MR_small_RLE.dcm")),
            SampleStudy("20261010", "CT abdomen", "CT", ("CT_small.dcm",)),
        ),
    ),
)


def write_samples(folder: Path) -> int:
    """Write the sample files into ``folder`` (made if missing); gives how many. Existing files of the same name are
    replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for patient in PATIENTS:
        for number, study in enumerate(patient.studies, start=1):
            for series, file in enumerate(study.files, start=1):
                _write(folder / f"{patient.patient_id}-{number}-{series}.dcm", patient, study, number, series, file)
                written += 1
    return written


def _write(target: Path, patient: SamplePatient, study: SampleStudy, number: int, series: int, file: str) -> None:
    source = get_testdata_file(file, download=False)
    if source is None:
        raise FileNotFoundError(f"pydicom's wheel lacks {file}")
    dataset = pydicom.dcmread(str(source))
    seed = [patient.patient_id, str(number)]
    dataset.PatientID = patient.patient_id
    dataset.IssuerOfPatientID = ISSUER
    dataset.PatientName = patient.name
    dataset.PatientSex = patient.sex
    dataset.PatientBirthDate = patient.birth_date
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["consentry", *seed])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["consentry", *seed, str(series)])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["consentry", *seed, str(series), "1"])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyDate = dataset.SeriesDate = study.date
    dataset.StudyTime = "101500"
    dataset.StudyID = str(number)
    dataset.AccessionNumber = f"{patient.patient_id[-4:]}{number:02d}"
    dataset.StudyDescription = study.description
    dataset.SeriesDescription = f"{study.description} {series}"
    dataset.SeriesNumber = str(series)
    dataset.Modality = study.modality
    dataset.save_as(target)
