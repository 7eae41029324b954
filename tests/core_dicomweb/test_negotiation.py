"""What the viewers' Accept headers are answered with, and what is refused."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.dicom.dicomweb import Level, Representation, Retrieve, Search
from app.core.dicom.negotiation import Chosen, negotiate
from app.core.http.accept import MAX_ACCEPT_BYTES, MAX_RANGES, MediaRange, parse_accept
from app.core.http.problem import Problem
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid

STUDY, SERIES, INSTANCE = StudyUid("1.2"), SeriesUid("1.2.3"), InstanceUid("1.2.3.4")
TARGETS: Final[dict[str, Retrieve | Search]] = {
    "search": Search(Level.STUDY),
    "metadata": Retrieve(Representation.METADATA, STUDY),
    "study": Retrieve(Representation.DICOM, STUDY),
    "instance": Retrieve(Representation.DICOM, STUDY, SERIES, INSTANCE),
    "instance-metadata": Retrieve(Representation.METADATA, STUDY, SERIES, INSTANCE),
    "frame": Retrieve(Representation.FRAMES, STUDY, SERIES, INSTANCE, (1,)),
    "frames": Retrieve(Representation.FRAMES, STUDY, SERIES, INSTANCE, (1, 2)),
    "bulk": Retrieve(Representation.BULKDATA, STUDY, SERIES, INSTANCE, bulk_path=("00420011",)),
    "rendered": Retrieve(Representation.RENDERED, STUDY, SERIES, INSTANCE),
    "rendered-study": Retrieve(Representation.RENDERED, STUDY),
    "rendered-frame": Retrieve(Representation.RENDERED_FRAMES, STUDY, SERIES, INSTANCE, (1,)),
    "rendered-frames": Retrieve(Representation.RENDERED_FRAMES, STUDY, SERIES, INSTANCE, (3, 1)),
    "thumbnail": Retrieve(Representation.THUMBNAIL, STUDY, SERIES),
    "frame-thumbnails": Retrieve(Representation.THUMBNAIL_FRAMES, STUDY, SERIES, INSTANCE, (3, 1)),
    "pixels": Retrieve(Representation.PIXELDATA, STUDY, SERIES, INSTANCE),
    "bulks": Retrieve(Representation.ALL_BULKDATA, STUDY),
}
DICOM, OCTETS, JSON = "application/dicom", "application/octet-stream", "application/dicom+json"
XML = "application/dicom+xml"
LITTLE, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
EVERYTHING: Final = ", ".join(
    f'multipart/related; type="{media_type}"; transfer-syntax={syntax}'
    for media_type, syntax in [
        ("image/jls", "1.2.840.10008.1.2.4.80"),
        ("image/jpeg", JPEG),
        ("image/jp2", "1.2.840.10008.1.2.4.90"),
        (OCTETS, LITTLE),
    ]
)


def _envelope(media_type: str, syntax: str = "") -> str:
    return f'multipart/related; type="{media_type}"' + (f"; transfer-syntax={syntax}" if syntax else "")


# (what of, Accept, the archive is asked with, the answer's type, whether it is multipart)
CHOSEN: Final = [
    ("search", "", JSON, JSON, False),
    ("search", "*/*", JSON, JSON, False),
    ("search", "application/*", JSON, JSON, False),
    ("search", "application/dicom+json, application/json", JSON, JSON, False),  # dicomweb-client
    ("search", "application/dicom+json", JSON, JSON, False),  # OHIF
    ("search", "application/json", JSON, "application/json", False),
    ("search", "application/json; charset=utf-8", JSON, "application/json", False),
    ("search", "application/dicom+json;q=0.1, application/json;q=0.9", JSON, "application/json", False),
    ("search", "application/dicom+json;q=0, */*", JSON, "application/json", False),
    ("search", 'multipart/related; type="application/dicom+xml", application/dicom+json;q=0.5', JSON, XML, True),
    ("search", "multipart/related; type=application/dicom+xml", JSON, XML, True),
    ("search", "multipart/related", JSON, XML, True),
    ("search", "application/dicom+xml, application/dicom+json;q=0.1", JSON, JSON, False),
    (
        "search",
        'multipart/related; type="application/dicom+xml";q=0.5, application/json',
        JSON,
        "application/json",
        False,
    ),
    ("search", 'multipart/related; type="application/dicom+xml";q=0, */*', JSON, JSON, False),
    ("metadata", 'multipart/related; type="application/dicom+xml"', JSON, XML, True),
    ("metadata", "multipart/*", JSON, XML, True),
    ("instance-metadata", 'multipart/related; type="application/dicom+xml"', JSON, XML, True),
    ("instance-metadata", "application/dicom+xml", JSON, XML, False),
    ("metadata", "APPLICATION/DICOM+JSON", JSON, JSON, False),
    ("study", "*/*", _envelope(DICOM, "*"), DICOM, True),
    ("study", "multipart/related", _envelope(DICOM, "*"), DICOM, True),
    ("study", 'multipart/related; type="*/*"', _envelope(DICOM, "*"), DICOM, True),
    ("study", 'multipart/related; type="application/dicom"; transfer-syntax=*', _envelope(DICOM, "*"), DICOM, True),
    ("study", "multipart/related; type=application/dicom", _envelope(DICOM), DICOM, True),
    ("study", f"multipart/related;type={DICOM};transfer-syntax={LITTLE}", _envelope(DICOM, LITTLE), DICOM, True),
    ("instance", "*/*", _envelope(DICOM, "*"), DICOM, True),
    ("instance", "application/dicom", _envelope(DICOM), DICOM, False),
    ("instance", "application/dicom; transfer-syntax=*", _envelope(DICOM, "*"), DICOM, False),
    ("instance", "application/*", _envelope(DICOM, "*"), DICOM, False),
    ("frame", "*/*", _envelope(OCTETS, "*"), OCTETS, True),  # dicomweb-client
    ("frame", "", _envelope(OCTETS, "*"), OCTETS, True),
    (
        "frame",
        "multipart/related; type=application/octet-stream; transfer-syntax=*",
        _envelope(OCTETS, "*"),
        OCTETS,
        True,
    ),
    ("frame", 'multipart/related; type="application/octet-stream"', _envelope(OCTETS), OCTETS, True),
    (
        "frame",
        f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG}',
        _envelope("image/jpeg", JPEG),
        "image/jpeg",
        True,
    ),
    ("frame", EVERYTHING, _envelope(OCTETS, "*"), OCTETS, True),  # whole-slide viewers
    ("frame", "application/octet-stream", _envelope(OCTETS), OCTETS, False),
    ("frame", "application/octet-stream; transfer-syntax=*", _envelope(OCTETS, "*"), OCTETS, False),
    ("frame", "image/jp2", _envelope("image/jp2"), "image/jp2", False),
    ("frames", "multipart/*", _envelope(OCTETS, "*"), OCTETS, True),
    ("bulk", "*/*", _envelope(OCTETS), OCTETS, True),
    ("bulk", "multipart/related; type=application/octet-stream; transfer-syntax=*", _envelope(OCTETS), OCTETS, True),
    ("bulk", "application/octet-stream", _envelope(OCTETS), OCTETS, False),
    ("rendered", "*/*", "image/jpeg", "image/jpeg", False),
    ("rendered", "image/*", "image/jpeg", "image/jpeg", False),
    ("rendered", "image/png", "image/png", "image/png", False),
    ("rendered", "image/png, image/jpeg", "image/png", "image/png", False),
    ("rendered", "image/jpeg;q=0, */*;q=0.1", "image/png", "image/png", False),
    ("rendered", "image/avif,image/webp,*/*;q=0.8", "image/jpeg", "image/jpeg", False),  # a browser's <img>
    ("rendered", "image/gif", "image/gif", "image/gif", False),
    ("rendered", "image/jp2", "image/jp2", "image/jp2", False),
    ("rendered", 'multipart/related; type="image/png"', "image/png", "image/png", True),
    ("rendered", "multipart/related", "image/jpeg", "image/jpeg", True),
    ("rendered-study", "*/*", "image/jpeg", "image/jpeg", False),
    ("rendered-study", 'multipart/related; type="image/jpeg"', "image/jpeg", "image/jpeg", True),
    ("rendered-frame", "image/jpeg", "image/jpeg", "image/jpeg", False),
    ("rendered-frames", "*/*", "image/jpeg", "image/jpeg", True),
    ("rendered-frames", "multipart/related; type=image/png", "image/png", "image/png", True),
    ("thumbnail", "*/*", "image/jpeg", "image/jpeg", False),
    ("thumbnail", "image/png, */*;q=0.5", "image/png", "image/png", False),
    ("frame-thumbnails", "image/*", "image/jpeg", "image/jpeg", False),
    ("pixels", "*/*", _envelope(OCTETS, "*"), OCTETS, True),
    ("pixels", f'multipart/related; type="{OCTETS}"', _envelope(OCTETS), OCTETS, True),
    ("pixels", 'multipart/related; type="image/jp2"', _envelope("image/jp2"), "image/jp2", True),
    ("pixels", 'multipart/related; type="video/mp4"', _envelope("video/mp4"), "video/mp4", True),
    ("bulks", "*/*", _envelope(OCTETS), OCTETS, True),
    ("bulks", f'multipart/related; type="{OCTETS}"; transfer-syntax=*', _envelope(OCTETS), OCTETS, True),
    ("frame", 'multipart/related; type="video/mpeg2"', _envelope("video/mpeg2"), "video/mpeg2", True),
]


@pytest.mark.parametrize(("what", "accept", "upstream", "media_type", "multipart"), CHOSEN)
def test_an_accept_that_can_be_satisfied_is(
    what: str, accept: str, upstream: str, media_type: str, *, multipart: bool
) -> None:
    chosen = negotiate(TARGETS[what], [accept.encode()])
    assert isinstance(chosen, Chosen)
    assert chosen == Chosen(upstream, media_type, multipart)
    assert chosen.unwraps == (upstream.startswith("multipart") and not multipart)


# (what of, Accept, what the archive is asked with when it cannot give the first)
OTHERS: Final = [
    ("rendered", "image/png, image/jpeg;q=0.5", ["image/jpeg"]),
    ("rendered", "image/gif, image/png", ["image/png"]),
    ("rendered", "image/gif", []),
    ("rendered", "*/*", ["image/png", "image/gif"]),
    ("rendered", "*/*, image/jpeg;q=0", ["image/gif", "image/jp2"]),
    ("metadata", "*/*", []),
    ("instance", "application/dicom, multipart/related; type=application/dicom", []),
    (
        "frame",
        f'multipart/related; type="image/jpeg", multipart/related; type="{OCTETS}"; q=0.5',
        [_envelope(OCTETS)],
    ),
    (
        "instance",
        f"application/dicom; transfer-syntax={JPEG}, application/dicom; transfer-syntax=*; q=0.1",
        [_envelope(DICOM, "*")],
    ),
]


@pytest.mark.parametrize(("what", "accept", "upstream"), OTHERS)
def test_what_else_would_do_is_named_in_the_order_wanted(what: str, accept: str, upstream: list[str]) -> None:
    chosen = negotiate(TARGETS[what], [accept.encode()])
    assert isinstance(chosen, Chosen)
    assert [other.upstream for other in chosen.others] == upstream


NOT_ACCEPTABLE: Final = [
    ("search", "application/dicom+xml"),
    ("metadata", "application/dicom+xml"),
    ("metadata", 'multipart/related; type="application/dicom+json"'),
    ("search", 'multipart/related; type="application/dicom+xml";q=0, multipart/related'),
    ("search", "text/html"),
    ("search", "application/dicom+json;q=0"),
    ("search", "*/*;q=0"),
    ("thumbnail", "image/*;q=0, */*"),
    ("thumbnail", "*/*, image/*;q=0"),
    ("metadata", "application/dicom"),
    ("study", "application/dicom"),  # many instances do not fit one part
    ("study", "application/*"),
    ("study", 'multipart/related; type="image/jpeg"'),
    ("instance", "image/jpeg"),
    ("instance", 'multipart/related; type="application/dicom";q=0, multipart/related;q=1'),
    ("frames", "application/octet-stream"),
    ("frame", "application/dicom"),
    ("bulk", 'multipart/related; type="image/jpeg"'),
    ("rendered", "video/mp4"),
    ("rendered", "image/webp"),
    ("rendered", "application/pdf"),
    ("rendered", "text/html"),
    ("rendered", 'multipart/related; type="video/mp4"'),
    ("rendered-frames", "image/jpeg"),  # several pictures do not fit one
    ("thumbnail", 'multipart/related; type="image/jpeg"'),
    ("thumbnail", "video/mp4"),
    ("pixels", "application/octet-stream"),
    ("pixels", "image/jpeg"),
    ("pixels", 'multipart/related; type="application/dicom"'),
    ("bulks", "application/octet-stream"),
    ("bulks", 'multipart/related; type="image/jpeg"'),
    # Malformed, over the bounds, or made to be copied into a header
    ("search", "application"),
    ("search", "application/"),
    ("search", "application/json; q=2"),
    ("search", "application/json; q=0.1234"),
    ("search", "application/json; q=x"),
    ("search", "application/json; a=1; a=2"),
    ("search", "application/json application/json"),
    ("search", 'application/json; type="unclosed'),
    ("search", "*/*," * (MAX_RANGES + 1)),
    ("search", "*/*" + " " * MAX_ACCEPT_BYTES),
    ("study", "application/dicom; transfer-syntax=x"),
    ("study", 'multipart/related; type="application/dicom"; transfer-syntax="1.2\r\nHost: x"'),
    ("study", f'multipart/related; type="application/dicom"; transfer-syntax={"1" * 65}'),
]


@pytest.mark.parametrize(("what", "accept"), NOT_ACCEPTABLE)
def test_an_accept_that_nothing_satisfies_is_406(what: str, accept: str) -> None:
    refusal = negotiate(TARGETS[what], [accept.encode()])
    assert isinstance(refusal, Problem)
    assert (refusal.name, refusal.status) == ("not-acceptable", 406)


# PS3.18 Tables 8.7.3-4 and 8.7.3-5: each media type of pixel data, and the transfer syntax that it means by itself
PIXEL_TYPES: Final = [
    ("image/jpeg", "1.2.840.10008.1.2.4.70"),
    ("image/dicom-rle", "1.2.840.10008.1.2.5"),
    ("image/jls", "1.2.840.10008.1.2.4.80"),
    ("image/jp2", "1.2.840.10008.1.2.4.90"),
    ("image/jpx", "1.2.840.10008.1.2.4.92"),
    ("image/jphc", "1.2.840.10008.1.2.4.201"),
    ("video/mpeg2", "1.2.840.10008.1.2.4.100"),
    ("video/mp4", "1.2.840.10008.1.2.4.102"),
    ("video/h265", "1.2.840.10008.1.2.4.107"),
]


@pytest.mark.parametrize("what", ["frame", "frames", "pixels"])
@pytest.mark.parametrize(("media_type", "syntax"), PIXEL_TYPES)
def test_every_pixel_data_type_can_be_had_and_means_its_own_syntax(what: str, media_type: str, syntax: str) -> None:
    named = f'multipart/related; type="{media_type}"'
    chosen = negotiate(TARGETS[what], [named.encode()])
    assert isinstance(chosen, Chosen)
    assert (chosen.upstream, chosen.media_type, chosen.multipart) == (named, media_type, True)
    # Who names three syntaxes takes frames as they are stored: of these, one is named twice, in two ways
    two = [named, *(f'multipart/related; type="{OCTETS}"; transfer-syntax={one}' for one in (syntax, JPEG))]
    as_asked = negotiate(TARGETS[what], [", ".join(two).encode()])
    assert isinstance(as_asked, Chosen)
    assert as_asked.upstream == named
    three = [*two, f'multipart/related; type="{OCTETS}"; transfer-syntax={LITTLE}']
    as_stored = negotiate(TARGETS[what], [", ".join(three).encode()])
    assert isinstance(as_stored, Chosen)
    assert as_stored.upstream == f'multipart/related; type="{OCTETS}"; transfer-syntax=*'


def test_no_accept_takes_anything_and_several_are_one_list() -> None:
    rendered = TARGETS["rendered"]
    assert (
        negotiate(rendered, [])
        == negotiate(rendered, [b"", b" , "])
        == Chosen("image/jpeg", "image/jpeg", multipart=False)
    )
    assert negotiate(rendered, [b"video/mp4", b"image/png"]) == Chosen("image/png", "image/png", multipart=False)


def test_words_that_are_no_ranges_are_passed_over_where_there_are_ranges() -> None:
    java = parse_accept([b"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"])
    assert java is not None
    assert [(one.media_type, one.weight) for one in java][-1] == ("*/*", 200)
    assert len(java) == 4
    assert parse_accept([b"toto, application/json ,tata;x=1"]) == parse_accept([b"application/json"])
    for nothing in (b"toto", b"toto, tata", b"toto; q=1", b'toto;x="a,b"', b'a/b, toto;x="'):
        assert parse_accept([nothing]) is None


def test_the_query_parameter_stands_in_place_of_the_headers() -> None:
    asked = Retrieve(Representation.RENDERED, STUDY, SERIES, INSTANCE, accept="image/png")
    assert negotiate(asked, [b"image/jpeg"]) == Chosen("image/png", "image/png", multipart=False)
    searched = Search(Level.STUDY, accept="text/ü")
    assert isinstance(negotiate(searched, [b"*/*"]), Problem)


def test_quoted_parameters_are_read_and_weights_sort() -> None:
    ranges = parse_accept([rb'a/b;Q=0.5;;type="x\"/Y" ; , multipart/related ; TYPE=A/B; transfer-syntax=*; q=1.0'])
    assert ranges == [MediaRange("multipart/related", "a/b", "*", 1000), MediaRange("a/b", 'x"/y', "", 500)]


@given(
    st.lists(
        st.text(alphabet='amultipr/ed;=",*q0.1 \\\r\n', max_size=40).map(str.encode) | st.binary(max_size=20),
        max_size=3,
    )
)
def test_any_accept_is_answered_or_refused_and_never_copied(values: list[bytes]) -> None:
    for target in TARGETS.values():
        outcome = negotiate(target, values)
        if isinstance(outcome, Chosen):
            assert outcome.upstream.isprintable()
            assert outcome.upstream.isascii()
        else:
            assert outcome.name == "not-acceptable"
