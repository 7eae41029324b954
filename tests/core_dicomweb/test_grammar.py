"""The path grammar: the resources it takes, and every row "Path" of the answers to bad input."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.dicom.dicomweb import Level, Representation, Retrieve, Search, Store
from app.core.dicom.dicomweb_grammar import MAX_FRAMES, ROUTES, methods_of, parse
from app.core.http.problem import Problem
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid

S, E, N = StudyUid("1.2.840.113619.1"), SeriesUid("1.2.840.113619.2"), InstanceUid("1.2.840.113619.3")
_STUDY = f"/studies/{S}"
_SERIES = f"{_STUDY}/series/{E}"
_INSTANCE = f"{_SERIES}/instances/{N}"

RESOURCES: Final = [
    ("/studies", Search(Level.STUDY)),
    ("/series", Search(Level.SERIES)),
    ("/instances", Search(Level.INSTANCE)),
    (f"{_STUDY}/series", Search(Level.SERIES, S)),
    (f"{_STUDY}/instances", Search(Level.INSTANCE, S)),
    (f"{_SERIES}/instances", Search(Level.INSTANCE, S, E)),
    (_STUDY, Retrieve(Representation.DICOM, S)),
    (_SERIES, Retrieve(Representation.DICOM, S, E)),
    (_INSTANCE, Retrieve(Representation.DICOM, S, E, N)),
    (f"{_STUDY}/metadata", Retrieve(Representation.METADATA, S)),
    (f"{_SERIES}/metadata", Retrieve(Representation.METADATA, S, E)),
    (f"{_INSTANCE}/metadata", Retrieve(Representation.METADATA, S, E, N)),
    (f"{_STUDY}/rendered", Retrieve(Representation.RENDERED, S)),
    (f"{_SERIES}/rendered", Retrieve(Representation.RENDERED, S, E)),
    (f"{_INSTANCE}/rendered", Retrieve(Representation.RENDERED, S, E, N)),
    (f"{_INSTANCE}/frames/7", Retrieve(Representation.FRAMES, S, E, N, (7,))),
    (f"{_INSTANCE}/frames/3,1,2", Retrieve(Representation.FRAMES, S, E, N, (3, 1, 2))),
    (f"{_INSTANCE}/frames/2/rendered", Retrieve(Representation.RENDERED_FRAMES, S, E, N, (2,))),
    (f"{_STUDY}/thumbnail", Retrieve(Representation.THUMBNAIL, S)),
    (f"{_SERIES}/thumbnail", Retrieve(Representation.THUMBNAIL, S, E)),
    (f"{_INSTANCE}/thumbnail", Retrieve(Representation.THUMBNAIL, S, E, N)),
    (f"{_INSTANCE}/frames/9,2/thumbnail", Retrieve(Representation.THUMBNAIL_FRAMES, S, E, N, (9, 2))),
    (f"{_STUDY}/pixeldata", Retrieve(Representation.PIXELDATA, S)),
    (f"{_SERIES}/pixeldata", Retrieve(Representation.PIXELDATA, S, E)),
    (f"{_INSTANCE}/pixeldata", Retrieve(Representation.PIXELDATA, S, E, N)),
    (f"{_STUDY}/bulkdata", Retrieve(Representation.ALL_BULKDATA, S)),
    (f"{_SERIES}/bulkdata", Retrieve(Representation.ALL_BULKDATA, S, E)),
    (f"{_INSTANCE}/bulkdata", Retrieve(Representation.ALL_BULKDATA, S, E, N)),
    (
        f"{_INSTANCE}/bulkdata/00420011",
        Retrieve(Representation.BULKDATA, S, E, N, bulk_path=("00420011",), bulk_word="bulkdata"),
    ),
    (
        f"{_INSTANCE}/bulkdata/00400275/2/00420011",
        Retrieve(Representation.BULKDATA, S, E, N, bulk_path=("00400275", "2", "00420011"), bulk_word="bulkdata"),
    ),
    (f"{_INSTANCE}/bulk/7FE00010", Retrieve(Representation.BULKDATA, S, E, N, bulk_path=("7fe00010",))),
    (
        f"{_INSTANCE}/bulk/00081140/1/00081155",
        Retrieve(Representation.BULKDATA, S, E, N, bulk_path=("00081140", "1", "00081155")),
    ),
    # Leading zeros break the standard and live in archives: kept character by character
    ("/studies/01.002.0/series", Search(Level.SERIES, StudyUid("01.002.0"))),
    (f"/studies/{'1' * 64}", Retrieve(Representation.DICOM, StudyUid("1" * 64))),
]


@pytest.mark.parametrize(("path", "resource"), RESOURCES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_path_of_the_standard_names_its_resource(method: str, path: str, resource: Retrieve | Search) -> None:
    assert parse(method, path.encode(), b"") == resource


def test_every_route_is_reached_by_a_tested_path() -> None:
    fill = {"study": S, "series": E, "instance": N, "frames": "1", "bulk": "7fe00010"}
    reached = [parse("GET", route.template.format(**fill).encode(), b"") for route in ROUTES]
    targets = [target.representation if isinstance(target, Retrieve) else target.level for target in reached]  # type: ignore[union-attr]
    assert targets == [route.target for route in ROUTES]
    assert len(set(map(repr, reached))) == len(ROUTES)


def test_the_level_of_a_retrieval_is_that_of_its_deepest_uid() -> None:
    levels = [parse("GET", path.encode(), b"").level for path in (_STUDY, _SERIES, _INSTANCE)]  # type: ignore[union-attr]
    assert levels == [Level.STUDY, Level.SERIES, Level.INSTANCE]


# The rows "Path" of PROMISES, and their neighbours.
BAD_PATHS: Final = [
    ("/studies/1.2%2F3", "invalid-uid"),
    ("/studies/1.2%2f..%2fpatients", "invalid-uid"),
    ("/studies/1.2%00", "invalid-uid"),
    ("/studies/1.2%0A", "invalid-uid"),
    ("/studies/1.2\n", "invalid-uid"),
    ("/studies/1.2%ff", "invalid-uid"),
    ("/studies/%31.2", "invalid-uid"),
    ("/studies/..", "invalid-uid"),
    ("/studies/../patients", "invalid-uid"),
    ("/studies/1.2/../../patients", "invalid-uid"),
    ("/studies/%2e%2e/%2e%2e/system", "invalid-uid"),
    ("/../studies", "invalid-uid"),
    ("/./studies", "invalid-uid"),
    ("/.well-known", "invalid-uid"),
    ("/studies/1.2;x", "invalid-uid"),
    ("/studies;x/1.2", "invalid-uid"),
    ("//studies/1.2", "invalid-uid"),
    ("/studies//series", "invalid-uid"),
    ("/studies/1.2//series", "invalid-uid"),
    ("/studies/", "invalid-uid"),
    (f"{_STUDY}/", "invalid-uid"),
    (f"{_STUDY}/series/", "invalid-uid"),
    ("/", "invalid-uid"),
    ("studies", "invalid-uid"),
    ("studies/1.2", "invalid-uid"),
    ("/studies/1.٢", "invalid-uid"),  # an Arabic-Indic digit
    ("/studies/\uff11.2", "invalid-uid"),  # a full-width digit
    ("/studies/" + "1" * 65, "invalid-uid"),
    ("/studies/1..2", "invalid-uid"),
    ("/studies/.1.2", "invalid-uid"),
    ("/studies/1.2.", "invalid-uid"),
    ("/studies/1.2,1.3", "invalid-uid"),
    ("/studies/1.2a", "invalid-uid"),
    ("/studies/metadata", "invalid-uid"),
    ("/studies/-1", "invalid-uid"),
    (f"{_STUDY}/series/x", "invalid-uid"),
    (f"{_SERIES}/instances/%20", "invalid-uid"),
    (f"{_INSTANCE}/frames/0", "invalid-frames"),
    (f"{_INSTANCE}/frames/-1", "invalid-frames"),
    (f"{_INSTANCE}/frames/1,,2", "invalid-frames"),
    (f"{_INSTANCE}/frames/,1", "invalid-frames"),
    (f"{_INSTANCE}/frames/1,", "invalid-frames"),
    (f"{_INSTANCE}/frames/01", "invalid-frames"),
    (f"{_INSTANCE}/frames/1,1", "invalid-frames"),
    (f"{_INSTANCE}/frames/1.5", "invalid-frames"),
    (f"{_INSTANCE}/frames/all", "invalid-frames"),
    (f"{_INSTANCE}/frames/{10**12}", "invalid-frames"),
    (f"{_INSTANCE}/frames/{','.join(map(str, range(1, 10_001)))}", "invalid-frames"),
    (f"{_INSTANCE}/frames/{','.join(map(str, range(1, MAX_FRAMES + 2)))}", "invalid-frames"),
    (f"{_INSTANCE}/frames/0/rendered", "invalid-frames"),
    (f"{_INSTANCE}/frames/1%2C2", "invalid-uid"),
    (f"{_INSTANCE}/frames/", "invalid-uid"),
    (f"{_INSTANCE}/bulk/xyz", "invalid-uid"),
    (f"{_INSTANCE}/bulk/", "invalid-uid"),
    (f"{_INSTANCE}/bulk/7fe00010/", "invalid-uid"),
    (f"{_INSTANCE}/bulk/00081140/0/00081155", "invalid-uid"),
    (f"{_INSTANCE}/bulk/00081140/1", "invalid-uid"),
    (f"{_INSTANCE}/bulk/{'00081140/1/' * 64}00081155", "invalid-uid"),
    ("", "not-found"),
    ("/patients", "not-found"),
    ("/Studies", "not-found"),
    ("/system", "not-found"),
    (f"{_STUDY}/thumbnails", "not-found"),
    (f"{_STUDY}/thumbnail/1", "not-found"),
    (f"{_STUDY}/bulk/7fe00010", "not-found"),
    (f"{_SERIES}/pixeldata/1", "not-found"),
    (f"{_INSTANCE}/frames/0/thumbnail", "invalid-frames"),
    (f"{_INSTANCE}/bulkdata/xyz", "invalid-uid"),
    (f"{_INSTANCE}/bulkdata/", "invalid-uid"),
    (f"{_INSTANCE}/bulkdata/00081140/0/00081155", "invalid-uid"),
    (f"{_STUDY}/instances/{N}", "not-found"),
    (f"{_STUDY}/frames/1", "not-found"),
    (f"{_SERIES}/metadata/x", "not-found"),
    (f"{_INSTANCE}/bulk", "invalid-uid"),
]


@pytest.mark.parametrize(("path", "name"), BAD_PATHS)
def test_a_bad_path_is_refused_by_name(path: str, name: str) -> None:
    refusal = parse("GET", path.encode(), b"")
    assert isinstance(refusal, Problem)
    assert refusal.name == name


@pytest.mark.parametrize(("path", "name"), [row for row in BAD_PATHS if not row[0].startswith(_INSTANCE)])
def test_a_bad_path_is_bad_for_a_method_that_is_not_served_too(path: str, name: str) -> None:
    refusal = parse("POST", path.encode(), b"")
    assert isinstance(refusal, Problem)
    assert refusal.name == name


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "get", "TRACE", "CONNECT", ""])
@pytest.mark.parametrize(
    "path", ["/studies", _STUDY, _SERIES, f"{_STUDY}/thumbnail", f"{_SERIES}/pixeldata", f"{_INSTANCE}/frames/1"]
)
def test_a_method_that_is_not_served_is_405_with_allow(method: str, path: str) -> None:
    refusal = parse(method, path.encode(), b"")
    stores = path in ("/studies", _STUDY)  # PS3.18 Table 10.5.1-1
    if method == "POST" and stores:
        assert isinstance(refusal, Store)
        return
    assert isinstance(refusal, Problem)
    assert (refusal.name, refusal.status) == ("method-not-allowed", 405)
    assert ("Allow", "GET, HEAD, OPTIONS" + ", POST" * stores) in refusal.headers


def test_the_longest_list_of_frames_is_served() -> None:
    frames = tuple(range(1, MAX_FRAMES + 1))
    target = parse("GET", f"{_INSTANCE}/frames/{','.join(map(str, frames))}".encode(), b"")
    assert target == Retrieve(Representation.FRAMES, S, E, N, frames)


_PIECES: Final = st.sampled_from(
    [
        b"/",
        b"//",
        b"studies",
        b"series",
        b"instances",
        b"frames",
        b"bulk",
        b"metadata",
        b"1.2",
        b"..",
        b"%2F",
        b"1,2",
        b"\xff",
    ]
)


@given(st.lists(_PIECES | st.binary(max_size=4), max_size=12).map(b"".join))
def test_any_path_gives_a_resource_or_a_refusal_and_only_clean_uids(raw_path: bytes) -> None:
    found = parse("GET", raw_path, b"")
    if isinstance(found, Problem):
        assert found.name in {"invalid-uid", "invalid-frames", "not-found"}
        return
    assert b"%" not in raw_path
    assert not isinstance(found, Store)
    for uid in (found.study, found.series):
        assert uid is None or (0 < len(uid) <= 64 and set(uid) <= set("0123456789."))


# Rendering parameters and ``accept`` of retrievals.
RENDERING: Final = [
    ("viewport=100%2C200", (("viewport", "100,200"),)),
    ("viewport=100,200,,,,", (("viewport", "100,200,,,,"),)),
    ("viewport=100,200,0,0,-50,60.5", (("viewport", "100,200,0,0,-50,60.5"),)),
    ("window=40,400,linear", (("window", "40,400,linear"),)),
    ("window=-600.5,1500,linear-exact", (("window", "-600.5,1500,linear-exact"),)),
    ("quality=90&annotation=patient,technique", (("quality", "90"), ("annotation", "patient,technique"))),
    ("iccprofile=srgb", (("iccprofile", "srgb"),)),
    ("cachebuster=7", ()),
    ("charset=iso-8859-1", ()),  # every text is UTF-8 (PS3.18 §8.8)
    ("", ()),
]


@pytest.mark.parametrize(("raw", "query"), RENDERING)
def test_rendering_parameters_are_decoded_and_kept_in_order(raw: str, query: tuple[tuple[str, str], ...]) -> None:
    target = parse("GET", f"{_INSTANCE}/rendered".encode(), raw.encode())
    assert target == Retrieve(Representation.RENDERED, S, E, N, query=query)


BAD_RENDERING: Final = [
    ("viewport=100", "invalid-parameter"),
    ("viewport=100,200,1", "invalid-parameter"),
    ("viewport=-1,200", "invalid-parameter"),
    ("viewport=0,200", "invalid-parameter"),
    ("viewport=100,0.0", "invalid-parameter"),
    ("viewport=1e3,200", "invalid-parameter"),
    ("viewport=100,200,1,2,3", "invalid-parameter"),
    ("window=40,0,linear", "invalid-parameter"),
    ("window=40,-400,sigmoid", "invalid-parameter"),
    ("iccprofile=cmyk", "invalid-parameter"),
    ("window=40,400", "invalid-parameter"),
    ("window=40,400,cubic", "invalid-parameter"),
    ("window=٤٠,400,linear", "invalid-parameter"),
    ("quality=0", "invalid-parameter"),
    ("quality=101", "invalid-parameter"),
    ("annotation=everything", "invalid-parameter"),
    ("quality=%zz", "invalid-parameter"),
    ("quality", "invalid-parameter"),
    ("quality=1&quality=1", "ambiguous-parameter"),
    ("Quality=1", "ambiguous-parameter"),
    ("ACCEPT=image/png", "ambiguous-parameter"),
]


@pytest.mark.parametrize(("raw", "name"), BAD_RENDERING)
def test_a_bad_rendering_parameter_is_refused(raw: str, name: str) -> None:
    refusal = parse("GET", f"{_INSTANCE}/rendered".encode(), raw.encode())
    assert isinstance(refusal, Problem)
    assert refusal.name == name


THUMBNAILS: Final = [
    ("viewport=100%2C200", (("viewport", "100,200"),)),
    ("quality=0&window=x&annotation=none", ()),
    ("viewport=100", "invalid-parameter"),
    ("viewport=100,200,0,0,50,60", "invalid-parameter"),
    ("viewport=1,1&viewport=1,1", "ambiguous-parameter"),
    ("Viewport=1,1", "ambiguous-parameter"),
]


@pytest.mark.parametrize(("raw", "expected"), THUMBNAILS)
@pytest.mark.parametrize("path", ["/thumbnail", "/frames/3/thumbnail"])
def test_of_a_thumbnail_only_the_size_is_asked_for(path: str, raw: str, expected: object) -> None:
    found = parse("GET", f"{_INSTANCE}{path}".encode(), raw.encode())
    assert (found.name if isinstance(found, Problem) else found.query) == expected  # type: ignore[union-attr]


def test_accept_is_handed_on_and_rendering_parameters_mean_nothing_elsewhere() -> None:
    target = parse("GET", f"{_INSTANCE}/frames/1".encode(), b"accept=image%2Fjpeg&quality=0")
    assert target == Retrieve(Representation.FRAMES, S, E, N, (1,), accept="image/jpeg")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (b"/studies", ("GET", "HEAD", "OPTIONS", "POST")),
        (b"/studies/1.2/series", ("GET", "HEAD", "OPTIONS")),
        (b"/studies/not-a-uid/metadata", ("GET", "HEAD", "OPTIONS")),
        (b"/studies/1.2/nowhere", ()),
        (b"", ()),
        (b"studies", ()),
    ],
)
def test_the_methods_of_a_path(path: bytes, methods: tuple[str, ...]) -> None:
    assert tuple(sorted(methods_of(path))) == methods
