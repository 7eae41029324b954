"""XML of the Native DICOM Model: nothing is lost, nothing can break out, and the schema's rules hold (PS3.19 §A.1)."""

import json
import random
import shutil
import subprocess
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import FileDataset

from app.core.dicom.dicomjson import MAX_DEPTH, DatasetInvalidError, rewrite_links
from app.core.dicom.native_model import native_model
from app.pacs.archive.dicom_json import to_json
from tests.support.dicom_files import copy_wheel_files
from tests.support.native_model import NAMESPACE, NUMBER_VRS, as_read, read

PUBLIC = "https://gateway.test/dicom-web"
BULK = "http://pacs.internal:8042/dicom-web/studies/1/series/2/instances/3/bulk"
# Markup, what XML cannot hold, what a parser would change, and texts that other encodings would break
HOSTILE = [
    "", " ", "  two  ", "a&b", "<b>", "]]>", "<![CDATA[x]]>", "<!--", "&amp;", "&#0;", "'\"", "\r", "\r\n", "\n", "\t",
    "\x00", "\x0c", "\x1b$B", "\x7f", "\x85", "\u2028", "\ud800", "\udfff", "\ufffe", "\uffff", "\U0001f600",
    "患者", "é", "<?xml?>", "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;", "^", "=", "a^b^c^d^e^f^^",
]  # fmt: skip
TEXT_VRS = ["AE", "AS", "AT", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"]
TAGS = [
    "00080005",
    "00080060",
    "00100010",
    "00100020",
    "00204000",
    "00280010",
    "60003000",
    "50120010",
    "FFFEE000",
    "00000000",
]


def written(dataset: dict[str, Any]) -> bytes:
    return "".join(native_model(rewrite_links(dataset, PUBLIC))).encode("utf-8")


def generated(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    dataset: dict[str, Any] = {}
    for _ in range(rng.randrange(8)):
        group, block = rng.choice(["0009", "0029"]), rng.choice(["10", "11", "E0", "00", "05"])
        if rng.random() < 0.7:
            dataset[f"{group}00{block}"] = {"vr": "LO", "Value": [rng.choice([*HOSTILE, "ACME", "ACME"])]}
        dataset[f"{group}{block}{rng.randrange(256):02X}"] = _random_element(rng, depth)
    for tag in rng.sample(TAGS, rng.randrange(len(TAGS))):
        dataset[tag] = _random_element(rng, depth)
    if rng.random() < 0.7:
        dataset = dict(sorted(dataset.items()))
    return dataset


def _random_element(rng: random.Random, depth: int) -> dict[str, Any]:
    kinds = [_text, _number, _name, _inline, _linked, _empty, *([_sequence] if depth < 4 else [])]
    return rng.choice(kinds)(rng, depth)


def _text(rng: random.Random, _depth: int) -> dict[str, Any]:
    text = [rng.choice(HOSTILE) + rng.choice(HOSTILE) for _ in range(rng.randrange(4))]
    return {"vr": rng.choice(TEXT_VRS), "Value": [None if rng.random() < 0.1 else one for one in text]}


def _number(rng: random.Random, _depth: int) -> dict[str, Any]:
    numbers = [0, -1, 1.5, 1e-9, 10**20, 1e300, "1.50 ", "+7", "NaN?", None]
    return {"vr": rng.choice(NUMBER_VRS), "Value": rng.choices(numbers, k=rng.randrange(4))}


def _name(rng: random.Random, _depth: int) -> dict[str, Any]:
    names = [None, "A^B=漢^字=か", *({"Alphabetic": text, "Phonetic": rng.choice(HOSTILE)} for text in HOSTILE)]
    return {"vr": "PN", "Value": rng.choices(names, k=rng.randrange(4))}


def _inline(rng: random.Random, _depth: int) -> dict[str, Any]:
    return {"vr": rng.choice(["OB", "OW", "UN", "OV"]), "InlineBinary": rng.choice(["", "AAEC", "AA==", "//+/"])}


def _linked(_rng: random.Random, _depth: int) -> dict[str, Any]:
    return {"vr": "OW", "BulkDataURI": f"{PUBLIC}/studies/1/series/2/instances/3/bulk/7fe00010"}


def _empty(rng: random.Random, _depth: int) -> dict[str, Any]:
    return {"vr": rng.choice(["LO", "SQ", "PN", "OB"])}


def _sequence(rng: random.Random, depth: int) -> dict[str, Any]:
    return {"vr": "SQ", "Value": [generated(rng, depth + 1) for _ in range(rng.randrange(3))]}


@pytest.mark.soak
def test_what_was_written_is_read_back(rng: random.Random, run_size: Callable[[int, int], int]) -> None:
    for _ in range(run_size(600, 200_000)):
        dataset = generated(rng)
        # As it comes from an archive, lone surrogates and all
        dataset = json.loads(json.dumps(dataset))
        assert read(written(dataset)) == as_read(dataset)


def _read(path: Path) -> FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True)


def test_every_file_of_the_wheel_is_read_back(tmp_path: Path) -> None:
    count = 0
    for path in copy_wheel_files(tmp_path):
        dataset = to_json(_read(path), BULK)
        linked = rewrite_links(dataset, PUBLIC)
        assert read(written(dataset)) == as_read(linked), path.name
        assert b"pacs.internal" not in written(dataset)
        count += 1
    assert count > 50


@pytest.mark.orthanc
@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "test-SR.dcm", "chrGerm.dcm", "chrRuss.dcm"]
)
def test_another_writer_says_the_same(tmp_path: Path, name: str) -> None:
    """As dcmtk writes it. Binary values and numbers it has in its own way; the rest is compared."""
    program = shutil.which("dcm2xml")
    assert program is not None
    (path,) = (one for one in copy_wheel_files(tmp_path) if one.name.endswith(f"files-{name}"))
    command = [program, "-q", "--native-format", "+U8", "+Ca", "latin-1", str(path)]
    theirs = _flat(ET.fromstring(subprocess.run(command, check=True, capture_output=True).stdout))
    ours = _flat(ET.fromstring(written(to_json(_read(path), BULK))))
    ours.pop(("00080005",), None)  # which is that of the file, where dcmtk says what it made of it
    assert ours
    for place, said in ours.items():
        assert theirs.get(place) == said, place


