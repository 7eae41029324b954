"""Multipart bodies: read alike in pieces of any size, proved whole, and written anew without a trace of the archive."""

import email.parser
import email.policy
import itertools
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.dicom.multipart import (
    MAX_HEADER_BYTES,
    BodyEnd,
    MultipartInvalidError,
    MultipartReader,
    PartEnd,
    PartHead,
    boundary_of,
)
from app.core.dicom.part_writing import PartWriter, content_type_of, length_of
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid

Part = tuple[tuple[tuple[bytes, bytes], ...], bytes]

BOUNDARIES: Final = [
    (b"multipart/related; boundary=abc", b"abc"),
    (b'Multipart/Related; type="application/dicom"; boundary="a b:c=?"', b"a b:c=?"),
    (b"multipart/related;BOUNDARY=a:b=c; type=x/y", b"a:b=c"),
    (b"multipart/related", None),
    (b"multipart/mixed; boundary=abc", None),
    (b"application/dicom; boundary=abc", None),
    (b"multipart/related; boundary=", None),
    (b"multipart/related; boundary=a; boundary=b", None),
    (b'multipart/related; boundary="a "', None),
    (b"multipart/related; boundary=a\xff", None),
    (b"multipart/related; boundary=" + b"a" * 71, None),
]


@pytest.mark.parametrize(("content_type", "boundary"), BOUNDARIES)
def test_a_boundary_is_read_from_the_content_type(content_type: bytes, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


def _body(boundary: bytes, parts: Sequence[Part], preamble: bytes = b"", epilogue: bytes = b"\r\n") -> bytes:
    body = preamble
    for index, (headers, content) in enumerate(parts):
        body += (b"\r\n" if index or preamble else b"") + b"--" + boundary + b"\r\n"
        body += b"".join(name + b": " + value + b"\r\n" for name, value in headers) + b"\r\n" + content
    return body + b"\r\n--" + boundary + b"--" + epilogue


def _read(boundary: bytes, pieces: Sequence[bytes]) -> list[Part]:
    """The parts of a body fed in pieces, proved whole."""
    reader = MultipartReader(boundary)
    parts: list[Part] = []
    content = b""
    ended = False
    for piece in pieces:
        for event in reader.feed(piece):
            if isinstance(event, PartHead):
                parts.append((event.headers, b""))
            elif isinstance(event, memoryview):
                assert len(event)
                content += event
            elif isinstance(event, PartEnd):
                parts[-1], content = (parts[-1][0], content), b""
            else:
                assert isinstance(event, BodyEnd)
                assert not ended
                ended = True
    reader.close()
    assert ended
    return parts


def _cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges)]


_HEADERS: Final = st.lists(
    st.tuples(
        st.sampled_from([b"content-type", b"content-location", b"x-y"]),
        st.text(alphabet='abc/;="1. é', max_size=12).map(lambda text: text.strip().encode("latin-1")),
    ),
    max_size=3,
).map(tuple)
# Content full of what a delimiter is made of
_CONTENT: Final = st.lists(st.sampled_from([b"\r\n", b"--", b"-", b"\r", b"\n", b"bo", b"bou", b"\0", b"x"])).map(
    b"".join
)
_PARTS: Final = st.lists(st.tuples(_HEADERS, _CONTENT | st.binary(max_size=40)), max_size=4)


@given(
    parts=_PARTS,
    places=st.lists(st.integers(0, 10_000), max_size=12),
    preamble=st.sampled_from([b"", b"hello", b"--x"]),
)
def test_any_cutting_into_pieces_reads_the_same(parts: list[Part], places: list[int], preamble: bytes) -> None:
    boundary = b"boundary"
    assume(not any(boundary in content for _, content in parts))
    body = _body(boundary, parts, preamble)
    assert _read(boundary, _cut(body, places)) == parts
    assert _read(boundary, [body[i : i + 1] for i in range(len(body))]) == parts


@given(parts=_PARTS, data=st.data())
def test_no_beginning_of_a_body_passes_for_the_whole(parts: list[Part], data: st.DataObject) -> None:
    boundary = b"boundary"
    assume(not any(boundary in content for _, content in parts))
    body = _body(boundary, parts, epilogue=b"")
    short = body[: data.draw(st.integers(0, len(body) - 1))]
    with pytest.raises(MultipartInvalidError):
        _read(boundary, [short])


