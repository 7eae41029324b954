"""An archive to be looked at: two made-up patients, one study of each kind that viewers treat differently."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID

from tests.support.dicom_files import read_quietly

ISSUER = "BROWSER-TESTS"
CT_SLICES = 6


@dataclass(frozen=True, slots=True)
class Kept:
    """A study in the archive. ``name``: what tests call it."""

    name: str
    uid: str
    patient_id: str


def build(folder: Path, corpus: Path | None) -> dict[str, Kept]:
    """Write the files, and give the studies by name. Those of the corpus are left out where it is not there."""
    folder.mkdir(parents=True)
    kept = {}
    sources: dict[str, tuple[str, Iterable[Dataset]]] = {
        "ct": ("VIEW-1", _ct_series()),
        "mr": ("VIEW-1", [_wheel("MR_small_jp2klossless.dcm")]),
        "us": ("VIEW-1", [_wheel("examples_ybr_color.dcm")]),
        "unnamed": ("VIEW-1", [_wheel("MR_small_RLE.dcm")]),
        "stranger": ("VIEW-2", [_wheel("examples_overlay.dcm")]),
    }
    if corpus is not None:
        sources |= {name: ("VIEW-1", files) for name, files in _of_corpus(corpus).items()}
    for name, (patient_id, datasets) in sources.items():
        study = ""
        for number, dataset in enumerate(datasets):
            dataset.PatientID, dataset.IssuerOfPatientID = patient_id, ISSUER
            dataset.PatientName = "Lind^Eva" if patient_id == "VIEW-1" else "Hidden^Person"
            dataset.StudyDescription = f"browser {name}"
            if name == "unnamed":  # the same study as another sample's
                dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID("2.25.7719001"), UID("2.25.7719002")
            study = str(dataset.StudyInstanceUID)
            dataset.save_as(folder / f"{name}-{number}.dcm")
        kept[name] = Kept(name, study, patient_id)
    assert len({one.uid for one in kept.values()}) == len(kept)
    return kept


def _wheel(name: str) -> FileDataset:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str), name
    return pydicom.dcmread(path)


def _ct_series() -> list[FileDataset]:
    """One CT image made into slices that differ, 5 mm apart."""
    slices = []
    for number in range(CT_SLICES):
        dataset = _wheel("CT_small.dcm")
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = UID("2.25.7718001"), UID("2.25.7718002")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.7718003.{number}")
        dataset.InstanceNumber = number + 1
        x, y, _ = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, -5.0 * number]
        dataset.SliceLocation, dataset.SliceThickness = -5.0 * number, 5.0
        pixels = np.frombuffer(dataset.PixelData, "<i2").reshape(dataset.Rows, dataset.Columns)
        dataset.PixelData = np.roll(pixels, 15 * number, axis=1).tobytes()
        slices.append(dataset)
    return slices


def _of_corpus(corpus: Path) -> Mapping[str, Sequence[Dataset]]:
    with (corpus / "MANIFEST.tsv").open(encoding="utf-8") as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t"))

    def files(*ends: str) -> Sequence[Dataset]:
        found = [read_quietly(corpus / row["file"]) for row in rows if row["file"].endswith(ends)]
        assert len(found) == len(ends), ends
        return found

    head = [f"CT2__{number}" for number in (17106, 17136, 17166, 17196)]
    return {
        "sm": files("__sm_image.dcm"),
        "seg": files(*head, "seg_image_ct_binary.dcm"),
        "sr": files("wheel/test_files__CT_small.dcm", "__sr_document.dcm"),
        "pdf": files("synthetic-pdf/report.dcm"),
    }