def _flat(parent: ET.Element, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Each text by where it stands."""
    found: dict[tuple[str, ...], Any] = {}
    for child in parent:
        child_tag = child.tag.removeprefix(f"{{{NAMESPACE}}}")
        if child_tag == "Item":
            found |= _flat(child, (*above, child.attrib["number"]))
        elif child_tag == "DicomAttribute":
            place = (*above, child.attrib["tag"] + child.get("privateCreator", ""))
            if child.attrib["vr"] == "SQ":
                found |= _flat(child, place)
            elif child.attrib["vr"] in TEXT_VRS or child.attrib["vr"] == "PN":
                found[place] = (
                    child.attrib["vr"],
                    child.get("keyword"),
                    [said for one in child if (said := _texts(one))[2:] != ("", [])],
                )
    return found


def _texts(element: ET.Element) -> Any:
    name = element.tag.removeprefix(f"{{{NAMESPACE}}}")
    return (name, element.get("number"), (element.text or "").strip(), [_texts(one) for one in element])


def test_one_of_each() -> None:
    document = written(
        {
            "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
            "00080008": {"vr": "CS", "Value": ["ORIGINAL", None, "AXIAL"]},
            "00090010": {"vr": "LO", "Value": ['A"CME']},
            "00091002": {"vr": "UN", "InlineBinary": "AAEC"},
            "00091102": {"vr": "SH", "Value": ["nobody's"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Ng^Ann", "Ideographic": "吳"}]},
            "00101030": {"vr": "DS", "Value": [70.5]},
            "00400275": {"vr": "SQ", "Value": [{"00400007": {"vr": "LO", "Value": ["<x>"]}}, {}]},
            "7FE00010": {"vr": "OW", "BulkDataURI": f"{BULK}/7fe00010"},
        }
    )
    assert document.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">'
        '<DicomAttribute tag="00080005" keyword="SpecificCharacterSet" vr="CS"><Value number="1">ISO_IR 192</Value>'
        '</DicomAttribute><DicomAttribute tag="00080008" keyword="ImageType" vr="CS"><Value number="1">ORIGINAL</Value>'
        '<Value number="2"></Value><Value number="3">AXIAL</Value></DicomAttribute>'
        '<DicomAttribute tag="00090010" vr="LO"><Value number="1">A&quot;CME</Value></DicomAttribute>'
        '<DicomAttribute tag="00090002" privateCreator="A&quot;CME" vr="UN"><InlineBinary>AAEC</InlineBinary>'
        '</DicomAttribute><DicomAttribute tag="00091102" vr="SH"><Value number="1">nobody\'s</Value></DicomAttribute>'
        '<DicomAttribute tag="00100010" keyword="PatientName" vr="PN"><PersonName number="1"><Alphabetic>'
        "<FamilyName>Ng</FamilyName><GivenName>Ann</GivenName></Alphabetic><Ideographic><FamilyName>吳</FamilyName>"
        '</Ideographic></PersonName></DicomAttribute><DicomAttribute tag="00101030" keyword="PatientWeight" vr="DS">'
        '<Value number="1">70.5</Value></DicomAttribute>'
        '<DicomAttribute tag="00400275" keyword="RequestAttributesSequence" vr="SQ"><Item number="1">'
        '<DicomAttribute tag="00400007" keyword="ScheduledProcedureStepDescription" vr="LO">'
        '<Value number="1">&lt;x&gt;</Value></DicomAttribute></Item><Item number="2"></Item></DicomAttribute>'
        '<DicomAttribute tag="7FE00010" keyword="PixelData" vr="OW">'
        '<BulkData uri="https://gateway.test/dicom-web/studies/1/series/2/instances/3/bulk/7fe00010"/></DicomAttribute>'
        "</NativeDicomModel>"
    )


@pytest.mark.parametrize(
    "element",
    [
        {"vr": 'LO"><x y="'},
        {"vr": "XX"},
        {"vr": ""},
        {"vr": "lo", "Value": ["a"]},
        {"vr": "OB", "InlineBinary": "<x/>"},
        {"vr": "OB", "InlineBinary": "AA==AA=="},
        {"vr": "LO", "Value": [{"Alphabetic": "no name"}]},
        {"vr": "PN", "Value": [7]},
    ],
)
def test_what_is_no_value_makes_no_document(element: dict[str, Any]) -> None:
    with pytest.raises(DatasetInvalidError):
        written({"00100020": element})


def test_the_deepest_data_set_that_passes_is_written() -> None:
    dataset: dict[str, Any] = {"00100020": {"vr": "LO", "Value": ["deep"]}}
    for _ in range(MAX_DEPTH):
        dataset = {"00400275": {"vr": "SQ", "Value": [dataset]}}
    assert read(written(dataset)) == dataset
    with pytest.raises(DatasetInvalidError):
        written({"00400275": {"vr": "SQ", "Value": [dataset]}})


def test_one_creator_with_two_blocks_loses_nothing() -> None:
    creator = {"vr": "LO", "Value": ["ACME"]}
    dataset = {
        "00090010": creator,
        "00090011": creator,
        "00091001": {"vr": "SH", "Value": ["first"]},
        "00091101": {"vr": "SH", "Value": ["second"]},
        "00110010": creator,
        "00111001": {"vr": "SH", "Value": ["third"]},
    }
    document = written(dataset)
    assert read(document) == dataset
    assert document.count(b"privateCreator") == 2