@given(contents=st.lists(st.text(alphabet="ab-é \t", max_size=30), min_size=1, max_size=4))
def test_the_standard_librarys_reader_sees_the_same_parts(contents: list[str]) -> None:
    parts: list[Part] = [(((b"content-type", b"text/plain; charset=utf-8"),), text.encode()) for text in contents]
    body = _body(b"boundary", parts)
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: multipart/related; boundary=boundary\r\n\r\n" + body
    )
    theirs = [part.get_payload(decode=True) for part in message.iter_parts()]
    assert [content for _, content in _read(b"boundary", [body])] == theirs


HEAD: Final = b"--b\r\n"
END: Final = b"\r\n--b--"
REFUSED: Final = [
    b"",
    b"--b",
    b"--b-",
    b"--c--",
    HEAD + b"\r\ncontent\r\n--b",
    HEAD + b"\r\ncontent--b--",
    HEAD + b"\r\ncontent\n--b--",
    HEAD + b"\r\ncontent\r\n--bc\r\n\r\n" + END,  # a line that starts like a delimiter
    HEAD + b"\r\ncontent\r\n--b -- \r\n\r\n" + END,
    HEAD + b"no header\r\n\r\ncontent" + END,
    HEAD + b"a: b\r\n folded\r\n\r\ncontent" + END,
    HEAD + b"a: b\nc: d\r\n\r\ncontent" + END,
    HEAD + b"a: b\0\r\n\r\ncontent" + END,
    HEAD + b"a : b\r\n\r\ncontent" + END,
    HEAD + b": b\r\n\r\ncontent" + END,
    HEAD + b"a: " + b"b" * MAX_HEADER_BYTES,
    HEAD + b"a: " + b"b" * MAX_HEADER_BYTES + b"\r\n\r\n" + END,
    b"x" * 10_000 + b"\r\n" + HEAD + b"\r\n" + END,
    HEAD + b"\r\ncontent" + END + b"x" * 2000,
]


@pytest.mark.parametrize("body", REFUSED)
def test_a_body_that_is_malformed_or_not_whole_is_refused(body: bytes) -> None:
    with pytest.raises(MultipartInvalidError):
        _read(b"b", [body])
    with pytest.raises(MultipartInvalidError):
        _read(b"b", [body[i : i + 1] for i in range(len(body))])


def test_blanks_after_a_delimiter_and_around_a_value_mean_nothing() -> None:
    assert _read(b"b", [b"--b \t\r\nA:\t 1 \t\r\n\r\nx\r\n--b--"]) == [(((b"a", b"1"),), b"x")]


def test_a_body_of_no_parts_is_whole() -> None:
    assert _read(b"b", [b"--b--\r\n"]) == []


# --- Writing ---

PUBLIC: Final = "https://gateway.test/dicom-web"
LINK: Final = b"http://pacs:8042/dicom-web/studies/1.2/series/1.3/instances/1.4"


ASKED: Final = Retrieve(Representation.DICOM, StudyUid("1.2"), SeriesUid("1.3"))


def _rewritten(body: bytes, size: int = 7) -> bytes:
    reader, writer = MultipartReader(b"boundary"), PartWriter("ours", "application/dicom", PUBLIC, ASKED)
    sent = b""
    for piece in (body[at : at + size] for at in range(0, len(body), size)):
        for event in reader.feed(piece):
            if isinstance(event, PartHead):
                sent += writer.head(event)
            elif isinstance(event, memoryview):
                sent += event
            elif isinstance(event, BodyEnd):
                sent += writer.end()
    reader.close()
    assert writer.content_type == 'multipart/related; type="application/dicom"; boundary=ours'
    return sent


def test_the_parts_heads_are_of_the_gateways_making() -> None:
    parts: list[Part] = [
        (
            (
                (b"server", b"Orthanc"),
                (b"content-type", b"application/dicom;transfer-syntax=1.2.840.10008.1.2.1"),
                (b"content-location", LINK),
                (b"content-length", b"9"),
                (b"mime-version", b"1.0"),
            ),
            b"first\r\n--",
        ),
        (((b"content-location", b"http://pacs:8042/system"),), b""),
    ]
    assert _rewritten(_body(b"boundary", parts, b"preamble", b"epilogue")) == (
        b"--ours\r\nContent-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n"
        b"Content-Location: https://gateway.test/dicom-web/studies/1.2/series/1.3/instances/1.4\r\n\r\nfirst\r\n--"
        b"\r\n--ours\r\nContent-Type: application/dicom\r\n\r\n"
        b"\r\n--ours--\r\n"
    )


