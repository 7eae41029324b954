"""Patients whose every file carries canaries, and the reader that finds one in any byte that was received.

A canary names the study whose it is and what of the file it stands in, so that a find says who was disclosed. UIDs and
PatientIDs are canaries too: of somebody who may not be seen, not even what the caller sent may come back.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from app.core.identifiers import InstanceUid, SeriesUid, StudyUid, Subject

_MARK = b"QZXCANARY"
_ROOT = "1.2.826.0.1.3680043.10.5115"
_SIDE = 32
_FRAMES = 2
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.2"  # multi-frame grayscale byte
_CODE = rb"([A-Z]{4})([A-Z])"


class Kind(Enum):
    """Where in a file a canary stands."""

    IDENTITY = "I"  # the PatientID
    TEXT = "T"  # names, descriptions, comments
    PIXELS = "P"  # pixel and bulk data
    UID = "U"


@dataclass(frozen=True, slots=True)
class Found:
    """A canary. ``code`` is the study's, of a PatientID the patient's."""

    code: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class CanaryStudy:
    """One study of one patient: two series, three instances."""

    code: str
    subject: Subject
    number: int

    @property
    def study(self) -> StudyUid:
        return StudyUid(f"{_ROOT}.{self.number:03}")

    @property
    def series(self) -> tuple[SeriesUid, SeriesUid]:
        return SeriesUid(f"{self.study}.1"), SeriesUid(f"{self.study}.2")

    @property
    def instances(self) -> tuple[tuple[SeriesUid, InstanceUid], ...]:
        one, two = self.series
        return tuple((series, InstanceUid(f"{series}.{n}")) for series, n in ((one, 1), (one, 2), (two, 1)))

    def canary(self, kind: Kind) -> str:
        return f"{_MARK.decode()}{self.code}{kind.value}"

    def write(self, folder: Path) -> None:
        """Its files. The last instance is compressed, so that it is decoded on its way."""
        for number, (series, instance) in enumerate(self.instances):
            dataset = self._dataset(series, instance)
            if number == len(self.instances) - 1:
                dataset.compress(RLELossless)
            dataset.save_as(folder / f"{self.code}-{number}.dcm", enforce_file_format=True)

    def _dataset(self, series: SeriesUid, instance: InstanceUid) -> Dataset:
        text, pixels = self.canary(Kind.TEXT), self.canary(Kind.PIXELS).encode()
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = _SECONDARY_CAPTURE, str(instance)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = str(self.study), str(series)
        dataset.PatientID, dataset.PatientName = self.subject.patient_id, f"Name^{text}"
        if self.subject.issuer:
            dataset.IssuerOfPatientID = self.subject.issuer
        dataset.StudyDescription = dataset.SeriesDescription = dataset.ImageComments = text
        dataset.AccessionNumber = dataset.StudyID = text[-16:]
        dataset.StudyDate, dataset.StudyTime = f"202601{self.number % 28 + 1:02}", "120000"
        dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "OT", series[-1], instance[-1]
        dataset.NumberOfFrames, dataset.Rows, dataset.Columns = _FRAMES, _SIDE, _SIDE
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.PixelData = (pixels * (_SIDE * _SIDE * _FRAMES))[: _SIDE * _SIDE * _FRAMES]
        dataset.MIMETypeOfEncapsulatedDocument = "application/octet-stream"
        dataset.EncapsulatedDocument = pixels * 100
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(_SECONDARY_CAPTURE), UID(instance)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta = meta
        return dataset


def patient_id(code: str) -> str:
    """A PatientID that is a canary."""
    return f"{_MARK.decode()}{code}{Kind.IDENTITY.value}"


def _wide(text: bytes, order: str) -> bytes:
    return text.decode("ascii").encode(f"utf-16-{order}")


# As text, as UTF-16, and in base64 the first nine bytes whichever way they fall into groups of three.
_PLAIN = re.compile(re.escape(_MARK) + _CODE)
_UIDS = re.compile(re.escape(_ROOT.encode()) + rb"\.([0-9]{3})")
_ENCODED = re.compile(
    b"|".join(
        [re.escape(_wide(_MARK, order)) for order in ("le", "be")]
        + [re.escape(_wide(_ROOT.encode(), order)) for order in ("le", "be")]
        + [re.escape(base64.b64encode(b"\0" * lead + _MARK)[4 if lead else 0 : 12]) for lead in range(3)]
    )
)
_HEX = re.compile(re.escape(_MARK.hex().encode()) + rb"((?:[0-9a-f]{2}){5})", re.IGNORECASE)


def found_in(received: bytes, studies: dict[int, str]) -> Iterator[Found]:
    """Every canary in the bytes. ``studies``: the code of each study's number.

    One that is not plain text is told as ``Found("????", …)``: no answer of ours writes them so.
    """
    for hit in set(_PLAIN.findall(received)):
        yield Found(hit[0].decode(), Kind(hit[1].decode()))
    for number in set(_UIDS.findall(received)):
        yield Found(studies.get(int(number), "????"), Kind.UID)
    if _ENCODED.search(received) or _HEX.search(received):
        yield Found("????", Kind.TEXT)
