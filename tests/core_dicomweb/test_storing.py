"""What may be sent to be stored, and the answer made of what became of it (PS3.18 §10.5)."""

from typing import Any

import pytest

from app.core.dicom.dicomjson import rewrite_links
from app.core.dicom.dicomweb import Store
from app.core.dicom.dicomweb_grammar import parse
from app.core.dicom.multipart import MultipartInvalidError, PartHead
from app.core.dicom.part10 import Part10Identity
from app.core.dicom.storing import (
    FailureReason,
    InstanceName,
    Refused,
    Result,
    Stored,
    answer_type,
    flaw_in,
    is_dicom_part,
    name_of,
    response,
    status_of,
    upload_boundary,
    warning_of,
)
from app.core.http.problem import Problem
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid

URL = "https://gateway.example/dicom-web"
ANY, ONE = Store(), Store(StudyUid("1.2"))


def _name(instance: str = "1.2.3.4", study: str = "1.2") -> InstanceName:
    return InstanceName("1.2.840", StudyUid(study), SeriesUid("1.2.3"), InstanceUid(instance))


def _identity(**more: Any) -> Part10Identity:
    values: dict[str, Any] = {
        "study": "1.2", "series": "1.2.3", "instance": "1.2.3.4", "patient_ids": ("A",), "issuers": (),
        "transfer_syntax": "1.2.840.10008.1.2.1", "sop_class": "1.2.840",
    }  # fmt: skip
    return Part10Identity(**(values | more))


def test_post_names_what_is_stored_where() -> None:
    assert parse("POST", b"/studies", b"") == ANY
    assert parse("POST", b"/studies/1.2", b"") == ONE
    assert parse("POST", b"/studies/1.2", b"accept=application/dicom%2Bxml") == Store(
        StudyUid("1.2"), "application/dicom+xml"
    )
    for path, query in ((b"/studies", b"accept=a&accept=b"), (b"/studies/1.x", b""), (b"/studies/1.2/series", b"")):
        assert isinstance(parse("POST", path, query), Problem)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b'multipart/related; type="application/dicom"; boundary=x', b"x"),
        (b"multipart/related; boundary=x; type=application/dicom", b"x"),
        (b'Multipart/Related;type="Application/DICOM";boundary="x y"', b"x y"),
        (b"multipart/related; boundary=x", b"x"),
        (b"multipart/related; type=application/dicom", "invalid-multipart"),
        (b'multipart/related; type="application/dicom+json"; boundary=x', "unsupported-media-type"),
        (
            b'multipart/related; type="application/dicom"; type="application/dicom"; boundary=x',
            "unsupported-media-type",
        ),
        (b"multipart/mixed; boundary=x", "unsupported-media-type"),
        (b"application/dicom", "unsupported-media-type"),
        (b"", "unsupported-media-type"),
    ],
)
def test_only_files_as_they_are(content_type: bytes, expected: bytes | str) -> None:
    found = upload_boundary([content_type], [])
    assert (found.name if isinstance(found, Problem) else found) == expected


def test_one_type_and_no_coding() -> None:
    good = b"multipart/related; boundary=x"
    assert upload_boundary([good], [b"Identity"]) == b"x"
    for types, codings in (([], []), ([good, good], []), ([good], [b"gzip"])):
        assert isinstance(upload_boundary(types, codings), Problem)


def test_a_part_that_says_what_it_is() -> None:
    for value, expected in ((b"application/dicom", True), (b"Application/DICOM; transfer-syntax=1.2", True),
                            (b"text/plain", False), (b"application/dicom+json", False)):  # fmt: skip
        assert is_dicom_part(PartHead(((b"content-type", value),))) == expected
    assert is_dicom_part(PartHead(()))
    with pytest.raises(MultipartInvalidError):
        is_dicom_part(PartHead(((b"content-type", b"a/b"), (b"content-type", b"a/b"))))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ([], "application/dicom+json"),
        ([b"*/*"], "application/dicom+json"),
        ([b"application/*"], "application/dicom+json"),
        ([b"application/json"], "application/json"),
        ([b"application/dicom+xml"], "application/dicom+xml"),
        ([b"application/dicom+xml;q=0.5, application/dicom+json;q=0.4"], "application/dicom+xml"),
        ([b"*/*, application/dicom+json;q=0"], "application/json"),
        ([b"image/png"], None),
        ([b"application/dicom+json;q=0"], None),
        ([b'"'], None),
    ],
)
def test_what_the_answer_is_made_of(accept: list[bytes], expected: str | None) -> None:
    found = answer_type(ANY, accept)
    assert (None if isinstance(found, Problem) else found) == expected
    assert answer_type(Store(accept="application/json"), accept) == "application/json"