@pytest.mark.parametrize(
    ("location", "link"),
    [
        (b"http://pacs/studies/1.2/series/1.3/instances/1.4", "/studies/1.2/series/1.3/instances/1.4"),
        (b"instances/1.4", "/studies/1.2/series/instances/1.4"),
        (b"http://pacs/studies/1.2/series/1.9/instances/1.4", None),
        (b"http://pacs/studies/1.9/series/1.3/instances/1.4", None),
        (b"http://pacs/studies/1.2", None),
        (b"http://pacs/wado?studyUID=1.2", None),
        (b"http://pacs/studies/{study}", None),
    ],
)
def test_a_location_outside_what_was_asked_for_is_dropped(location: bytes, link: str | None) -> None:
    head = PartWriter("ours", "application/dicom", PUBLIC, ASKED).head(PartHead(((b"content-location", location),)))
    named = f"Content-Location: {PUBLIC}{link}\r\n".encode()
    assert b"pacs" not in head
    assert (named in head) == (b"Content-Location" in head) == (link is not None and "series/instances" not in link)


def test_what_the_gateway_knows_of_a_part_goes_before_what_the_archive_says() -> None:
    part = PartHead(((b"content-location", b"http://pacs/studies/1.2/series/1.3/instances/1.4/frames/2"),))
    frame = Retrieve(Representation.FRAMES, StudyUid("1.2"), SeriesUid("1.3"), InstanceUid("1.4"), (1,))
    head = PartWriter("ours", "application/octet-stream", PUBLIC, ASKED).head(part, frame)
    assert f"Content-Location: {PUBLIC}/studies/1.2/series/1.3/instances/1.4/frames/1\r\n".encode() in head


@given(parts=_PARTS, size=st.integers(1, 50))
def test_content_goes_through_unchanged(parts: list[Part], size: int) -> None:
    assume(not any(b"boundary" in content or b"ours" in content for _, content in parts))
    assume(all(len({name for name, _ in headers}) == len(headers) for headers, _ in parts))
    sent = _rewritten(_body(b"boundary", parts), size)
    if parts:
        assert [content for _, content in _read(b"ours", [sent])] == [content for _, content in parts]


TYPES: Final = [
    (b"application/dicom", ("application/dicom", "")),
    (
        b'Application/Octet-Stream; transfer-syntax="1.2.840.10008.1.2.4.90"',
        ("application/octet-stream", "1.2.840.10008.1.2.4.90"),
    ),
    (b"image/jpeg;transfer-syntax=1.2.840.10008.1.2.4.50;charset=x", ("image/jpeg", "1.2.840.10008.1.2.4.50")),
    (b"text/html", ("x/y", "")),
    (b"garbage", ("x/y", "")),
    (b"application/dicom; transfer-syntax=*", ("application/dicom", "")),
    (b"application/dicom; transfer-syntax=" + b"1" * 65, ("application/dicom", "")),
]


def test_a_part_that_holds_parts_or_is_coded_is_refused() -> None:
    for header in (
        (b"content-type", b"multipart/related; boundary=x"),
        (b"content-type", b'"Multipart/Mixed'),
        (b"content-type", b"message/rfc822"),
        (b"content-encoding", b"gzip"),
        (b"content-transfer-encoding", b"Base64"),
    ):
        with pytest.raises(MultipartInvalidError):
            content_type_of(PartHead((header,)), "application/dicom")
    plain = PartHead(((b"content-transfer-encoding", b"Binary"), (b"content-encoding", b"identity")))
    assert content_type_of(plain, "application/dicom") == ("application/dicom", "")


@pytest.mark.parametrize(("value", "expected"), TYPES)
def test_a_parts_type_is_one_that_dicomweb_knows(value: bytes, expected: tuple[str, str]) -> None:
    assert content_type_of(PartHead(((b"content-type", value),)), "x/y") == expected


def test_a_part_without_a_type_has_the_answers_and_two_types_are_refused() -> None:
    assert content_type_of(PartHead(()), "x/y") == ("x/y", "")
    with pytest.raises(MultipartInvalidError):
        content_type_of(PartHead(((b"content-type", b"a/b"), (b"content-type", b"a/b"))), "x/y")


@pytest.mark.parametrize(
    ("said", "length"),
    [([], None), ([b"0"], 0), ([b"1234"], 1234), ([b"-1"], None), ([b"+1"], None), ([b"1 "], None), ([b"x"], None)],
)
def test_the_length_a_part_says_it_has(said: list[bytes], length: int | None) -> None:
    assert length_of(PartHead(tuple((b"content-length", value) for value in said))) == length


def test_a_part_with_two_lengths_has_none_that_counts() -> None:
    with pytest.raises(MultipartInvalidError):
        length_of(PartHead(((b"content-length", b"1"), (b"content-length", b"1"))))
