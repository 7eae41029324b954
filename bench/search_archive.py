"""An archive of a million studies that has no files: rows for the embedded archive's index, the same ones every time.

Patient n has one study; its date goes back from 2026 over ten years, a few have none. Names, accession numbers and
modalities repeat as they do in a hospital.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from app.pacs.archive import index
from app.pacs.archive.study_rows import INSERT_STUDY, StudyRow

_GIVEN = ("Anna", "Bert", "Carla", "David", "Eva", "Fritz", "Gerda", "Hans", "Ines", "Jan")
_FAMILY = ("Adler", "Brandt", "Czerny", "Dietz", "Ebert", "Fuchs", "Graf", "Huber", "Iser", "Jung", "Kern", "Lang")
_MODALITIES = ("CT", "MR", "US", "CR", "DX", "MG", "NM")
_NEWEST = date(2026, 11, 1)
_DAYS = 3_650
# A prime, so that neighbouring numbers lie far apart in time.
_STRIDE = 1_000_003


@dataclass(frozen=True, slots=True)
class Spread:
    """How many studies there are. One in ``undated`` has no date."""

    studies: int
    undated: int = 5_000


def patient_of(number: int) -> str:
    """The PatientID of a study's patient."""
    return f"P{number:07}"


def uid_of(number: int) -> str:
    """The study's UID."""
    return f"1.2.826.0.1.3680043.10.1.{number + 1}"


def generate(path: Path, spread: Spread) -> None:
    """Make the index, in the order of searches, which is the fastest to insert and to read."""
    index.open_index(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    connection.executemany(INSERT_STUDY, _rows(spread))
    connection.execute("COMMIT")
    connection.close()


def _rows(spread: Spread) -> Iterator[tuple[object, ...]]:
    for number in range(spread.studies):
        yield _study(number, spread).columns()


def _study(number: int, spread: Spread) -> StudyRow:
    mixed_up = number * _STRIDE
    day = _NEWEST - timedelta(days=mixed_up % _DAYS)
    family, given = _FAMILY[mixed_up % len(_FAMILY)], _GIVEN[number % len(_GIVEN)]
    modality = _MODALITIES[number % len(_MODALITIES)]
    seconds = mixed_up % 86_400
    dated = number % spread.undated != 0
    attributes = {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080020": {"vr": "DA", "Value": [f"{day:%Y%m%d}"]} if dated else {"vr": "DA"},
        "00080030": {"vr": "TM", "Value": [f"{seconds // 3600:02}{seconds // 60 % 60:02}{seconds % 60:02}"]},
        "00080050": {"vr": "SH", "Value": [f"A{number}"]},
        "00080061": {"vr": "CS", "Value": [modality]},
        "00080062": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
        "00080090": {"vr": "PN"},
        "00081030": {"vr": "LO", "Value": ["Thorax"]},
        "00081190": {"vr": "UR", "Value": [f"/studies/{uid_of(number)}"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": f"{family}^{given}"}]},
        "00100020": {"vr": "LO", "Value": [patient_of(number)]},
        "00100030": {"vr": "DA", "Value": ["19700101"]},
        "00100040": {"vr": "CS", "Value": ["FM"[number % 2]]},
        "0020000D": {"vr": "UI", "Value": [uid_of(number)]},
        "00200010": {"vr": "SH", "Value": [str(number)]},
        "00201206": {"vr": "IS", "Value": [2]},
        "00201208": {"vr": "IS", "Value": [120]},
    }
    return StudyRow(uid_of(number), patient_of(number), "", patient_of(number), False, b"", attributes)