def test_why_a_file_is_not_stored_whatever_the_archive_holds() -> None:
    assert name_of(_identity()) == _name()
    assert flaw_in(_identity(), ONE) is None
    assert flaw_in(_identity(study="1.3"), ONE) is FailureReason.OTHER_STUDY
    assert flaw_in(_identity(study="1.3"), ANY) is None
    for ids in ((), ("",), ("  ",), ("A", "B")):
        assert flaw_in(_identity(patient_ids=ids), ANY) is FailureReason.NOT_AUTHORIZED
    assert flaw_in(_identity(issuers=("A", "B")), ANY) is FailureReason.NOT_AUTHORIZED
    for syntax in ("1.2.840.10008.1.20", "1.2.840.113619.5.2", " 1.2.840.10008.1.2", "1.2.840.10008.1.2.1\\1.2", ""):
        assert flaw_in(_identity(transfer_syntax=syntax), ANY) is FailureReason.UNKNOWN_SYNTAX
    for syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.4.205"):
        assert flaw_in(_identity(transfer_syntax=syntax), ANY) is None
    for uid in ("", "1..2", ".1", "1.", "1.a", "../1", "1" * 65, "1\n", "\uff11"):
        for which in ("study", "series", "instance", "sop_class"):
            broken = _identity(**{which: uid})
            assert (name_of(broken), flaw_in(broken, ANY)) == (None, FailureReason.NOT_UNDERSTOOD)


def test_only_the_standards_warnings_are_passed_on() -> None:
    assert [warning_of(value) for value in (0xB000, 0xB006, 0xB007, 1, None, "B000")] == [
        0xB000, 0xB006, 0xB007, None, None, None,
    ]  # fmt: skip


GOOD, ODD, BAD = Stored(_name()), Stored(_name("1.9"), 0xB000), Refused(_name("1.8"), FailureReason.DUPLICATE)
NAMELESS = Refused(None, FailureReason.NOT_UNDERSTOOD)


@pytest.mark.parametrize(
    ("results", "status"),
    [([GOOD], 200), ([GOOD, ODD], 202), ([GOOD, BAD], 202), ([GOOD, NAMELESS], 202), ([BAD, NAMELESS], 409)],
)
def test_the_status_says_how_much_was_stored(results: list[Result], status: int) -> None:
    assert status_of(results) == status


def test_the_answer_names_each_instance_once_in_tag_order() -> None:
    said = response([BAD, GOOD, ODD, NAMELESS], ANY, URL)
    assert list(said) == ["00081190", "00081198", "00081199", "0008119A"]
    assert said["00081190"]["Value"] == [f"{URL}/studies/1.2"]
    assert said["00081198"]["Value"] == [
        {
            "00081150": {"vr": "UI", "Value": ["1.2.840"]},
            "00081155": {"vr": "UI", "Value": ["1.8"]},
            "00081197": {"vr": "US", "Value": [0x0111]},
        }
    ]
    assert said["00081199"]["Value"][1]["00081196"] == {"vr": "US", "Value": [0xB000]}
    assert said["0008119A"]["Value"] == [{"00081197": {"vr": "US", "Value": [0xC000]}}]
    assert rewrite_links(said, URL) == said  # every link is one of ours already
    assert response([BAD], ONE, URL)["00081190"] == {"vr": "UR"}
    assert response([GOOD, Stored(_name(study="1.7"))], ANY, URL)["00081190"] == {"vr": "UR"}
    assert response([GOOD], ONE, URL)["00081190"]["Value"] == [f"{URL}/studies/1.2"]
