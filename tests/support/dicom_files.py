"""Small DICOM files for tests: those that come with pydicom, and odd identities made from one of them.

Every odd file carries a canary of its own in a private element, in a comment and in its pixels, so that a test can
search what a caller received for the bytes of a patient who did not consent.
"""

import hashlib
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.uid import UID

from app.core.identifiers import Subject

_WHEEL_DATA = Path(pydicom.__file__).parent / "data"
_WHEEL_FOLDERS = ("test_files", "charset_files")
# They write PatientID as UN, which Orthanc takes for another patient's.
_LEFT_OUT = frozenset({"rtdose_rle.dcm", "rtdose_rle_1frame.dcm"})
_ROOT_UID = "2.25.77120"
_CANARY_BYTES = 32
_PRIVATE_CREATOR = "CONSENTRY TESTS"
_NOBODY = Subject("", "")


@dataclass(frozen=True, slots=True)
class Identity:
    """What one odd file says of its patient. ``patient_id`` None: no such element; a list: several values."""

    case: str
    patient_id: str | list[str] | None
    issuer: str | None = None
    name: str = "Test^Case"
    # Files of one study, or of one series, have the same word here; otherwise each file is a study of its own.
    study: str | None = None
    series: str | None = None


# The trouble that real archives hold, each as small as it can be.
IDENTITIES = (
    Identity("plain", "MRN-1"),
    Identity("issuer-a", "MRN-1001", "HOSP_A"),
    Identity("issuer-b", "MRN-1001", "HOSP_B"),
    Identity("case", "mrn-1001", "HOSP_A"),
    Identity("two-studies-1", "MRN-2000", "HOSP_A"),
    Identity("two-studies-2", "MRN-2000", "HOSP_A"),
    Identity("missing", None),
    Identity("empty", ""),
    Identity("blank", "   "),
    Identity("several", ["MRN-1", "MRN-2"]),
    Identity("shared-study-1", "MRN-1010", study="shared", series="shared-1"),
    Identity("shared-study-2", "MRN-1011", study="shared", series="shared-2"),
    Identity("mixed-series-1", "MRN-3000", study="mixed", series="mixed"),
    Identity("mixed-series-2", "MRN-3000", study="mixed", series="mixed"),
    Identity("mixed-series-3", "MRN-3001", study="mixed", series="mixed"),
    Identity("mixed-issuers-1", "MRN-4000", "HOSP_A", study="issuers", series="issuers"),
    Identity("mixed-issuers-2", "MRN-4000", "HOSP_B", study="issuers", series="issuers"),
    Identity("comma", "MRN,1012"),
    Identity("star", "MRN-10*"),
    Identity("question", "MRN-101?"),
    Identity("space", "MRN 1013"),
    Identity("slash", "MRN/10/13"),
    Identity("percent", "MRN%2F10"),
    Identity("ampersand", "A&B=C#D+E;F"),
    Identity("quote", "O'Brien\"1"),
    Identity("unicode", "患者-7"),
    Identity("unicode-lost", "-7"),  # what is left of the one before in Latin-1
    Identity("unicode-other", "病人-7"),
    Identity("umlaut", "Müller-7"),
    Identity("markup", "MRN-1015", name="<script>alert(1)</script>^X"),
    Identity("percent-name", "MRN-1016", name="%s%n^{0}"),
)


@dataclass(frozen=True, slots=True)
class OddFile:
    """A generated file: where it is, whose it is (the id is "" where nobody's), and the bytes that only it holds."""

    case: str
    path: Path
    subject: Subject
    study: str
    series: str
    instance: str
    canary: bytes


def canary_of(case: str) -> bytes:
    """Bytes that are in the files of that case and in no other: lower-case hex, so that they survive in text too."""
    return hashlib.sha256(b"consentry test canary " + case.encode()).hexdigest()[:_CANARY_BYTES].encode()


def write_odd_files(folder: Path) -> list[OddFile]:
    """One file for each of IDENTITIES below the folder. The same every time."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder, number, identity) for number, identity in enumerate(IDENTITIES, 1)]


def _uid(kind: str, word: str) -> str:
    number = int.from_bytes(hashlib.sha256(f"{kind} {word}".encode()).digest()[:8])
    return f"{_ROOT_UID}.{ {'study': 1, 'series': 2, 'instance': 3}[kind] }.{number}"


def _write(folder: Path, number: int, identity: Identity) -> OddFile:
    dataset = _template()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.StudyInstanceUID = _uid("study", identity.study or identity.case)
    dataset.SeriesInstanceUID = _uid("series", identity.series or identity.case)
    dataset.SOPInstanceUID = _uid("instance", identity.case)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    dataset.PatientName = identity.name
    dataset.StudyID = dataset.AccessionNumber = str(number)
    dataset.StudyDate = f"2024{number % 12 + 1:02}{number % 28 + 1:02}"
    dataset.InstanceNumber = number
    if identity.patient_id is None:
        del dataset.PatientID
    else:
        dataset.PatientID = identity.patient_id
    if identity.issuer is not None:
        dataset.IssuerOfPatientID = identity.issuer
    canary = canary_of(identity.case)
    dataset.private_block(0x0011, _PRIVATE_CREATOR, create=True).add_new(1, "LO", canary.decode())
    dataset.ImageComments = canary.decode()
    dataset.PixelData = canary + dataset.PixelData[_CANARY_BYTES:]
    path = folder / f"{number:02}-{identity.case}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    one_id = identity.patient_id.strip() if isinstance(identity.patient_id, str) else ""
    return OddFile(
        case=identity.case,
        path=path,
        subject=Subject(one_id, (identity.issuer or "").strip()) if one_id else _NOBODY,
        study=str(dataset.StudyInstanceUID),
        series=str(dataset.SeriesInstanceUID),
        instance=str(dataset.SOPInstanceUID),
        canary=canary,
    )


def _template() -> FileDataset:
    """A CT slice of 32 by 32 pixels without private elements."""
    path = get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    dataset = pydicom.dcmread(path)
    dataset.remove_private_tags()
    for keyword in ("OtherPatientIDs", "OtherPatientIDsSequence", "DataSetTrailingPadding"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.Rows = dataset.Columns = 32
    dataset.PixelData = dataset.PixelData[: 32 * 32 * 2]
    return dataset


def copy_wheel_files(folder: Path) -> list[Path]:
    """The DICOM files of pydicom's wheel, one flat folder, DICOMDIRs and other kinds of files left out."""
    folder.mkdir(parents=True, exist_ok=True)
    copied = []
    for name in _WHEEL_FOLDERS:
        for source in sorted((_WHEEL_DATA / name).glob("*.dcm")):
            if source.name not in _LEFT_OUT:
                target = folder / f"{name}-{source.name}"
                shutil.copyfile(source, target)
                copied.append(target)
    return copied


def read_quietly(path: Path) -> FileDataset:
    """What pydicom reads, without its warnings: broken files are here on purpose."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path)
