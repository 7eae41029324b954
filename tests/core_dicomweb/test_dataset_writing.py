"""Data sets as a body: read back they are the ones that were written, in JSON, in one XML document, and in parts."""

import json

import pytest

from app.core.dicom.dataset_writing import writing_of
from app.core.dicom.dicomjson import DicomJson
from app.core.dicom.multipart import MultipartReader, PartEnd, PartHead, boundary_of
from app.core.dicom.native_model import native_model
from app.core.dicom.negotiation import XML, Chosen

ROWS: list[DicomJson] = [
    {"0020000D": {"vr": "UI", "Value": ["1.2.3"]}},
    {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "--b\r\n--b--", "Ideographic": "患者"}]}},
    {},
]
JSON = "application/dicom+json"
BOUNDARY = "b0undary"


@pytest.mark.parametrize("count", range(len(ROWS) + 1))
def test_json_is_one_array(count: int) -> None:
    rows = ROWS[:count]
    writing = writing_of(Chosen(JSON, JSON, multipart=False), BOUNDARY)
    assert writing.content_type == JSON
    assert json.loads(writing.whole([writing.one(row) for row in rows])) == rows


def test_half_a_pair_of_the_archives_does_not_break_the_body() -> None:
    writing = writing_of(Chosen(JSON, JSON, multipart=False), BOUNDARY)
    written = writing.one({"00104000": {"vr": "LT", "Value": ["a\ud800b \U0001f600"]}})
    assert json.loads(written) == {"00104000": {"vr": "LT", "Value": ["a\ufffdb \U0001f600"]}}


def test_each_part_of_xml_is_one_data_set() -> None:
    writing = writing_of(Chosen(JSON, XML, multipart=True), BOUNDARY)
    boundary = boundary_of(writing.content_type.encode())
    assert boundary == BOUNDARY.encode()
    reader, documents = MultipartReader(boundary), list[bytes]()
    for event in reader.feed(writing.whole([writing.one(row) for row in ROWS])):
        if isinstance(event, PartHead):
            assert event.value(b"content-type") == XML.encode()
            documents.append(b"")
        elif isinstance(event, memoryview):
            documents[-1] += event
        else:
            assert not isinstance(event, PartEnd) or documents
    reader.close()
    assert documents == ["".join(native_model(row)).encode() for row in ROWS]


def test_of_none_there_is_no_part_and_no_body() -> None:
    assert writing_of(Chosen(JSON, XML, multipart=True), BOUNDARY).whole([]) == b""


def test_one_document_stands_bare() -> None:
    writing = writing_of(Chosen(JSON, XML, multipart=False), BOUNDARY)
    assert writing.content_type == XML
    assert writing.whole([writing.one(ROWS[1])]) == "".join(native_model(ROWS[1])).encode()
