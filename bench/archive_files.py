"""The benchmark's archive: one study's answers as files, small and large, each as a DICOMweb archive sends it."""

import json
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

STUDY = "1.2.826.0.1.3680043.10.1.1"
SERIES = f"{STUDY}.1"
INSTANCE = f"{SERIES}.1"
BULKY = f"{SERIES}.2"
PATIENT_ID = "BENCH-1"
_BOUNDARY = "bench-boundary"
_SERIES_PATH = f"/dicom-web/studies/{STUDY}/series/{SERIES}"
_PATH = f"{_SERIES_PATH}/instances/{INSTANCE}"
_BULKY_PATH = f"{_SERIES_PATH}/instances/{BULKY}"
_OCTETS = "application/octet-stream"
_DICOM_JSON = "application/dicom+json"


@dataclass(frozen=True, slots=True)
class Served:
    """One resource: its path, the file that holds the answer, the answer's media type, and what a client asks for."""

    path: str
    file: Path
    media_type: str
    accept: str = "*/*"

    @property
    def size_bytes(self) -> int:
        return self.file.stat().st_size


@dataclass(frozen=True, slots=True)
class ArchiveFiles:
    """The resources that the load asks for, and those that only Consentry asks for on its own account."""

    metadata: Served
    instance: Served
    frame: Served
    bulk: Served
    lookups: tuple[Served, ...]

    @property
    def all(self) -> tuple[Served, ...]:
        return (self.metadata, self.instance, self.frame, self.bulk, *self.lookups)


def write_files(folder: Path, frame_bytes: int, bulk_bytes: int) -> ArchiveFiles:
    """Write the files. The frame and the bulk data are noise of these sizes in one multipart part each."""
    noise = os.urandom
    octets = f'multipart/related; type="application/octet-stream"; boundary={_BOUNDARY}'
    dicom = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
    metadata = _row(INSTANCE)
    # About 2 KB, as the metadata of a small image is.
    metadata["00204000"] = {"vr": "LT", "Value": ["Nothing of note. " * 80]}
    rows = [_row(INSTANCE), _row(BULKY)]
    return ArchiveFiles(
        metadata=_write(folder, f"{_PATH}/metadata", "metadata", _json([metadata]), _DICOM_JSON),
        instance=_write(folder, _PATH, "instance", _part("application/dicom", _dicom()), dicom),
        frame=_write(folder, f"{_PATH}/frames/1", "frame", _part(_OCTETS, noise(frame_bytes)), octets),
        bulk=_write(folder, f"{_BULKY_PATH}/frames/1", "bulk", _part(_OCTETS, noise(bulk_bytes)), octets),
        lookups=(
            _write(folder, "/dicom-web/studies", "studies", _json([_row(None)]), _DICOM_JSON),
            _write(folder, f"/dicom-web/studies/{STUDY}/instances", "instances", _json(rows), _DICOM_JSON),
            _write(folder, f"{_SERIES_PATH}/instances", "of-series", _json(rows), _DICOM_JSON),
        ),
    )  # fmt: skip


def _write(folder: Path, path: str, name: str, content: bytes, media_type: str) -> Served:
    file = folder / name
    file.write_bytes(content)
    return Served(path, file, media_type)


def _json(rows: list[dict[str, object]]) -> bytes:
    return json.dumps(rows).encode()


def _row(instance: str | None) -> dict[str, object]:
    row: dict[str, object] = {
        "00080016": {"vr": "UI", "Value": [str(SecondaryCaptureImageStorage)]},
        "00080020": {"vr": "DA", "Value": ["20260101"]},
        "00080060": {"vr": "CS", "Value": ["OT"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Bench^One"}]},
        "00100020": {"vr": "LO", "Value": [PATIENT_ID]},
        "0020000D": {"vr": "UI", "Value": [STUDY]},
    }
    if instance is not None:
        row["0020000E"] = {"vr": "UI", "Value": [SERIES]}
        row["00080018"] = {"vr": "UI", "Value": [instance]}
    return row


def _part(media_type: str, content: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: {media_type}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _dicom() -> bytes:
    """An image file of about 2 KB."""
    dataset = Dataset()
    dataset.SOPClassUID = str(SecondaryCaptureImageStorage)
    dataset.SOPInstanceUID = INSTANCE
    dataset.StudyDate = "20260101"
    dataset.Modality = "OT"
    dataset.PatientName = "Bench^One"
    dataset.PatientID = PATIENT_ID
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = SERIES
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = 36
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = bytes(36 * 36)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID(INSTANCE)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
